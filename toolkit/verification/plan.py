"""The inputs that a verification runs: real ones where there are any, and generated ones that look for trouble.

A plan is a list of batches, made once in the parent from a seed, and fed to every side alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import BadInput
from toolkit.runtime.runner import check_inputs
from toolkit.signature import BATCH, Signature, TensorSpec
from toolkit.verification.report import Coverage
from toolkit.worker.wire import dtype_of

Array = np.ndarray[Any, Any]

BATCH_SIZES = (1, 2, 3, 7)
LARGEST_BATCH = 64
MINIMUM = 32
_OTHER_SIZES = ((5, 9), (8, 13))  # two sizes for a dynamic dimension that is not the batch
_LABELS = "labels"


@dataclass(frozen=True)
class Batch:
    """One call's inputs by name; `kind` says how they were made ("real" for data that was given)."""

    kind: str
    inputs: Mapping[str, Array]
    size: int


@dataclass(frozen=True)
class Plan:
    """All batches, in order. `labels` are those of the real inputs, where the data had any."""

    batches: tuple[Batch, ...]
    seed: int
    labels: Array | None = None
    not_tried: tuple[str, ...] = ()
    _kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(batch.size for batch in self.batches)

    def coverage(self) -> Coverage:
        kinds: Counter[str] = Counter()
        for batch in self.batches:
            kinds[batch.kind] += batch.size
        return Coverage(
            inputs=self.count,
            real=kinds["real"],
            generated=self.count - kinds["real"],
            seed=self.seed,
            batch_sizes=tuple(sorted({batch.size for batch in self.batches})),
            kinds=dict(kinds),
            not_tried=self.not_tried,
        )


@dataclass(frozen=True)
class Data:
    """A user's data: arrays by input name, one row each, and labels where there are any."""

    arrays: Mapping[str, Array]
    labels: Array | None

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))


def load_data(path: Path, signature: Signature) -> Data:
    """Read an .npz of one array per input (rows first) and, optionally, "labels".

    Raises BadInput for a missing or damaged file, for arrays that do not fit the signature, and for NaN or Inf in them.
    """
    if not path.is_file():
        raise BadInput("no such file", where=str(path), hint="Give an .npz file with one array per input.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise BadInput(
            "it is not an .npz file that can be read", where=str(path), hint="Write it with numpy.savez."
        ) from error
    labels = arrays.pop(_LABELS, None) if _LABELS not in signature.input_names else None
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise BadInput(
                f"'{name}' holds {'NaN' if np.isnan(array).any() else 'Inf'} (first in row {row})",
                where=str(path),
                hint="Equality cannot be shown on values that are no numbers; remove those rows.",
            )
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        raise BadInput(f"its arrays have different numbers of rows: {rows}", where=str(path))
    try:
        check_inputs(signature, arrays)
    except BadInput as error:
        raise error.at(str(path)) from None
    if not arrays or 0 in rows.values():
        raise BadInput("it holds no rows", where=str(path))
    return Data(arrays, labels)


