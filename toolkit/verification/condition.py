"""How far rounding moves the outputs of an input: the noise that any float32 run of it has to be allowed.

A source may hit the truth of an ill-conditioned input by luck (a saturated gate, a softmax of large scores). Where a
few inputs alone are beyond their limit, those are weighed: the source and its float64 form are run on the same inputs
moved by 1 ULP of their float32, several times, and their noise is floored at what that does to the truth, and at what
the source errs by there. A wrong file gains nothing by it: on a well-conditioned input a ULP moves the truth by less
than the source's noise, and the source errs no more beside an input than on it. Denormal numbers are moved to 0 as
well: some runtimes take them for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exporters.precision.kinds import FULL
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare
from toolkit.verification.compare import Measured
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison
from toolkit.verification.sides import Outputs, Side

Array = np.ndarray[Any, Any]

_MOVES = 8  # runs on moved inputs
_FAR = 4  # ULP that the inputs of classes are moved by: what rounding may add up to, the floor of any noise
_SHARE = 0.25  # where more of the ordinary inputs are beyond the limit, that is no matter of a few ill-conditioned ones


def beyond(
    signature: Signature,
    batches: Sequence[Batch],
    source: Outputs,
    compared: Sequence[tuple[OutputComparison, Measured | None]],
    limit: float,
) -> list[int]:
    """The positions of the batches that hold inputs with R above `limit`; none where those are too many of the
    ordinary ones: hostile inputs (zeros, ones) may all be alike.
    """
    positions: set[int] = set()
    for output, measured in compared:
        if measured is None:
            continue
        over = np.flatnonzero(~(measured.ratios <= limit))
        spec = signature.output(output.name)
        counts = [len(compare.rows_of(spec, [batch[output.name]])) for batch in source]
        ordinary = np.repeat([batch.kind not in compare.HOSTILE for batch in batches], counts)
        if np.count_nonzero(ordinary[over]) > _SHARE * np.count_nonzero(ordinary):
            return []
        positions.update(int(i) for i in np.searchsorted(np.cumsum(counts), over, side="right"))
    return sorted(positions)


def weigh(side: Side, answers: Answers, positions: Sequence[int]) -> Answers:
    """The answers with the condition of every input in the batches at `positions`. Raises what the source raises."""
    wanted = [i for i in positions if i not in answers.conditions]
    if not wanted or side.float64 is None:
        return answers
    generator = np.random.default_rng(0)
    classes = not all(spec.is_float for spec in side.signature.outputs)
    squares: dict[int, dict[str, Array]] = {}
    for _ in range(_MOVES):
        batches = [answers.batches[i].nudged(generator) for i in wanted]
        moved, beside = side.run_float64(batches), side.run(batches)
        far = side.run_float64([_far(answers.batches[i], generator) for i in wanted]) if classes else moved
        for index, near, farther, source in zip(wanted, moved, far, beside, strict=True):
            for spec in side.signature.outputs:
                name = spec.name
                moves = _moves(spec, answers, index, (near if spec.is_float else farther)[name])
                errs = _errs(spec, near[name], source[name])
                sums = squares.setdefault(index, {})
                sums[name] = sums.get(name, 0) + np.stack([moves, errs]) ** 2
    conditions = {
        i: {name: np.sqrt(sums / _MOVES).max(0) for name, sums in each.items()} for i, each in squares.items()
    }
    for index in wanted:
        for spec in (spec for spec in side.signature.outputs if not spec.is_float):
            tied = _of_equal_scores(side.signature, spec, answers.source[index])
            conditions[index][spec.name] = np.maximum(conditions[index][spec.name], tied)
    denormal = [i for i in wanted if answers.batches[i].is_denormal]
    for index, flushed in zip(
        denormal, side.run_float64([answers.batches[i].flushed() for i in denormal]), strict=True
    ):
        for spec in side.signature.outputs:
            found = _moves(spec, answers, index, flushed[spec.name])
            conditions[index][spec.name] = np.maximum(conditions[index][spec.name], found)
    return replace(answers, conditions={**answers.conditions, **conditions})


def _of_equal_scores(signature: Signature, spec: TensorSpec, outputs: Mapping[str, Array]) -> Array:
    """By input, how many of its classes or places have a score that another one has, too, in an output of that shape.

    Peaks of exactly 1 are the best five in any order, and no ULP tells them apart.
    """
    classes = outputs[spec.name]
    tied = np.zeros(classes.shape, bool)
    of_an_input = classes.ndim - int(bool(spec.shape) and spec.shape[0] == signature.batch)
    for other in signature.outputs if of_an_input else ():
        scores = outputs[other.name]
        if other.is_float and scores.shape == classes.shape:
            order = np.argsort(scores, -1)
            ranked = np.take_along_axis(scores, order, -1)
            same = ranked[..., 1:] == ranked[..., :-1]
            twice = np.zeros_like(tied)
            twice[..., 1:] |= same
            twice[..., :-1] |= same
            found = np.zeros_like(tied)
            np.put_along_axis(found, order, twice, -1)
            tied |= found
    return np.array([np.count_nonzero(row) for row in compare.rows_of(spec, [tied])], np.float64)


def _far(batch: Batch, generator: np.random.Generator) -> Batch:
    return batch.nudged(generator, _FAR).off_zero(generator)


def flushed(side: Side, answers: Answers, outputs: Outputs) -> Answers:
    """The answers, asked anew for batches of denormal numbers on which a file has other NaN or Inf than the source, and
    the very ones that the source has with 0 in their place: the root of -1e-40 is NaN or 0.
    """
    if side.float64 is None:
        return answers
    wanted = [
        index
        for index, (batch, ours, theirs) in enumerate(zip(answers.batches, answers.source, outputs, strict=True))
        if batch.is_denormal and not _is_alike(ours, theirs)
    ]
    batches, source, truth = list(answers.batches), list(answers.source), list(answers.truth)
    for index in wanted:
        batch = answers.batches[index].flushed()
        (ours,) = side.run([batch])
        if not _is_alike(ours, outputs[index]):
            return answers
        batches[index], source[index], (truth[index],) = batch, ours, side.run_float64([batch])
    return replace(answers, batches=tuple(batches), source=source, truth=truth) if wanted else answers


def _is_alike(source: Mapping[str, Array], export: Mapping[str, Array]) -> bool:
    return all(
        name in export and compare.check_structure(name, array, export[name]) is None for name, array in source.items()
    )


def _moves(spec: TensorSpec, answers: Answers, index: int, moved: Array) -> Array:
    """How far each input's output moved, relative to its size; of classes, how many changed; 0 where the shape did."""
    truth, source = answers.truth[index][spec.name], answers.source[index][spec.name]
    rows = compare.rows_of(spec, [truth])
    if moved.shape != truth.shape:
        return np.zeros(len(rows))
    if not spec.is_float:
        changed = zip(rows, compare.rows_of(spec, [moved]), strict=True)
        return np.array([np.count_nonzero(a != b) for a, b in changed], np.float64)
    found = compare.relative_differences(rows, compare.rows_of(spec, [source]), compare.rows_of(spec, [moved]))
    return np.where(np.isfinite(found), found, 0.0)


