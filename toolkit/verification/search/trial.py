"""Run what a search proposes on both sides, and put whatever stands out to the verdict's own measure."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from toolkit.errors import BadInput, Inconclusive, TaskFailed, ToolkitError
from toolkit.signature import Signature
from toolkit.verification import condition, first_lens, judge
from toolkit.verification.first_lens import Compared
from toolkit.verification.judge import Judgement, Thresholds
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.report import Verdict
from toolkit.verification.search import steady
from toolkit.verification.search.domain import MOST_ELEMENTS
from toolkit.verification.search.score import Yardstick
from toolkit.verification.sides import FileSide, Outputs, Side

Array = np.ndarray[Any, Any]
Cache = MutableMapping[bytes, dict[str, Array] | None]

STANDS_OUT = 3.0  # rough ratio from which the truth is asked
_MOST_CONFIRMED = 2  # batches of each proposal that are put to the truth
_MOST_CACHED = 2**26  # bytes of the source's answers kept for the next file
_MOST_JUMPS = 256

# How an input is refused that a model does not take: the source says what is one, and the file must take the others.
_REFUSALS = (BadInput, TaskFailed)


@dataclass(frozen=True)
class Tried:
    """What became of one proposed batch: by sample, how far the sides lie apart; None where the source takes no such
    input. `source` are its outputs.
    """

    batch: Batch
    ratios: Array | None
    source: dict[str, Array] | None


@dataclass(frozen=True)
class Found:
    """A difference that counts: the answers with its input, what was measured on them, and the judgement."""

    answers: Answers
    compared: Compared
    judgement: Judgement
    batch: Batch


@dataclass
class Trial:
    """Both sides and the measure; counts what it runs."""

    signature: Signature
    source: Side
    file: FileSide
    answers: Answers
    planned: Outputs  # what the file made of the answers' batches
    thresholds: Thresholds
    cache: Cache
    yardstick: Yardstick = field(init=False)
    inputs: int = 0
    jumps: int = 0
    worst: float | None = None

    def __post_init__(self) -> None:
        self.yardstick = Yardstick.of(self.signature, self.answers)

    def run(self, batches: Sequence[Batch]) -> tuple[list[Tried], Found | None]:
        """What both sides make of the batches, and the first difference that counts."""
        known = [batch for batch in batches if sum(a.size for a in batch.inputs.values()) <= MOST_ELEMENTS]
        sources = self.ask(known)
        taken = [(batch, ours) for batch, ours in zip(known, sources, strict=True) if ours is not None]
        tried = [Tried(b, None, None) for b, ours in zip(known, sources, strict=True) if ours is None]
        if not taken:
            return tried, None
        self.inputs += sum(batch.size for batch, _ in taken)
        files, refusal = self._file([batch for batch, _ in taken])
        if refusal is not None:
            return tried, refusal
        rough = [
            Tried(batch, self.yardstick.ratios(self.signature, ours, theirs, batch.size), ours)
            for (batch, ours), theirs in zip(taken, files, strict=True)
        ]
        outstanding = [i for i, each in enumerate(rough) if each.ratios is not None and each.ratios.max() > STANDS_OUT]
        outstanding.sort(key=lambda i: -float(np.max(rough[i].ratios)))  # type: ignore[arg-type]  # they have ratios
        for index in outstanding[:_MOST_CONFIRMED]:
            measured, found = self._confirmed(rough[index], files[index])
            if found is not None:
                return [*tried, *rough], found
            rough[index] = measured
        return [*tried, *rough], None

    def ask(self, batches: Sequence[Batch]) -> list[dict[str, Array] | None]:
        """The source's outputs, kept for the next file; None for a batch that it does not take."""
        keys = [_key(batch) for batch in batches]
        new = [index for index, key in enumerate(keys) if key not in self.cache]
        fresh = dict(zip(new, self._source([batches[i] for i in new]), strict=True))
        for index, outputs in fresh.items():
            if sum(_bytes(kept) for kept in self.cache.values()) + _bytes(outputs) <= _MOST_CACHED:
                self.cache[keys[index]] = outputs
        return [fresh[i] if i in fresh else self.cache[key] for i, key in enumerate(keys)]

    def _source(self, batches: Sequence[Batch]) -> list[dict[str, Array] | None]:
        if not batches:
            return []
        try:
            return list(self.source.run(batches))
        except _REFUSALS:
            if len(batches) == 1:
                return [None]
        half = len(batches) // 2
        return [*self._source(batches[:half]), *self._source(batches[half:])]

    def _file(self, batches: Sequence[Batch]) -> tuple[list[dict[str, Array]], Found | None]:
        """The file's outputs; a refusal of what the source takes is a difference."""
        try:
            return self.file.run(batches), None
        except _REFUSALS:
            for batch in batches:
                try:
                    self.file.run([batch])
                except _REFUSALS as error:
                    sizes = {name: list(array.shape) for name, array in batch.inputs.items()}
                    words = f"it refuses inputs of {sizes} that the source takes: {error.found}"
                    return [], Found(self.answers, [], Judgement(Verdict.FAIL, words), batch)
            raise

    def _confirmed(self, rough: Tried, theirs: dict[str, Array]) -> tuple[Tried, Found | None]:
        """One batch against the truth: quickly first, then as the verdict does it."""
        batch, ours = rough.batch, rough.source
        assert ours is not None
        try:
            truth = self.source.run_float64([batch])[0]
        except (*_REFUSALS, Inconclusive):
            return rough, None
        ratios = self.yardstick.ratios(self.signature, ours, theirs, batch.size, truth)
        overflown = _overflown(self.signature, ours, truth, batch.size)
        ratios = np.where(overflown, 0.0, ratios)
        self._note(ratios)
        measured = replace(rough, ratios=ratios)
        if not ratios.max() > self._limit or self.jumps >= _MOST_JUMPS:
            return measured, None
        found = None
        if batch.size > 1 and self.signature.batched == frozenset(self.signature.input_names):
            found = self._alone(batch, int(np.argmax(ratios)))
        if found is None and not overflown.any():
            found = self._judged(batch, ours, theirs, truth)
        if found is None:
            self.jumps += 1
            return replace(measured, ratios=np.minimum(ratios, STANDS_OUT)), None
        return measured, found

    def _note(self, ratios: Array) -> None:
        finite = ratios[np.isfinite(ratios)]
        if finite.size and finite.max() <= self._limit:
            self.worst = max(self.worst or 0.0, float(finite.max()))

    @property
    def _limit(self) -> float:
        """From where the verdict's own measure is asked: the user's limits may be stricter than ours."""
        given = self.thresholds.atol is not None or self.thresholds.rtol is not None
        return STANDS_OUT if given else self.thresholds.worst_ratio / 2

    def _alone(self, batch: Batch, index: int) -> Found | None:
        """The same difference on the one input that shows it; None where it takes the others, too."""
        row = Batch(batch.kind, {name: array[index : index + 1] for name, array in batch.inputs.items()}, 1)
        try:
            ours, theirs = self.source.run([row])[0], self.file.run([row])[0]
            truth = self.source.run_float64([row])[0]
        except (*_REFUSALS, Inconclusive):
            return None
        return self._judged(row, ours, theirs, truth)

    def _judged(
        self, batch: Batch, ours: dict[str, Array], theirs: dict[str, Array], truth: dict[str, Array]
    ) -> Found | None:
        """The verdict on the plan's answers with this batch among them; None where it is no FAIL, or no one's fault."""
        outputs = [*self.planned, theirs]
        more = Answers((batch,), [ours], [truth], self.answers.how, in_float64=self.answers.in_float64)
        answers = self.answers.extended(more)
        if answers.in_float64:
            answers = condition.weigh(self.source, answers, [len(answers.batches) - 1])
        mismatches, compared = first_lens.compare_all(self.signature, answers, outputs)
        judgement = judge.judge_outputs(mismatches, compared, self.thresholds)
        if judgement.verdict is not Verdict.FAIL or judgement.doubtful:
            return None
        found = Found(answers, compared, judgement, batch)
        if mismatches and _of_shape(self.signature, ours, theirs):
            return found
        try:
            limit = self.thresholds.worst_ratio
            outputs_here = (truth, ours, theirs)
            if steady.stands(self.signature, self.source, self.file, batch, outputs_here, self.yardstick, limit):
                return found
        except ToolkitError as error:
            if not isinstance(error, (*_REFUSALS, Inconclusive)):
                raise
        return None


