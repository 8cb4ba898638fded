"""The second look: what float32 noise hides shows in float64, and in the weights' bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exporters.precision.kinds import FULL
from toolkit.errors import ToolkitError
from toolkit.verification import compare, condition, weights
from toolkit.verification.reference import Answers
from toolkit.verification.report import Lens
from toolkit.verification.sides import Outputs, Side
from toolkit.verification.weights import Fingerprint
from toolkit.worker.wire import is_float

EXACT = 1e-12
# One amplification of rounding errors carries over: a model that turns 2^-24 into 1e-5 turns 2^-53 into 2e-14.
_NOISE_IN_FLOAT64 = 64 * 2.0**-29
# Scalars such as an epsilon or a slope are float64 in Python and float32 in every file: up to 2^-24 of themselves; so
# are the tables that a converter works out (a resize's weights). Right files reach 2.4e-7, wrong ones start at 8.9e-7.
SCALARS = 4e-7
# Weights that were multiplied together in float32 (BatchNormalization into its neighbour) are rounded once more.
FOLDED = 2e-6
# Of what moving the constants by 1 ULP, by chance up or down, does to the outputs: they were rounded by half of that,
# but by worse luck.
_AMPLIFIED = 4.0

# An input's noise may be some times the median by chance; above that it is the input's condition.
_SPREAD = 8.0
_LEAST_NOISE = 2.0**-24

# Inputs that a float64 run is asked for, of every kind some: what differs in float64 differs on nearly all of them.
INPUTS = 96


def look(side: Side, reference: Side, source: Sequence[Fingerprint], answers: Answers, noise: float) -> list[Lens]:
    """Both lenses on one file. `noise` is the source's own relative error in float32."""
    if side.ran_on != "cpu":
        return []
    bits = _weights(side, reference, source)
    return [_float64(side, reference, source, answers.sample(INPUTS), noise, same_weights=bits.passed), bits]


def weights_alone(side: Side, reference: Side, source: Sequence[Fingerprint]) -> Lens:
    """The lens that needs no run."""
    return _weights(side, reference, source)


def _weights(side: Side, reference: Side, source: Sequence[Fingerprint]) -> Lens:
    try:
        return weights.lens(source, side.fingerprints(), reference.weights, side.weights)
    except ToolkitError as error:
        return Lens("weights", None, None, error.found)


def _float64(
    side: Side,
    reference: Side,
    source: Sequence[Fingerprint],
    answers: Answers,
    noise: float,
    *,
    same_weights: bool | None,  # None: they were folded, or cannot be told
) -> Lens:
    if not answers.in_float64:
        return Lens("float64", None, None, "not run: the source has no float64 form")
    try:
        side.prepare_float64(reference.given, few_bits=answers.precision != FULL)
        outputs = side.run_float64(answers.batches)
    except ToolkitError as error:
        return Lens("float64", None, None, f"not run: {error.found}")
    if any(not spec.is_float for spec in side.signature.outputs):
        answers = _with_ties(reference, answers, outputs)
    difference = _difference(side, answers, outputs, noise)
    exact = max(EXACT, _NOISE_IN_FLOAT64 * noise)
    if difference <= exact:
        return Lens("float64", True, difference, f"agrees to {difference:.1e}")
    if difference <= SCALARS:
        return Lens("float64", True, difference, f"agrees to {difference:.1e}: scalars were rounded to float32")
    if same_weights is None and difference <= max(FOLDED, 2 * noise):
        return Lens("float64", True, difference, f"agrees to {difference:.1e}: weights were folded in float32")
    if difference <= _AMPLIFIED * _of_constants(side, source, answers, outputs, noise):
        return Lens("float64", True, difference, f"agrees to {difference:.1e}: its constants were rounded to float32")
    return Lens(
        "float64",
        False,
        difference,
        f"in float64 the outputs differ by {difference:.1e} relative, {_WHY[same_weights]}",
    )


_WHY = {
    True: "with the same weights: the arithmetic differs",
    False: "with other weights",
    None: "more than folding in float32 explains",
}


def _of_constants(side: Side, source: Sequence[Fingerprint], answers: Answers, outputs: Outputs, noise: float) -> float:
    """How far the outputs move in float64 with the last bits of the file's constants, which a converter rounded."""
    try:
        moved = side.run_moved(answers.batches, source)
    except ToolkitError:
        return 0.0  # then nothing is explained so
    return _difference(side, replace(answers, truth=outputs), moved, noise)


def _with_ties(reference: Side, answers: Answers, outputs: Outputs) -> Answers:
    """The answers with the ties among the classes that differ, where those are few; in float64 too a tie may fall."""
    names = [spec.name for spec in reference.signature.outputs if not spec.is_float]
    pairs = [[(true[name], found[name]) for name in names] for true, found in zip(answers.truth, outputs, strict=True)]
    counts = [sum(np.count_nonzero(a != b) for a, b in each if a.shape == b.shape) for each in pairs]
    ordinary = [index for index, batch in enumerate(answers.batches) if batch.kind not in compare.HOSTILE]
    elements = sum(a.size for index in ordinary for a, _ in pairs[index])
    if sum(counts[index] for index in ordinary) > compare.MOST_TIES * elements:
        return answers
    return condition.weigh(reference, answers, [index for index, count in enumerate(counts) if count])


def _difference(side: Side, answers: Answers, outputs: Outputs, noise: float) -> float:
    """The largest relative difference from the truth over all inputs and float outputs.

    What a scalar's rounding does to an output grows with the condition of the input, as the source's own noise does:
    on an input that is noisier than most, the difference is taken in proportion.
    """
    worst = 0.0
    usual = _SPREAD * max(noise, _LEAST_NOISE)
    for spec in side.signature.outputs:
        ties = answers.condition(spec)
        sides = ([batch[spec.name] for batch in each] for each in (answers.truth, answers.source, outputs))
        truth, source, export = (compare.rows_of(spec, arrays) for arrays in sides)
        if is_float(source[0].dtype):
            own = compare.relative_differences(truth, source, source)  # finite: it is masked
            found = compare.relative_differences(truth, source, export) / np.maximum(1.0, own / usual)
            worst = max(worst, float(np.where(np.isnan(found), np.inf, found).max(initial=0.0)))
            continue
        for true, ours, theirs, tied in zip(truth, source, export, ties, strict=True):
            if np.count_nonzero(true != theirs) > max(np.count_nonzero(true != ours), np.ceil(tied)):
                worst = max(worst, 1.0)
    return worst
