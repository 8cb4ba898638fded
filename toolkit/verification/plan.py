"""The inputs that a verification runs: real ones where there are any, and generated ones that look for trouble.

A plan is a list of batches, made once in the parent from a seed, and fed to every side alike.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exporters.sources.vocabularies import Vocabulary
from toolkit import words
from toolkit.errors import BadInput
from toolkit.runtime.runner import check_inputs
from toolkit.signature import Signature, TensorSpec
from toolkit.verification.report import Coverage
from toolkit.worker.wire import dtype_of, is_float, smallest_normal

Array = np.ndarray[Any, Any]

BATCH_SIZES = (1, 2, 3, 7)
LARGEST_BATCH = 64
MINIMUM = 32
_OTHER_SIZES = ((5, 9), (8, 13))  # two sizes for a dynamic dimension that is not the batch
_IMAGE_SIZES = ((40, 64), (48, 57))  # and for a side of an image
_LABELS = "labels"
_KNOWN = 0.75  # of the values of an input that is looked up: those that the table has


@dataclass(frozen=True)
class Batch:
    """One call's inputs by name; `kind` says how they were made ("real" for data that was given).

    `size` is the number of samples in it: 1 where the signature has no batch symbol, for then the call is the sample.
    """

    kind: str
    inputs: Mapping[str, Array]
    size: int

    def nudged(self, generator: np.random.Generator, ulps: int = 1) -> Batch:
        """The same batch, every float moved up or down by that many ULP."""
        return replace(self, inputs={name: _nudged(array, generator, ulps) for name, array in self.inputs.items()})

    def off_zero(self, generator: np.random.Generator) -> Batch:
        """The same batch, floats below 2^-23 moved up or down by that much: on zeros a model rounds its own numbers,
        and those are not as small as the last place of zero.
        """
        return replace(self, inputs={name: _off_zero(array, generator) for name, array in self.inputs.items()})

    @property
    def is_denormal(self) -> bool:
        """Whether any of its floats is too small for a full mantissa."""
        return any(_denormal(array).any() for array in self.inputs.values())

    def flushed(self) -> Batch:
        """The same batch with 0 in place of its denormal numbers."""
        return replace(
            self, inputs={name: np.where(_denormal(array), array.dtype.type(0), array)
                          for name, array in self.inputs.items()}
        )  # fmt: skip


def _denormal(array: Array) -> Array:
    if not is_float(array.dtype):
        return np.zeros(array.shape, bool)
    found: Array = (array != 0) & (np.abs(array) < smallest_normal(array.dtype))
    return found


def _nudged(array: Array, generator: np.random.Generator, ulps: int) -> Array:
    if not is_float(array.dtype):
        return array
    towards = np.where(generator.integers(0, 2, array.shape), np.inf, -np.inf).astype(array.dtype)
    for _ in range(ulps):
        array = np.nextafter(array, towards)
    return array


def _off_zero(array: Array, generator: np.random.Generator) -> Array:
    least = np.finfo(np.float32).eps
    if not is_float(array.dtype):
        return array
    away = np.where(generator.integers(0, 2, array.shape), least, -least)
    return np.where(np.abs(array) < least, array + away, array).astype(array.dtype)


@dataclass(frozen=True)
class Plan:
    """All batches, in order. `labels` are those of the real inputs, where the data had any."""

    batches: tuple[Batch, ...]
    seed: int
    labels: Array | None = None
    not_tried: tuple[str, ...] = ()

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
    """A user's data: arrays by input name, and labels where there are any.

    `rows` is the number of samples: rows of the arrays in `batched`, whose first dimension is the batch. The others,
    and all of them where the signature has no batch symbol, belong to every sample alike.
    """

    arrays: Mapping[str, Array]
    labels: Array | None
    rows: int
    batched: frozenset[str]
    is_example: bool = False  # a few inputs that came with the model: integers may take other values than theirs

    def take(self, index: Array | slice) -> dict[str, Array]:
        """The inputs of some samples."""
        return {name: array[index] if name in self.batched else array for name, array in self.arrays.items()}


def load_data(path: Path, signature: Signature) -> Data:
    """Read an .npz of one array per input (rows first) and, optionally, "labels".

    Raises BadInput for a missing or damaged file, for arrays that do not fit the signature, and for NaN or Inf in them.
    """
    if not path.is_file():
        raise BadInput("no such file", where=str(path), hint="Give an .npz file with one array per input.")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: _texts_as_objects(file[name]) for name in file.files}
    except Exception as error:
        raise BadInput(
            "it is not an .npz file that can be read", where=str(path), hint="Write it with numpy.savez."
        ) from error
    labels = arrays.pop(_LABELS, None) if _LABELS not in signature.input_names else None
    try:
        return _checked(arrays, labels, signature)
    except BadInput as error:
        raise error.at(str(path)) from None


def _texts_as_objects(array: Array) -> Array:
    """Texts of any length, as generated ones are; NumPy's files hold them in as many letters as the longest has."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "surrogateescape")
    return array.astype(object) if array.dtype.kind == "U" else array


