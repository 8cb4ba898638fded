"""What the files are compared with: a live source, or the golden data of a bundle.

A reference answers with the source's outputs and the truth for the plan's batches, and says how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from exporters.precision.kinds import FULL
from toolkit.contract import Contract
from toolkit.errors import BadInput, TaskFailed, ToolkitError, WorkerCrashed, WorkerOutOfMemory, WorkerTimeout
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare, steps
from toolkit.verification.plan import Batch
from toolkit.verification.report import Reference
from toolkit.verification.sides import Outputs, Side
from toolkit.worker.wire import is_float, precision

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Doubt:
    """A reason why nothing can pass by this reference; where it is `blind`, nothing can fail by its numbers either."""

    words: str
    blind: bool = False


@dataclass(frozen=True)
class Answers:
    """The reference's outputs for some batches. `how` says what the truth is; in float64 it is exact enough to test
    another float64 run against it. `conditions` says, by the position of a batch and by output, how far each input's
    rounding moves the truth, where that had to be known.
    """

    batches: tuple[Batch, ...]
    source: Outputs
    truth: Outputs
    how: str
    doubts: tuple[Doubt, ...] = ()
    in_float64: bool = True
    repeats: bool = True
    conditions: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)
    precision: str = FULL  # in which `source` was computed; the truth is float64 always
    in_steps: bool = False  # whether the source rounds to steps or to few bits: `conditions` are what that costs

    def condition(self, spec: TensorSpec) -> Array:
        """By input, how far its rounding moves this output relative to the output's size; 0 where it was not asked."""
        counts = [len(compare.rows_of(spec, [batch[spec.name]])) for batch in self.source]
        known = [self.conditions.get(index, {}).get(spec.name) for index in range(len(counts))]
        parts = [np.zeros(n) if found is None else found for n, found in zip(counts, known, strict=True)]
        return np.concatenate(parts)

    def extended(self, more: Answers) -> Answers:
        return replace(
            self,
            batches=(*self.batches, *more.batches),
            source=[*self.source, *more.source],
            truth=[*self.truth, *more.truth],
            doubts=(*self.doubts, *more.doubts),
            conditions={**self.conditions, **{len(self.batches) + i: each for i, each in more.conditions.items()}},
            repeats=self.repeats and more.repeats,
        )

    def sample(self, count: int) -> Answers:
        """Some of the batches: one of each kind, and then the first ones up to `count` inputs."""
        index = sample(self.batches, count)
        source, truth = ([each[i] for i in index] for each in (self.source, self.truth))
        batches = tuple(self.batches[i] for i in index)
        conditions = {new: self.conditions[old] for new, old in enumerate(index) if old in self.conditions}
        return replace(self, batches=batches, source=source, truth=truth, conditions=conditions)


def sample(batches: Sequence[Batch], count: int) -> list[int]:
    """The positions of one batch of each kind, and of the first others until there are `count` inputs."""
    chosen = {next(i for i, batch in enumerate(batches) if batch.kind == kind) for kind in {b.kind for b in batches}}
    total = sum(batches[i].size for i in chosen)
    for index, batch in enumerate(batches):
        if total >= count:
            break
        if index not in chosen:
            chosen.add(index)
            total += batch.size
    return sorted(chosen)


_FLOATS = ("float16", "bfloat16", "float32", "float64")
_REPEATED = 96  # inputs on which the source is asked twice
# A float32 model's error is some 1e-7 of its outputs, one in TF32 or bfloat16 has 3e-4 and more.
_REDUCED = 1024
# An ill-conditioned model errs as much in float32; then a change of its inputs by 1 ULP moves the truth about as far.
_CONDITION = 64
_FLOOR = 2.0**-11  # of the output: half a step of float16


