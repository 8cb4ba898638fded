"""One file on one device: run it, judge it, look twice, time it. Whatever goes wrong with it is a row with a name."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporters.precision.kinds import FULL
from toolkit import formats
from toolkit.errors import (
    BadInput,
    DeviceMissing,
    FactoryFailed,
    Inconclusive,
    MissingOutput,
    RuntimeMissing,
    TaskFailed,
    ToolkitError,
    UnsafeFile,
    WorkerFailed,
)
from toolkit.files import digest
from toolkit.runtime import devices
from toolkit.verification import condition, first_lens, interface, judge, lenses, reference, timing
from toolkit.verification.compare import Mismatch
from toolkit.verification.divergence import Divergence
from toolkit.verification.first_lens import Compared
from toolkit.verification.locate import conduct
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.report import Latency, Lens, OutputComparison, Row, Verdict
from toolkit.verification.search import conduct as search
from toolkit.verification.search.trial import Found
from toolkit.verification.searched import Searched
from toolkit.verification.sides import FileSide, Outputs, Side, open_file
from toolkit.verification.subject import Settings, Subject
from toolkit.worker.pool import WorkerPool

_MORE_INPUTS = 3  # times as many, where R lies between the thresholds

# What an error means for a row, first match first. A runtime that raises on an input which the source takes is a
# difference, not an accident; so is an output that is not there.
_VERDICTS: tuple[tuple[type[ToolkitError], Verdict], ...] = (
    (DeviceMissing, Verdict.NOT_RUN),
    (RuntimeMissing, Verdict.NOT_RUN),
    (UnsafeFile, Verdict.REFUSED),
    (Inconclusive, Verdict.INCONCLUSIVE),
    (MissingOutput, Verdict.FAIL),
    (FactoryFailed, Verdict.ERROR),
    (TaskFailed, Verdict.FAIL),
    (WorkerFailed, Verdict.CRASHED),
    (ToolkitError, Verdict.ERROR),
)


def row_of(pool: WorkerPool, subject: Subject, path: Path, device: str, settings: Settings) -> Row:
    form = formats.of_path(path)
    row = Row(form.name, str(path), device, Verdict.ERROR, "", sha256=digest(path))
    side: FileSide | None = None
    try:
        subject.revive(pool)
        side = open_file(pool, path, device, subject.signature, settings.trust)
        row = replace(row, runtime=side.runtime, ran_on=side.ran_on)
        judged = _judged(row, subject, side, settings, pool)
        _require_unchanged(path, row)
    except ToolkitError as error:
        verdict = next(verdict for kind, verdict in _VERDICTS if isinstance(error, kind))
        prefix = f"{device}: " if verdict is Verdict.NOT_RUN else ""
        return replace(row, verdict=verdict, reason=prefix + _one_line(error))
    finally:
        if side is not None:
            _close_quietly(side)
    return judged


def _close_quietly(side: Side) -> None:
    with contextlib.suppress(ToolkitError):  # the worker may be the one that just crashed
        side.close()


def _one_line(error: ToolkitError) -> str:
    hint = f" ({error.hint})" if error.hint and isinstance(error, WorkerFailed) else ""
    return f"{error.found}{hint}"


def _require_unchanged(path: Path, row: Row) -> None:
    if digest(path) != row.sha256:
        raise BadInput("the file changed while it was verified", where=str(path))


def _prove_device(side: Side, device: str) -> None:
    """Raise DeviceMissing unless the model ran where it was asked to: a pass on another device proves nothing there."""
    ran_on = side.ran_on.partition(" ")[0]
    if devices.parse(ran_on) != devices.parse(device):
        raise DeviceMissing(f"it ran on {side.ran_on}")
    if ran_on != "cpu" and side.maps_cuda() is False:
        raise DeviceMissing(f"it says that it ran on {side.ran_on}, but no CUDA library was loaded")


def _run(side: Side, batches: Sequence[Batch]) -> Outputs:
    """What the file makes of inputs that the source takes: where it refuses one, it differs."""
    try:
        return side.run(batches)
    except BadInput as error:
        raise TaskFailed(error.found) from error


def _judged(row: Row, subject: Subject, side: FileSide, settings: Settings, pool: WorkerPool) -> Row:
    """Run one opened file and judge it, with more inputs where the first ones leave a doubt."""
    notes = [] if side.names_are_declared else ["the file names no outputs: they were compared by position"]
    declared = formats.by_name(side.format).interface(subject.signature)
    mismatches = interface.mismatches(declared, side.signature)
    if mismatches:
        judgement = judge.judge_outputs(mismatches, [], settings.thresholds)
        return replace(row, verdict=judgement.verdict, reason=judgement.reason, notes=tuple(notes))
    answers = subject.answers
    outputs = _run(side, answers.batches)
    _prove_device(side, row.device)
    row = replace(row, accuracy=_accuracy(subject, outputs))
    answers, mismatches, compared, judgement = _first_lens(subject, answers, outputs, settings)
    if judgement.doubtful:
        extra = subject.more(_MORE_INPUTS * subject.plan.count, settings.seed + 1)
        if extra is not None:
            outputs = [*outputs, *_run(side, extra.batches)]
            answers, mismatches, compared, judgement = _first_lens(subject, answers.extended(extra), outputs, settings)
        judgement = judge.settled(judgement, tried_more=extra is not None)
    notes += [condition.words(subject.signature, answers)] if answers.conditions else []
    seen: list[Lens] = []
    timed = found = searched = None
    if not mismatches:
        seen = _look(subject, side, compared)
        judgement = judge.with_doubts(judge.judge_row(judgement, seen), answers.doubts)
        if settings.search and judgement.verdict is Verdict.PASS:
            searched, more = _searched(pool, subject, side, answers, outputs, settings, notes)
            if more is not None:
                judgement = replace(more.judgement, reason=f"{more.judgement.reason} (search: {searched.found})")
                answers, compared = more.answers, more.compared or compared
                subject.found[row.path, row.device] = answers
        judgement = _named(judgement, answers.precision)
        if judgement.verdict is Verdict.FAIL and settings.locate and _may_locate(subject):
            settings.stage(f"find where {Path(row.path).name} parts from its source")
            assert subject.side is not None
            found = conduct.locate(pool, subject.side, side, answers, _worst(compared))
            judgement = replace(judgement, reason=f"{judgement.reason}; {_place(found, seen)}")
        if settings.latency:
            subject.revive(pool)
            timed = _timed(pool, subject, side, notes)
    return replace(
        row,
        verdict=judgement.verdict,
        reason=judgement.reason,
        outputs=tuple(output for output, _ in compared),
        lenses=tuple(seen),
        divergence=found,
        search=searched,
        latency=timed,
        notes=tuple(notes),
    )


def _searched(
    pool: WorkerPool, subject: Subject, side: FileSide, answers: Answers, outputs: Outputs, settings: Settings,
    notes: list[str],
) -> tuple[Searched, Found | None]:  # fmt: skip
    """Look for a worse input than the plan's, and say among the notes what was done."""
    if subject.side is None:
        searched, found = Searched(settings.search, 0.0, 0, not_tried=("golden data cannot answer for more",)), None
    else:
        settings.stage(f"search for a worse input of {side.path.name}")
        searched, found = search.look(pool, subject, side, answers, outputs, settings)
    notes.append(searched.words)
    return searched, found