def _checked(arrays: Mapping[str, Array], labels: Array | None, signature: Signature) -> Data:
    for name, array in arrays.items():
        _require_finite(name, array)
    batched = signature.batched
    rows = {name: len(array) for name, array in arrays.items() if name in batched and array.ndim}
    if len(set(rows.values())) > 1:
        raise BadInput(f"its arrays have different numbers of rows: {rows}")
    if not arrays or 0 in rows.values():
        raise BadInput("it holds no rows")
    check_inputs(signature, arrays)
    count = next(iter(rows.values()), 1)
    if labels is not None and labels.shape != (count,):
        raise BadInput(f"'{_LABELS}' has the shape {list(labels.shape)}, and there are {count} rows")
    return Data(arrays, labels, count, batched)


def of_examples(given: Mapping[str, Array], signature: Signature) -> Data | None:
    """Example inputs that came with a model as data; None where they do not fit what was said of its inputs."""
    if not given:
        return None
    try:
        return replace(_checked(given, None, signature), is_example=True)
    except BadInput:
        return None


def _require_finite(name: str, array: Array) -> None:
    if is_float(array.dtype) and not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
        raise BadInput(
            f"'{name}' holds {'NaN' if np.isnan(array).any() else 'Inf'} (first in row {first})",
            hint="Equality cannot be shown on values that are no numbers; remove those rows.",
        )


