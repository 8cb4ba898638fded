"""Measure two sets of outputs against the truth, in units of the source's own rounding noise.

For each input, flattened: noise = ||source - truth||, error = ||export - truth||. R is error over noise, for each input
and as the root mean square over all. The noise is floored at 4 ULP of the output's usual values, and at the typical
noise, relative to the output's size, of all inputs and of inputs made alike: a source that is exact on one input by
luck proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from toolkit.signature import TensorSpec
from toolkit.verification.report import Histogram, OutputComparison
from toolkit.verification.stacked import finite, largest_of, norms, root_mean_squares, stacks
from toolkit.worker.wire import is_float, largest

Array = np.ndarray[Any, Any]

FLOOR_ULP = 4.0
EXACT_ULP = 1.0
DENORMAL = "denormal"  # the kind of input that a runtime may take for zero
HOSTILE = frozenset({"large", "tiny", "zeros", "ones", DENORMAL})
MOST_TIES = 0.05  # of all elements: a source whose classes differ from its truth's on more is compared exactly
# Edges of the histogram of R: about equal steps on a log scale, with 1 and both usual limits, 3 and 10, among them.
_EDGES = (*(step * 10.0**power for power in range(-2, 6) for step in (1.0, 1.7, 3.0, 5.5)), 1e6)


@dataclass(frozen=True)
class Mismatch:
    """A difference of kind, not of degree: where ("output 'scores'"), what was found and what was expected."""

    where: str
    what: str


def check_structure(name: str, source: Array, export: Any) -> Mismatch | None:
    """Dtype, shape without broadcasting, and NaN or Inf only where the source has them."""
    place = f"output '{name}'"
    if not isinstance(export, np.ndarray):
        return Mismatch(place, f"a {type(export).__name__} where the source has a tensor")
    if export.dtype != source.dtype:
        return Mismatch(place, f"dtype {export.dtype} where the source has {source.dtype}")
    if export.shape != source.shape:
        return Mismatch(place, f"shape {list(export.shape)} where the source has {list(source.shape)}")
    if not is_float(source.dtype):
        return None
    for word, found in (("NaN", np.isnan), ("Inf", np.isposinf), ("-Inf", np.isneginf)):
        there, here = found(export), found(source)
        if not np.array_equal(there, here):
            extra = int((there & ~here).sum())
            where = f"{extra} {word} that the source does not have" if extra else f"no {word} where the source has it"
            return Mismatch(place, where)
    return None


def rows_of(spec: TensorSpec, arrays: Sequence[Array]) -> list[Array]:
    """One flat array per input: a batch's rows where the first dimension is dynamic, else the whole batch as one."""
    if spec.shape and isinstance(spec.shape[0], str):
        return [array[index : index + 1].reshape(-1) for array in arrays for index in range(len(array))]
    return [array.reshape(-1) for array in arrays]


@dataclass(frozen=True)
class Measured:
    """Per input: error and noise relative to the output's size, their ratio, and the totals over all inputs.

    `exact_ulp` is the largest difference of one element from the truth, for a source that is exact.
    """

    ratios: Array
    pooled: float
    worst: int
    relative_noise: float
    exact_source: bool
    exact_ulp: float = 0.0


def measure(
    truth: Sequence[Array],
    source: Sequence[Array],
    export: Sequence[Array],
    kinds: Sequence[str] | None = None,
    condition: Array | None = None,
) -> Measured:
    """R for every input and pooled. All three hold one flat array per input, of equal sizes.

    `kinds` says how each input was made; inputs of a kind share their typical noise. `condition` says how far each
    input's own rounding moves the truth, relative to the output's size: the least that its noise is taken for.
    """
    error, noise, floor, size, ulp = (np.zeros(len(truth)) for _ in range(5))
    usual = _usual_spacing(truth, source[0].dtype)
    # A runtime that flushes denormals to zero may do so on inputs that are denormal, and nowhere else.
    least = np.array([usual if kind == DENORMAL else 0.0 for kind in kinds or [""] * len(truth)])
    for place, rows in stacks(truth, source, export):
        found = finite(*rows)
        difference = found.export - found.truth
        error[place], noise[place] = norms(difference), norms(found.source - found.truth)
        floor[place], size[place] = FLOOR_ULP * norms(found.spacing), norms(found.truth)
        ulp[place] = largest_of(np.abs(difference) / np.maximum(found.spacing, least[place, None]))
    spacings = [usual * np.sqrt(t.size) for t in truth]
    floor = np.maximum(floor, FLOOR_ULP * np.array(spacings, np.float64))
    scale = size + floor
    scale[scale == 0] = 1.0  # an output that is empty for this input: nothing can be wrong with it
    own = np.maximum(noise, floor) / scale
    expected = np.maximum(own, _typical(own, kinds))
    if condition is not None:
        expected = np.maximum(expected, condition)
    ratios = np.divide(error / scale, expected, out=np.zeros(len(error)), where=error != 0)
    if condition is not None:  # of an exact source only a denormal number may be taken for 0, whatever follows of it
        ulp[(least > 0) & (error <= condition * scale)] = 0.0
    return Measured(
        ratios=ratios,
        pooled=float(np.sqrt(np.mean(ratios**2))),
        worst=int(np.argmax(ratios)),
        relative_noise=float(np.median(noise / scale)),
        # In float64 nothing is more exact than the source: that it equals the truth says nothing of its rounding.
        exact_source=not noise.any() and source[0].dtype != np.float64,
        exact_ulp=float(ulp.max(initial=0.0)),
    )