def ask(side: Side, batches: Sequence[Batch]) -> Answers:
    """Run a live source, some of it twice (does it repeat itself?), and once more for the truth."""
    source = asked(side, batches)
    again = sample(batches, _REPEATED)
    repeats = _equal([source[i] for i in again], side.run([batches[i] for i in again]))
    doubts = (
        []
        if repeats
        else [Doubt("the source gives other outputs when run again: it is random, or keeps a state", blind=True)]
    )
    doubts += _empty(side.signature, source)
    if is_constant(side.signature, source):
        doubts.append(Doubt(constant_words(side)))
    truth, how, in_float64 = _truth(side, batches, source)
    if truth is None:
        doubts.append(Doubt(f"its truth cannot be computed: {how}", blind=True))
        return Answers(tuple(batches), source, source, "none", tuple(doubts), in_float64=False, repeats=repeats)
    doubts += _unlike(side.signature, source, truth)
    own = side.own_precision
    if in_float64 and not doubts:
        doubts += (
            _reduced(side, batches, source, truth) if own == FULL else hopeless(side.signature, source, truth, own)
        )
    stepped = steps.conditions(side, batches, truth) if in_float64 else {}
    if stepped and own != FULL and not doubts:
        doubts += _coarser(side.signature, source, truth, stepped, own)
    return Answers(
        tuple(batches), source, truth, how, tuple(doubts), in_float64, repeats, stepped, own, in_steps=bool(stepped)
    )


def asked(side: Side, batches: Sequence[Batch]) -> Outputs:
    """The source's outputs. Raises BadInput where it takes a call of the plan's not at all: nothing can be compared."""
    try:
        return side.run(batches)
    except TaskFailed as error:
        raise BadInput(
            f"the source raised on inputs that were generated for it ({error.found})",
            hint="Say what it takes: --input with sizes and limits, or --data with inputs of yours.",
        ) from error


def _truth(side: Side, batches: Sequence[Batch], source: Outputs) -> tuple[Outputs | None, str, bool]:
    """The outputs in float64, else an estimate, with how it was made; else None with the reason."""
    try:
        if side.float64 is None:
            side.prepare_float64()
        return side.run_float64(batches), side.truth, side.truth_in_float64
    except (WorkerCrashed, WorkerTimeout, WorkerOutOfMemory):
        raise  # the source itself is gone
    except ToolkitError as error:
        why = error.found
    try:
        side.prepare_estimate()
        return side.run_float64(batches), side.truth, side.truth_in_float64
    except (WorkerCrashed, WorkerTimeout, WorkerOutOfMemory):
        raise
    except ToolkitError:
        if not any(spec.dtype in _FLOATS for spec in side.signature.outputs):
            return source, "the source itself, whose outputs are no floats", False
        return None, why, False


def _empty(signature: Signature, outputs: Outputs) -> list[Doubt]:
    """Outputs with nothing in them, or nothing finite, agree with anything of their kind."""
    doubts = []
    for name in signature.output_names:
        arrays = [batch[name] for batch in outputs]
        finite = (np.isfinite(array).any() if is_float(array.dtype) else array.size for array in arrays)
        if not any(finite):
            doubts.append(Doubt(f"the source's output '{name}' holds nothing that could be compared"))
    return doubts


def _unlike(signature: Signature, source: Outputs, truth: Outputs) -> list[Doubt]:
    """The truth must be the source's: of its shape, and finite where the source is."""
    for name in signature.output_names:
        for ours, true in ((a[name], b[name]) for a, b in zip(source, truth, strict=True)):
            if ours.shape != true.shape:
                return [Doubt(f"output '{name}' has another shape in float64", blind=True)]
            if is_float(ours.dtype) and not np.isfinite(true[np.isfinite(ours)]).all():
                return [Doubt(f"output '{name}' is finite in {ours.dtype} and not in float64", blind=True)]
    return []


def _reduced(side: Side, batches: Sequence[Batch], source: Outputs, truth: Outputs) -> list[Doubt]:
    """A source that computes in fewer bits than its outputs have makes every export look right.

    One that is seen not to do so errs by cancellation alone: a mean of what was normalised before is nearly 0.
    """
    if side.is_plain:
        return []
    for spec in side.signature.outputs:
        noise, precision = _noise(spec.name, source, truth)
        if noise <= _REDUCED * precision:
            continue
        index = sample(batches, 1)
        moved = side.run_float64([batches[i].nudged(np.random.default_rng(0)) for i in index])
        condition, _ = _noise(spec.name, moved, [truth[i] for i in index])
        if noise > _CONDITION * condition:
            words = (
                f"the source's own error is {noise:.1e} of its output '{spec.name}': it computes in reduced precision"
            )
            return [Doubt(words)]
    return []