def _of_shape(signature: Signature, ours: dict[str, Array], theirs: dict[str, Array]) -> bool:
    """Whether the outputs differ in more than their numbers."""
    return any(
        name not in theirs or theirs[name].shape != ours[name].shape or theirs[name].dtype != ours[name].dtype
        for name in signature.output_names
    )


def _overflown(signature: Signature, ours: dict[str, Array], truth: dict[str, Array], size: int) -> Array:
    """By sample, whether the source itself overflows where its truth does not: no file can be held to that."""
    found = np.zeros(size, bool)
    for spec in signature.outputs:
        if spec.is_float and ours[spec.name].shape == truth[spec.name].shape:
            lost = np.isfinite(truth[spec.name]) & ~np.isfinite(ours[spec.name])
            by_row = lost.reshape(size, -1).any(axis=1) if lost.size and lost.size % size == 0 else lost.any()
            found |= by_row
    return found


def _key(batch: Batch) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in batch.inputs.items():
        text = repr(array.tolist()).encode() if array.dtype.kind == "O" else np.ascontiguousarray(array).tobytes()
        digest.update(f"{name}{array.shape}{array.dtype}".encode() + text)
    return digest.digest()


def _bytes(outputs: dict[str, Array] | None) -> int:
    return sum(array.nbytes for array in outputs.values()) if outputs else 0
