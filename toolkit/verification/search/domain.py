"""What inputs a model takes, as far as its signature, its data and the source itself tell; and rows to start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification.plan import Batch
from toolkit.worker.wire import dtype_of

Array = np.ndarray[Any, Any]
Row = dict[str, Array]  # one sample: every input, with a batch dimension of 1 where it has one

MOST_ELEMENTS = 2**20  # of one batch, over all inputs
_MOST_SEEDS = 128
_ORDER = ("real", "normal", "uniform", "negative", "sparse", "large", "tiny", "denormal", "ones", "zeros")
_USUAL = ("real", "normal", "uniform")


@dataclass(frozen=True)
class Range:
    """What an integer input takes; `open` where the source takes anything."""

    low: int
    high: int
    open: bool = False


@dataclass
class Domain:
    """Rows of one shape to start from, ranges of integers, and how many rows make a batch that takes moments."""

    signature: Signature
    seeds: list[Row]
    ranges: dict[str, Range]
    constants: list[float] = field(default_factory=list)  # of the file's graph
    rows: int = 32
    ordinary: int = 1  # how many of the seeds, the first ones, hold ordinary values

    @property
    def floats(self) -> list[str]:
        return [name for name, array in self.seeds[0].items() if array.dtype.kind == "f" and array.size]

    @property
    def integers(self) -> list[str]:
        return [name for name in self.ranges if self.seeds[0][name].size]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the rows to start from."""
        found = {}
        for spec in self.signature.inputs:
            found.update({symbol: self.seeds[0][spec.name].shape[axis] for axis, symbol in spec.dynamic_dims.items()})
        return found

    def batches(self, rows: Iterable[Row], kind: str) -> Iterator[Batch]:
        """Rows of one shape as batches; one by one where an input belongs to all rows of a batch alike."""
        batched = self.signature.batched
        most = self.rows if len(batched) == len(self.signature.inputs) else 1
        kept: list[Row] = []
        for row in rows:
            kept.append(row)
            if len(kept) >= most:
                yield self._joined(kept, kind)
                kept = []
        if kept:
            yield self._joined(kept, kind)

    def _joined(self, rows: Sequence[Row], kind: str) -> Batch:
        batched = self.signature.batched
        inputs = {
            spec.name: np.concatenate([row[spec.name] for row in rows]) if spec.name in batched else rows[0][spec.name]
            for spec in self.signature.inputs
        }
        return Batch(kind, inputs, len(rows) if batched else 1)

    def rows_of(self, batch: Batch) -> list[Row]:
        """The samples of a batch, one by one."""
        return list(_rows(self.signature, batch))

    def drawn(self, sizes: Mapping[str, int], generator: np.random.Generator) -> Row:
        """Ordinary inputs of the sizes asked for: the seeds' values, tiled or cut to them."""
        seed = self.seeds[int(generator.integers(len(self.seeds)))]
        row = {}
        for spec in self.signature.inputs:
            shape, known = spec.with_sizes(sizes), seed[spec.name]
            if known.shape == shape:
                row[spec.name] = known
            elif spec.is_float:
                values = generator.standard_normal(shape) * (float(known.std()) or 1.0) + float(known.mean())
                row[spec.name] = values.astype(dtype_of(spec.dtype))
            else:
                row[spec.name] = generator.choice(known.reshape(-1), shape).astype(known.dtype)
        return row


def _rows(signature: Signature, batch: Batch) -> Iterator[Row]:
    for index in range(batch.size):
        yield {
            name: array[index : index + 1] if name in signature.batched else array
            for name, array in batch.inputs.items()
        }


def of_plan(signature: Signature, batches: Sequence[Batch]) -> Domain | None:
    """The domain that a plan's batches span; None where there is nothing to vary in it."""
    known = sorted((b for b in batches if b.kind in _ORDER), key=lambda b: _ORDER.index(b.kind))
    if not known or not any(array.size for array in known[0].inputs.values()):
        return None
    seeds: list[Row] = []
    taken: dict[str, int] = {}
    shapes = None
    for batch in known:
        for row in _rows(signature, batch):
            shapes = shapes or {name: array.shape for name, array in row.items()}
            most = _MOST_SEEDS // 4 if batch.kind != "real" else _MOST_SEEDS // 2
            if {n: a.shape for n, a in row.items()} == shapes and taken.get(batch.kind, 0) < most:
                seeds.append(row)
                taken[batch.kind] = taken.get(batch.kind, 0) + 1
    ranges = {}
    for spec in signature.inputs:
        if spec.dtype.startswith(("int", "uint")):
            values = [batch.inputs[spec.name] for batch in batches if batch.inputs[spec.name].size]
            ranges[spec.name] = Range(min(int(v.min()) for v in values), max(int(v.max()) for v in values))
    ordinary = sum(taken.get(kind, 0) for kind in _USUAL)
    return Domain(signature, seeds[:_MOST_SEEDS], ranges, ordinary=min(max(ordinary, 1), len(seeds)))