def _first_lens(
    subject: Subject, answers: Answers, outputs: Outputs, settings: Settings
) -> tuple[Answers, list[Mismatch], Compared, judge.Judgement]:
    """Measure and judge; where a few inputs alone are beyond their limit, once more with their condition known."""
    mismatches, compared = first_lens.compare_all(subject.signature, answers, outputs)
    if mismatches and subject.side is not None and len(outputs) == len(answers.batches):
        answers = condition.flushed(subject.side, answers, outputs)
        mismatches, compared = first_lens.compare_all(subject.signature, answers, outputs)
    judgement = judge.judge_outputs(mismatches, compared, settings.thresholds)
    if judgement.verdict is Verdict.FAIL and not mismatches:
        known, answers = answers, subject.weighed(answers, compared, settings.thresholds.limit)
        if answers is not known:
            mismatches, compared = first_lens.compare_all(subject.signature, answers, outputs)
            judgement = judge.judge_outputs(mismatches, compared, settings.thresholds)
    return answers, mismatches, compared, _in_class(judgement, answers.precision)


def _named(judgement: judge.Judgement, precision: str) -> judge.Judgement:
    """A PASS in fewer bits says so: it is no PASS in float32."""
    if precision == FULL or judgement.verdict is not Verdict.PASS:
        return judgement
    return replace(judgement, reason=f"reduced: {precision}")