def _errs(spec: TensorSpec, truth: Array, source: Array) -> Array:
    """The source's own error beside each input, relative to the size of its output; of classes, how many are others:
    scores that are all 1 in float32 are no ties in float64.
    """
    pairs = zip(compare.rows_of(spec, [truth]), compare.rows_of(spec, [source]), strict=True)
    if not spec.is_float:
        return np.array([np.count_nonzero(t != s) if t.shape == s.shape else 0 for t, s in pairs], np.float64)
    found = np.array([compare.relative_difference(t, s, s) for t, s in pairs])
    return np.where(np.isfinite(found), found, 0.0)


def words(signature: Signature, answers: Answers) -> str:
    """What was found of the inputs that were weighed, for the row's notes."""
    largest = max((float(answers.condition(spec).max(initial=0.0)) for spec in signature.outputs if spec.is_float),
                  default=0.0)  # fmt: skip
    if answers.in_steps and answers.precision != FULL:
        return (
            f"the source computes in {answers.precision}: rounding every operator's result to it moves the outputs by"
            f" up to {largest:.1e} of themselves; that is part of their noise"
        )
    if answers.in_steps:
        return (
            f"the source rounds to steps: float32 may take the next one, which moves the outputs by up to {largest:.1e}"
            " of themselves; that is part of their noise"
        )
    ties = sum(int(np.ceil(answers.condition(spec)).sum()) for spec in signature.outputs if not spec.is_float)
    found = [f"moved by 1 ULP they move the outputs by up to {largest:.1e} of itself"] if largest else []
    if ties:
        found.append(f"{ties} classes are ties")
    return f"a few inputs are ill-conditioned: {', '.join(found) or 'no more than others'}; that is part of their noise"