def make(
    signature: Signature,
    data: Data | None,
    *,
    count: int = 512,
    seed: int = 7,
    left_out: AbstractSet[str] = frozenset(),
    ranges: Mapping[str, int] | None = None,
    vocabularies: Mapping[str, Vocabulary] | None = None,
) -> Plan:
    """About `count` inputs: half of them real where there is data, the rest generated, in batches of several sizes.

    `left_out` are kinds that are not generated; where those are all kinds, the inputs are real ones alone.
    `ranges` says of integer inputs how many values they take, from 0 on; the others are 0 and 1, or what the data hold.
    `vocabularies` are words and integers that the model is known to look up: most values are among them.
    """
    generator = np.random.default_rng(seed)
    wanted = max(count, MINIMUM)
    batches: list[Batch] = []
    labels = None
    if data is not None:
        chosen = _choose(data.rows, wanted // 2 if set(KINDS) - left_out else wanted, generator)
        batches += _real(signature, data, chosen)
        labels = data.labels[chosen] if data.labels is not None else None
    real = sum(batch.size for batch in batches)
    if set(KINDS) - left_out:
        batches += _generated(signature, data, wanted - real, generator, left_out, ranges or {}, vocabularies or {})
    elif signature.batch:
        batches += _dependence(signature, batches)
    return Plan(tuple(batches), seed, labels, _not_tried(signature, data, {*(ranges or {}), *(vocabularies or {})}))


def _choose(rows: int, wanted: int, generator: np.random.Generator) -> Array:
    return np.sort(generator.permutation(rows)[:wanted])


def _real(signature: Signature, data: Data, chosen: Array) -> list[Batch]:
    """The chosen rows as batches of 1, 2, 3, 7 and then of the largest size."""
    batches, start = [], 0
    largest = signature.limit(signature.batch) if signature.batch else None
    sizes = itertools.chain(BATCH_SIZES, itertools.repeat(LARGEST_BATCH))
    while start < len(chosen):
        size = min(next(sizes), len(chosen) - start, largest or LARGEST_BATCH)
        batches.append(Batch("real", data.take(chosen[start : start + size]), size))
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
        if array is None or not is_float(array.dtype):
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


KINDS = ("normal", "uniform", "zeros", "ones", "negative", "large", "tiny", "denormal", "sparse")

# Share of the generated inputs that each kind gets; zeros and ones need but a few.
_SHARES = {"normal": 0.44, "uniform": 0.12, "negative": 0.08, "large": 0.08, "tiny": 0.08, "denormal": 0.04,
           "sparse": 0.08, "zeros": 0.02, "ones": 0.02}  # fmt: skip


def _generated(
    signature: Signature,
    data: Data | None,
    wanted: int,
    generator: np.random.Generator,
    left_out: AbstractSet[str],
    ranges: Mapping[str, int],
    vocabularies: Mapping[str, Vocabulary],
) -> list[Batch]:
    sizes = _batch_sizes(signature, wanted)
    batches: list[Batch] = []
    for index, (kind, wished) in enumerate(_schedule(sizes, left_out)):
        concrete = _sizes(signature, wished, index)
        size = concrete.get(signature.batch or "", 1)  # a declared limit may have cut it
        inputs = {
            spec.name: _array(
                spec,
                concrete,
                kind,
                data.arrays.get(spec.name) if data else None,
                generator,
                ranges.get(spec.name) if data is None or data.is_example else None,
                vocabularies.get(spec.name),
            )
            for spec in signature.inputs
        }
        batches.append(Batch(kind, inputs, size))
    if signature.batch:
        batches += _dependence(signature, batches)
    return batches


def _batch_sizes(signature: Signature, wanted: int) -> list[int]:
    """Small batches first, one for each kind whatever is wanted; then large ones among them."""
    if signature.batch is None:
        return [1] * min(wanted, MINIMUM)
    small = itertools.islice(itertools.cycle(BATCH_SIZES), len(_SHARES))
    sizes: list[int] = []
    left = wanted
    for size in itertools.chain(small, itertools.cycle((32, *BATCH_SIZES))):
        if left <= 0 and len(sizes) >= len(_SHARES):
            return sizes
        sizes.append(max(1, min(size, left)))
        left -= sizes[-1]
    raise AssertionError("a cycle has no end")


def _schedule(sizes: Sequence[int], left_out: AbstractSet[str]) -> list[tuple[str, int]]:
    """A kind for each batch: each gets about its share of the inputs, and every kind at least one batch."""
    total = sum(sizes)
    given: Counter[str] = Counter()
    schedule = []
    for size in sizes:
        kind = max(
            (name for name in _SHARES if name not in left_out),
            key=lambda name: _SHARES[name] - given[name] / total if given[name] else 1 + _SHARES[name],
        )
        given[kind] += size
        schedule.append((kind, size))
    return schedule


def _sizes(signature: Signature, batch: int, index: int) -> dict[str, int]:
    sizes = {}
    for position, symbol in enumerate(signature.symbols):
        others = _IMAGE_SIZES if symbol in signature.image_sides else _OTHER_SIZES
        size = batch if symbol == signature.batch else others[position % 2][index % 2]
        step = signature.multiple(symbol)
        if step > 1:  # rounded alone, sizes near each other would become one
            size += step * (position % 2 + index % 2)
        sizes[symbol] = signature.sized(symbol, size)
    return sizes


def _array(
    spec: TensorSpec,
    sizes: Mapping[str, int],
    kind: str,
    data: Array | None,
    generator: np.random.Generator,
    values: int | None = None,
    vocabulary: Vocabulary | None = None,
) -> Array:
    shape = spec.with_sizes(sizes)
    if spec.dtype == "string":
        own = Vocabulary(tuple(np.ravel(data)), is_closed=True) if data is not None and data.size else vocabulary
        return _known_or(words.drawn(generator, shape), own, generator)
    if spec.dtype == "bool":
        return np.asarray(generator.integers(0, 2, shape)).astype(bool)
    if spec.dtype.startswith(("int", "uint")):
        held = (int(data.min()), int(data.max())) if data is not None and data.size else (0, 1)
        low, high = (0, 255) if spec.is_pictures else (0, values - 1) if values else held
        drawn = np.asarray(generator.integers(low, high + 1, shape)).astype(dtype_of(spec.dtype))
        return _known_or(drawn, vocabulary if data is None else None, generator)
    return np.asarray(_makers(_Scale.of(data))[kind](generator, shape)).astype(dtype_of(spec.dtype))


def _known_or(drawn: Array, known: Vocabulary | None, generator: np.random.Generator) -> Array:
    """The values drawn, most of them replaced by values that the model knows, and all where it takes no others."""
    if known is None:
        return drawn
    chosen = np.asarray(known.array.astype(drawn.dtype)[generator.integers(0, len(known.values), drawn.shape)])
    return chosen if known.is_closed else np.asarray(np.where(generator.random(drawn.shape) < _KNOWN, chosen, drawn))


def _dependence(signature: Signature, batches: Sequence[Batch]) -> list[Batch]:
    """One row seven times, and a batch in another order: a row's result may not depend on its neighbours."""
    model = max(batches, key=lambda batch: (batch.kind == "normal", batch.size))
    batched = signature.batched

    def rows(index: Array) -> dict[str, Array]:
        return {name: array[index] if name in batched else array for name, array in model.inputs.items()}

    times = min(BATCH_SIZES[-1], signature.limit(signature.batch or "") or BATCH_SIZES[-1])
    repeated = np.zeros(times, int)
    permuted = np.arange(model.size)[::-1]
    return [Batch("repeated row", rows(repeated), times), Batch("permuted rows", rows(permuted), model.size)]


def _not_tried(signature: Signature, data: Data | None, understood: AbstractSet[str]) -> tuple[str, ...]:
    """What the plan leaves out, in words, for the report; of the inputs `understood` it has all that they may be."""
    missing = ["magnitudes above 1e4", "batches above 64"]
    if data is None:
        missing.insert(0, "real data (none was given: --data FILE.npz)")
    elif data.is_example:
        missing.insert(0, "real data but for the model's own example (--data FILE.npz)")
    missing += [f"sizes of '{symbol}' that are no multiples of {number}" for symbol, number in signature.multiples]
    for spec in signature.inputs:
        if spec.dtype.startswith(("int", "uint")) and not spec.is_pictures:
            if (data is None or data.is_example) and spec.name in understood:
                continue  # all that it may be
            known = data is not None
            missing.append(f"'{spec.name}' outside the data's range" if known else f"'{spec.name}' other than 0 and 1")
    return tuple(missing)