def measure_counts(
    truth: Sequence[Array],
    source: Sequence[Array],
    export: Sequence[Array],
    kinds: Sequence[str] | None = None,
    condition: Array | None = None,
) -> Measured | None:
    """The same for values that are right or wrong (classes, flags): errors are numbers of elements unlike the truth.

    A class is a tie where two scores are as good as equal: then the source's own classes differ from the truth's, or
    the truth's change when its inputs are moved (`condition`). None where that is so for too many elements of ordinary
    inputs to tell a right file from a wrong one; hostile inputs saturate scores, and then all classes are ties.
    """
    error = np.array([np.count_nonzero(t != e) for t, e in zip(truth, export, strict=True)], np.float64)
    noise = np.array([np.count_nonzero(t != s) for t, s in zip(truth, source, strict=True)], np.float64)
    ordinary = np.array([kind not in HOSTILE for kind in kinds or [""] * len(truth)])
    elements = np.array([t.size for t in truth])
    if noise[ordinary].sum() > MOST_TIES * elements[ordinary].sum():
        return None
    expected = np.maximum(noise, _typical(noise, kinds))
    if condition is not None:
        expected = np.maximum(expected, condition)
    certain = np.where(error > 0, np.inf, 0.0)
    ratios = np.divide(error, expected, out=certain, where=expected > 0)
    total = float(expected.sum())
    return Measured(
        ratios=ratios,
        pooled=float(error.sum()) / total if total else float(certain.max(initial=0.0)),
        worst=int(np.argmax(ratios)),
        relative_noise=0.0,
        exact_source=not total,
    )


def _usual_spacing(truth: Sequence[Array], dtype: np.dtype[Any]) -> Any:
    """The spacing of the output's usual values.

    A sample of tiny outputs (every probability near 0) is judged at their precision.
    """
    sizes = np.zeros(len(truth))
    for place, (rows,) in stacks(truth):
        sizes[place] = root_mean_squares(rows, largest(dtype) / 2)
    return np.spacing(dtype.type(np.median(sizes)))


def _typical(noise: Array, kinds: Sequence[str] | None) -> Array:
    """The median noise over all inputs, or over an input's own kind where that is larger.

    Medians, because a runtime that flushes denormals to zero is wrong by 100 % on a few inputs, and rightly so; their
    noise must not excuse an error on the others.
    """
    typical = np.full(len(noise), float(np.median(noise)))
    for kind in set(kinds or ()):
        members = np.array([item == kind for item in kinds or ()])
        typical[members] = np.maximum(typical[members], np.median(noise[members]))
    return typical


def describe(
    spec: TensorSpec,
    truth: Sequence[Array],
    source: Sequence[Array],
    export: Sequence[Array],
    kinds: Sequence[str] | None = None,
    condition: Array | None = None,
) -> tuple[OutputComparison, Measured | None]:
    """Everything that is reported of one output. Arrays and `kinds` come by batch, `condition` by input;
    `check_structure` has passed.
    """
    t, s, e = (rows_of(spec, arrays) for arrays in (truth, source, export))
    by_row = (
        [kind for kind, array in zip(kinds, source, strict=True) for _ in rows_of(spec, [array])] if kinds else None
    )
    identical = all(np.array_equal(a, b, equal_nan=is_float(a.dtype)) for a, b in zip(source, export, strict=True))
    is_number = is_float(s[0].dtype)
    measured = (measure if is_number else measure_counts)(t, s, e, by_row, condition)
    agree, ties = _classes(spec, t, s, e) if is_number else (None, 0)
    differences = _differences(s, e) if is_number or s[0].dtype.kind in "iub" else (float(not identical), 0.0, 0.0, 1.0)
    return (
        OutputComparison(
            name=spec.name,
            dtype=spec.dtype,
            max_abs=differences[0],
            max_rel=differences[1],
            max_ulp=differences[2],
            cosine=differences[3],
            noise_ratio=None if measured is None or measured.exact_source else measured.pooled,
            worst_ratio=None if measured is None or measured.exact_source else float(measured.ratios.max()),
            worst_input=measured.worst if measured else None,
            agree=agree,
            ties=ties,
            count=len(s),
            identical=identical,
            errors=_histogram(measured.ratios) if measured and not measured.exact_source else None,
        ),
        measured,
    )