def _may_locate(subject: Subject) -> bool:
    """Where a file parts from its source is found in float32; in fewer bits it does so everywhere."""
    return subject.side is not None and subject.answers.precision == FULL


def _in_class(judgement: judge.Judgement, precision: str) -> judge.Judgement:
    """A judgement in the words of its class: in fewer bits it is not the source's noise that errors are measured in."""
    if precision == FULL:
        return judgement
    reason = judgement.reason
    for words in ("the source's own rounding noise", "the source's own noise"):
        reason = reason.replace(words, f"what {precision} must cost")
    return replace(judgement, reason=reason)


def _accuracy(subject: Subject, outputs: Outputs) -> float | None:
    """Of the file on labelled inputs; where an output is missing, that is said elsewhere."""
    scores = subject.side.contract.scores if subject.side else None
    if scores is None or subject.side is None or any(scores not in batch for batch in outputs):
        return None
    return reference.accuracy(subject.side.contract, subject.answers.batches, outputs, subject.plan.labels)


def _place(found: Divergence, seen: Sequence[Lens]) -> str:
    """Where it starts; what is too small to leave a trace among the results may show in the weights' bits."""
    bits = next((lens for lens in seen if lens.name == "weights" and lens.passed is False), None)
    return f"weights: {bits.detail}" if found.operator is None and bits is not None else found.words


def _worst(compared: Compared) -> OutputComparison | None:
    outputs = [output for output, _ in compared]
    return max(outputs, key=lambda output: (output.noise_ratio or 0.0, output.max_abs), default=None)


def _look(subject: Subject, side: FileSide, compared: Compared) -> list[Lens]:
    """The second looks, where there is a source to look at and its answers are worth it."""
    if subject.side is None or any(doubt.blind for doubt in subject.answers.doubts):
        return []
    if subject.yardstick is not None:
        return [subject.yardstick.look(side)] if side.ran_on == "cpu" else []
    if subject.answers.precision != FULL:  # the source's own: its float64 form has no such rounding, the file's may
        return [lenses.weights_alone(side, subject.side, subject.fingerprints)]
    noise = max((measured.relative_noise for _, measured in compared if measured), default=0.0)
    return lenses.look(side, subject.side, subject.fingerprints, subject.answers, noise)


def _timed(pool: WorkerPool, subject: Subject, side: FileSide, notes: list[str]) -> Latency | None:
    """The row's latency, with what disturbed it among the notes; None where there is no source to compare with."""
    if subject.side is None or subject.source is None:
        return None
    batch = next((batch for batch in subject.answers.batches if batch.size == 1), subject.answers.batches[0])
    try:
        found, disturbance = timing.of_row(pool, subject.source, subject.side, side, batch)
    except DeviceMissing as error:
        notes.append(f"not timed: the source cannot run there ({error.found})")
        return None
    if disturbance and found.verdict == "can't tell":
        notes.append(f"the machine was too busy to say which is faster: {disturbance}")
    elif disturbance:
        notes.append(
            f"timed on a busy machine ({disturbance}): the ratio is large enough to be told, and no more exact"
        )
    return found