def make(signature: Signature, data: Data | None, *, count: int = 512, seed: int = 7) -> Plan:
    """Up to `count` inputs: half of them real where there is data, the rest generated, in batches of several sizes."""
    generator = np.random.default_rng(seed)
    wanted = max(count, MINIMUM)
    batches: list[Batch] = []
    labels = None
    if data is not None:
        chosen = _choose(data.rows, wanted // 2, generator)
        batches += _split(signature, {name: array[chosen] for name, array in data.arrays.items()})
        labels = data.labels[chosen] if data.labels is not None else None
    real = sum(batch.size for batch in batches)
    batches += _generated(signature, data, wanted - real, generator)
    return Plan(tuple(batches), seed, labels, _not_tried(signature, data))


def _choose(rows: int, wanted: int, generator: np.random.Generator) -> Array:
    return np.sort(generator.permutation(rows)[:wanted])


def _split(signature: Signature, rows: Mapping[str, Array]) -> list[Batch]:
    """Rows as batches of 1, 2, 3, 7 and then of the largest size; whole where the model's batch is fixed."""
    total = len(next(iter(rows.values())))
    if BATCH not in signature.symbols:
        return [Batch("real", rows, total)]
    sizes = []
    remaining = total
    for size in (*BATCH_SIZES, *[LARGEST_BATCH] * math.ceil(total / LARGEST_BATCH)):
        sizes.append(min(size, remaining))
        remaining -= sizes[-1]
    batches, start = [], 0
    for size in filter(None, sizes):
        batches.append(Batch("real", {name: array[start : start + size] for name, array in rows.items()}, size))
        start += size
    return batches


Maker = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class _Scale:
    """Where ordinary values of an input lie: its data's, or the standard normal."""

    mean: float = 0.0
    std: float = 1.0

    @staticmethod
    def of(array: Array | None) -> _Scale:
        if array is None or array.dtype.kind != "f":
            return _Scale()
        return _Scale(float(array.mean()), float(array.std()) or 1.0)


def _makers(scale: _Scale) -> dict[str, Maker]:
    """Kind -> how its values are drawn. Hostile ones stay far from overflow: a difference there would be no error."""
    return {
        "normal": lambda rng, shape: scale.mean + scale.std * rng.standard_normal(shape),
        "uniform": lambda rng, shape: rng.random(shape),
        "zeros": lambda _, shape: np.zeros(shape),
        "ones": lambda _, shape: np.ones(shape),
        "negative": lambda rng, shape: -np.abs(scale.std * rng.standard_normal(shape)),
        "large": lambda rng, shape: 1e3 * rng.standard_normal(shape),
        "tiny": lambda rng, shape: 1e-6 * rng.standard_normal(shape),
        "denormal": lambda rng, shape: 1e-40 * rng.standard_normal(shape),
        "sparse": lambda rng, shape: np.where(rng.random(shape) < 0.05, rng.standard_normal(shape), 0.0),
    }


# Share of the generated inputs that each kind gets; zeros and ones need but a few.
_SHARES = {"normal": 0.44, "uniform": 0.12, "negative": 0.08, "large": 0.08, "tiny": 0.08, "denormal": 0.04,
           "sparse": 0.08, "zeros": 0.02, "ones": 0.02}  # fmt: skip


def _generated(signature: Signature, data: Data | None, wanted: int, generator: np.random.Generator) -> list[Batch]:
    sizes = _batch_sizes(signature, wanted)
    batches: list[Batch] = []
    for index, (kind, size) in enumerate(_schedule(sizes)):
        concrete = _sizes(signature, size, index)
        inputs = {
            spec.name: _array(spec, concrete, kind, data.arrays.get(spec.name) if data else None, generator)
            for spec in signature.inputs
        }
        batches.append(Batch(kind, inputs, size))
    if BATCH in signature.symbols:
        batches += _dependence(signature, batches)
    return batches


def _batch_sizes(signature: Signature, wanted: int) -> list[int]:
    if BATCH not in signature.symbols:
        return [1] * min(wanted, MINIMUM)
    sizes: list[int] = []
    left = wanted
    cycle = (*BATCH_SIZES, 32)
    while left > 0:
        size = min(cycle[len(sizes) % len(cycle)], left)
        sizes.append(size)
        left -= size
    return sizes


def _schedule(sizes: Sequence[int]) -> list[tuple[str, int]]:
    """A kind for each batch: each gets about its share of the inputs, and every kind at least one batch."""
    total = sum(sizes)
    given: Counter[str] = Counter()
    schedule = []
    for size in sizes:
        kind = max(_SHARES, key=lambda name: _SHARES[name] - given[name] / total if given[name] else 1 + _SHARES[name])
        given[kind] += size
        schedule.append((kind, size))
    return schedule


def _sizes(signature: Signature, batch: int, index: int) -> dict[str, int]:
    sizes = {}
    for position, symbol in enumerate(signature.symbols):
        size = batch if symbol == BATCH else _OTHER_SIZES[position % 2][index % 2]
        limit = signature.limit(symbol)
        sizes[symbol] = min(size, limit) if limit else size
    return sizes


def _array(
    spec: TensorSpec, sizes: Mapping[str, int], kind: str, data: Array | None, generator: np.random.Generator
) -> Array:
    shape = spec.with_sizes(sizes)
    if spec.dtype == "string":
        return np.full(shape, "text", dtype=object)
    if spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if spec.dtype.startswith(("int", "uint")):
        low, high = (int(data.min()), int(data.max())) if data is not None and data.size else (0, 1)
        return generator.integers(low, high + 1, shape).astype(dtype_of(spec.dtype))
    return _makers(_Scale.of(data))[kind](generator, shape).astype(dtype_of(spec.dtype))


def _dependence(signature: Signature, batches: Sequence[Batch]) -> list[Batch]:
    """One row seven times, and a batch in another order: a row's result may not depend on its neighbours."""
    model = max(batches, key=lambda batch: (batch.kind == "normal", batch.size))
    batched = [spec.name for spec in signature.inputs if spec.shape and spec.shape[0] == BATCH]

    def rows(index: Array) -> dict[str, Array]:
        return {name: array[index] if name in batched else array for name, array in model.inputs.items()}

    repeated = np.zeros(7, int)
    permuted = np.arange(model.size)[::-1]
    return [Batch("repeated row", rows(repeated), 7), Batch("permuted rows", rows(permuted), model.size)]


def _not_tried(signature: Signature, data: Data | None) -> tuple[str, ...]:
    """What the plan leaves out, in words, for the report."""
    missing = ["magnitudes above 1e4", "batches above 64"]
    if data is None:
        missing.insert(0, "real data (none was given: --data FILE.npz)")
    for spec in signature.inputs:
        if spec.dtype.startswith(("int", "uint")):
            known = data is not None
            missing.append(f"'{spec.name}' outside the data's range" if known else f"'{spec.name}' other than 0 and 1")
    return tuple(missing)