def against_truth(
    spec: TensorSpec,
    described: tuple[OutputComparison, Measured | None],
    truth: Sequence[Array],
    source: Sequence[Array],
    export: Sequence[Array],
) -> tuple[OutputComparison, Measured | None]:
    """The same with differences and classes from the truth, where `source` is no more than a yardstick."""
    output, measured = described
    t, s, e = (rows_of(spec, arrays) for arrays in (truth, source, export))
    if not is_float(s[0].dtype):
        return described
    t = [a.astype(b.dtype) for a, b in zip(t, s, strict=True)]
    agree, _ = _classes(spec, t, t, e)
    largest_abs, largest_rel, largest_ulp, cosine = _differences(t, e)
    output = replace(output, max_abs=largest_abs, max_rel=largest_rel, max_ulp=largest_ulp, cosine=cosine)
    return replace(output, agree=agree, ties=0), measured


def _differences(source: Sequence[Array], export: Sequence[Array]) -> tuple[float, float, float, float]:
    """Largest absolute, relative and ULP difference, and the smallest cosine, over all inputs."""
    worst_abs = worst_rel = worst_ulp = 0.0
    cosine = 1.0
    for _, (s, e) in stacks(source, export):
        found = finite(s.astype(np.float64), s, e)
        difference = np.abs(found.export - found.truth)
        relative = np.divide(difference, np.abs(found.truth), out=np.zeros_like(difference), where=found.truth != 0)
        # Over rows that hold no NaN: a row that does says nothing of how far the others are apart.
        worst_abs = float(np.fmax.reduce(largest_of(difference), initial=worst_abs))
        worst_rel = float(np.fmax.reduce(largest_of(relative), initial=worst_rel))
        worst_ulp = float(np.fmax.reduce(largest_of(difference / found.spacing), initial=worst_ulp))
        ours, theirs = norms(found.truth), norms(found.export)
        for index in np.flatnonzero(ours * theirs):
            pair = found.truth[index] / ours[index], found.export[index] / theirs[index]
            cosine = min(cosine, float(np.dot(*pair)))
    return worst_abs, worst_rel, worst_ulp, cosine


def _classes(
    spec: TensorSpec, truth: Sequence[Array], source: Sequence[Array], export: Sequence[Array]
) -> tuple[int | None, int]:
    """How many inputs have the same largest entry on both sides, and how many of the others are ties.

    A tie is an input whose two largest entries lie closer together than the source's own error.
    """
    if len(spec.shape) != 2 or spec.shape[1] in (0, 1) or not all(np.isfinite(row).all() for row in (*source, *export)):
        return None, 0
    if not all(row.size for row in source):  # rows that a condition picked, and none of this input
        return None, 0
    agree = ties = 0
    for _, (t, s, e) in stacks(truth, source, export):
        first, second = np.argmax(s, axis=1), np.argmax(e, axis=1)
        agree += int(np.count_nonzero(first == second))
        for row in np.flatnonzero(first != second):
            margin = abs(float(t[row, first[row]]) - float(t[row, second[row]]))
            ties += margin <= 2 * float(np.max(np.abs(s[row] - t[row])))
    return agree, ties


def _histogram(ratios: Array) -> Histogram:
    counts, edges = np.histogram(np.clip(ratios, _EDGES[0], _EDGES[-1]), _EDGES)
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)), "x the source's noise")


def relative_difference(truth: Array, source: Array, export: Array) -> float:
    """||export - truth|| over the size of one input's output, where the source is finite; inf for NaN in the export."""
    return float(relative_differences(*([array.reshape(-1)] for array in (truth, source, export)))[0])


def relative_differences(truth: Sequence[Array], source: Sequence[Array], export: Sequence[Array]) -> Array:
    """The same for every input; all three hold one flat array for each."""
    differences = np.zeros(len(truth))
    for place, rows in stacks(truth, source, export):
        found = finite(*rows)
        size = norms(found.truth) + FLOOR_ULP * norms(found.spacing)
        difference = norms(found.export - found.truth)
        ratio = np.divide(difference, size, out=np.zeros(len(size)), where=size != 0)
        differences[place] = np.where(np.isfinite(difference), ratio, np.inf)
    return differences
