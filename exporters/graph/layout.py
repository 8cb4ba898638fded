"""The order in which a target holds a tensor's axes: a permutation per value, decided by operators, never by sizes.

A value in order `(0, 2, 3, 1)` is held with ONNX's axes 0, 2, 3, 1 in that sequence: ONNX's NCHW, held as NHWC. Each
row of an operator table names one rule:

    source       works in ONNX's order only
    elementwise  works in any order that its tensors share; what broadcasts against them follows
    axis         as elementwise, and its `axis` or `axes` are ONNX's, mapped for it
    channels     works with the channels (axis 1) last; only its first input is a tensor of that layout
    pick         as axis, where what is picked by has no more than one dimension; only its first input is laid out
    transpose    moves nothing: its result is the same tensor under another order
    subgraphs    as source; what lies within decides for itself

Transposes are put in where a value is not in the order that is asked for, once per value and order, and going back
gives the value that was there before: pairs cancel because no transpose is ever made of a transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SOURCE, ELEMENTWISE, AXIS, CHANNELS, TRANSPOSE = "source", "elementwise", "axis", "channels", "transpose"
PICK, SUBGRAPHS = "pick", "subgraphs"
RULES = (SOURCE, ELEMENTWISE, AXIS, PICK, CHANNELS, TRANSPOSE, SUBGRAPHS)


@dataclass(frozen=True)
class Order:
    """`axes[i]` is the ONNX axis that the target holds at place `i`."""

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"{self.axes} is not a permutation")

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def is_source(self) -> bool:
        return self.axes == tuple(range(self.rank))

    def place(self, axis: int) -> int:
        """Where ONNX's `axis`, which may count from the end, is held."""
        return self.axes.index(axis % self.rank)

    def held(self, values: Sequence[object]) -> list[object]:
        """One value per ONNX axis, rearranged as held."""
        return [values[axis] for axis in self.axes]

    def to(self, other: Order) -> tuple[int, ...]:
        """The transpose that turns a tensor held in this order into one held in `other`."""
        return tuple(self.axes.index(axis) for axis in other.axes)

    def without(self, axes: Sequence[int]) -> Order:
        """The order after ONNX's `axes` were taken away: the others keep their sequence."""
        gone = {axis % self.rank for axis in axes}
        kept = [axis for axis in self.axes if axis not in gone]
        renumbered = {axis: i for i, axis in enumerate(sorted(kept))}
        return Order(tuple(renumbered[axis] for axis in kept))

    def transposed(self, perm: Sequence[int]) -> Order:
        """The order in which the same tensor holds the result of an ONNX Transpose by `perm`: nothing is moved."""
        return Order(tuple(list(perm).index(axis) for axis in self.axes))


def source(rank: int) -> Order:
    return Order(tuple(range(rank)))


def channels_last(rank: int) -> Order:
    """ONNX's axis 1 last; below three axes there is nothing to move."""
    return Order((0, *range(2, rank), 1)) if rank > 2 else source(rank)


def agreed(orders: Sequence[Order | None]) -> Order | None:
    """The order that tensors meeting in an elementwise operator are brought into.

    None stands for an operand without an order of its own (a constant, or one of lower rank, which follows). Tensors
    that disagree meet in the order that most of them have, the first of equals: a lone stray is turned, not the rest.
    """
    held = [order for order in orders if order is not None]
    if not held:
        return None
    rank = max(order.rank for order in held)
    full = [order for order in held if order.rank == rank]
    return max(full, key=full.count)
