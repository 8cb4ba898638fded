"""A size as a number times sizes that callers choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


class Free:
    """A size that is known only when a model runs, or a difference of such; in each use of it another class."""

    negative = False  # whether it may be below zero, as no size is


@dataclass(frozen=True)
class Extent(Free):
    """A size: a number times sizes that are known only when the model runs, by name."""

    number: int = 1
    symbols: tuple[str, ...] = ()

    def __mul__(self, other: Extent) -> Extent:
        return Extent(self.number * other.number, tuple(sorted(self.symbols + other.symbols)))

    def __str__(self) -> str:
        return " * ".join((str(self.number), *self.symbols))

    @property
    def is_one(self) -> bool:
        return self.number == 1 and not self.symbols

    @property
    def name(self) -> str | None:
        """The name that a caller gave to this size, if it is one such size alone."""
        alone = self.number == 1 and len(self.symbols) == 1
        return self.symbols[0] if alone and "[" not in self.symbols[0] else None


REST = Extent(-1)  # what is left: ONNX's -1
Extents = tuple[Extent, ...]


def sizes(x: ir.Value) -> Extents | None:
    """The sizes of `x`: numbers, or symbols, or else what stands for that axis of that very tensor."""
    if x.shape is None:
        return None
    return tuple(
        Extent(size) if isinstance(size, int) else Extent(1, (size.value or f"{id(x)}[{axis}]",))
        for axis, size in enumerate(x.shape)
    )


def product(extents: Iterable[Extent]) -> Extent:
    whole = Extent()
    for extent in extents:
        whole *= extent
    return whole


def quotient(a: Extent, b: Extent) -> Extent | None:
    """`a / b` where that leaves no rest."""
    left = list(a.symbols)
    for symbol in b.symbols:
        if symbol not in left:
            return None
        left.remove(symbol)
    if b.number <= 0 or a.number < 0 or a.number % b.number:
        return None
    return Extent(a.number // b.number, tuple(left))