_COARSER = 10.0


def _coarser(
    signature: Signature, source: Outputs, truth: Outputs, stepped: Mapping[int, Mapping[str, Array]], bits: str
) -> list[Doubt]:
    """A graph of few bits that errs far more than they must cost, operator by operator, is another than its truth."""
    for spec in (each for each in signature.outputs if each.is_float):
        noise, _ = _noise(spec.name, source, truth)
        cost = float(np.median(np.concatenate([found[spec.name] for found in stepped.values()])))
        if noise > _COARSER * max(cost, _FLOOR):
            words = f"the source's own error is {noise:.1e} of its output '{spec.name}', where {bits} costs {cost:.1e}"
            return [Doubt(words)]
    return []


HOPELESS = 0.15  # of the output: a precision that costs more leaves room for mistakes


def hopeless(signature: Signature, source: Outputs, truth: Outputs, precision: str) -> list[Doubt]:
    """What fewer bits cost may be so much that a wrong file would look like a right one."""
    for spec in signature.outputs:
        cost, _ = _noise(spec.name, source, truth)
        if cost > HOPELESS:
            words = f"{precision} costs {100 * cost:.0f} % of '{spec.name}': a wrong file would look like a right one"
            return [Doubt(words)]
    return []


def _noise(name: str, outputs: Outputs, truth: Outputs) -> tuple[float, float]:
    """The usual error relative to the output's size, and the spacing of the output's dtype."""
    found = [(batch[name], true[name]) for batch, true in zip(outputs, truth, strict=True)]
    if not is_float(found[0][0].dtype):
        return 0.0, 1.0
    errors = [compare.relative_difference(true, ours, ours) for ours, true in found]
    return float(np.median(errors)), precision(found[0][0].dtype)


def _equal(first: Outputs, second: Outputs) -> bool:
    return all(same(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def same(first: Array, second: Array) -> bool:
    """Whether two outputs are equal, NaN where the other is NaN; texts are compared as texts."""
    if first.dtype.kind in "OSUT":
        return bool(np.array_equal(first, second))
    return bool(np.array_equal(first, second, equal_nan=is_float(first.dtype)))


def is_constant(signature: Signature, outputs: Outputs) -> bool:
    """Whether every output has one and the same value for all inputs."""
    if not signature.inputs:
        return False
    for spec in signature.outputs:
        rows = compare.rows_of(spec, [batch[spec.name] for batch in outputs])
        if any(not same(row, rows[0]) for row in rows[1:]):
            return False
    return True


def constant_words(side: Side) -> str:
    """Names the weights that are all zeros, as those of a new head may be; biases usually are, and do not count."""
    words = "the source's outputs do not depend on its inputs"
    empty = [item.name for item in side.fingerprints() if item.hash == 0 and item.size > 1]
    names = [f"'{name}'" for name in empty if "weight" in name or "kernel" in name]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{words}; all zeros are its {', '.join(names[:3])}{more}" if names else words


def describe(side: Side, name: str, kind: str, answers: Answers, accuracy: float | None) -> Reference:
    return Reference(name, kind, side.runtime, side.ran_on, answers.how, answers.repeats, accuracy, answers.precision)


def accuracy(contract: Contract, batches: Sequence[Batch], outputs: Outputs, labels: Any) -> float | None:
    """The share of real inputs whose largest score is at their label; None without labels or scores."""
    scores = contract.scores
    if labels is None or scores is None:
        return None
    real = [found[scores] for batch, found in zip(batches, outputs, strict=False) if batch.kind == "real"]
    if not real:
        return None
    return float(np.mean(np.concatenate(real).argmax(axis=1) == labels))
