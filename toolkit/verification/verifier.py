"""Conduct a verification: open both sides in workers, run the plan on each, judge every file on every device."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporters.sources import source as sources
from exporters.sources.source import Source
from toolkit import formats, manifest
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
from toolkit.runtime import devices as device_names
from toolkit.signature import Signature
from toolkit.verification import (
    compare,
    environment,
    golden,
    interface,
    judge,
    lenses,
    plan,
    reference,
    timing,
    worst_input,
)
from toolkit.verification.compare import Measured, Mismatch
from toolkit.verification.judge import Thresholds
from toolkit.verification.plan import Batch, Data, Plan
from toolkit.verification.reference import Answers
from toolkit.verification.report import Latency, Lens, OutputComparison, Reference, Report, Row, Verdict
from toolkit.verification.sides import FileSide, Outputs, Side, open_file, open_source
from toolkit.verification.weights import Fingerprint
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

Stage = Callable[[str], None]

DEFAULT_COUNT = 512
_MORE_INPUTS = 3  # times as many, where R lies between the thresholds


@dataclass(frozen=True)
class Settings:
    """What a verification is asked to do."""

    devices: tuple[str, ...] = ("cpu",)
    count: int = DEFAULT_COUNT
    seed: int = 7
    thresholds: Thresholds = field(default_factory=Thresholds)
    latency: bool = True
    stage: Stage = lambda _: None


@dataclass
class Subject:
    """The reference of a verification: a live source, or a bundle's golden data (then `side` is None)."""

    name: str
    kind: str
    signature: Signature
    plan: Plan
    answers: Answers
    side: Side | None
    source: Source | None
    fingerprints: tuple[Fingerprint, ...]
    described: Reference
    extra: Answers | None = None
    data: Data | None = None

    def more(self, count: int, seed: int) -> Answers | None:
        """Fresh inputs, where the source is there to answer for them; the same ones for every row."""
        if self.side is None:
            return None
        if self.extra is None:
            fresh = plan.make(self.signature, self.data, count=count, seed=seed)
            self.extra = reference.ask(self.side, fresh.batches)
        return self.extra

    @property
    def all_answers(self) -> Answers:
        return self.answers if self.extra is None else self.answers.extended(self.extra)

    def revive(self, pool: WorkerPool) -> None:
        """Open the source again where a file has brought down the worker that they share."""
        if self.side is None or self.source is None or self.side.is_open():
            return
        self.side = open_source(pool, self.source, device=self.side.ran_on)


def verify(
    source: Any,
    targets: Sequence[str | Path] = (),
    devices: Sequence[str] = ("cpu",),
    data: str | Path | None = None,
    *,
    inputs: Sequence[str] = (),
    factory: str | None = None,
    framework: str | None = None,
    trust: Sequence[str] = (),
    count: int = DEFAULT_COUNT,
    seed: int = 7,
    atol: float | None = None,
    rtol: float | None = None,
    max_ratio: float | None = None,
    latency: bool = True,
    worst: str | Path | None = None,
    limits: Limits | None = None,
    commands: Mapping[str, str] | None = None,
    stage: Stage = lambda _: None,
) -> Report:
    """Compare exported files with their source and return every verdict as data.

    Args:
        source: a model object, a path, a "package.module:factory", or a bundle, whose golden data then stand for it.
        targets: exported files or bundles; none for a bundle means all of its own files.
        devices: "cpu", "cuda" or "cuda:N"; every file is verified on each.
        data: an .npz of real inputs, one array per input, rows first, and optionally "labels".
        inputs: `NAME:DTYPE[DIM,...]` texts, where the source does not say what its inputs are.
        factory: what rebuilds the architecture where the source holds weights alone.
        framework: "torch", "keras" or "tensorflow", where a factory's module does not show it.
        trust: SHA-256 prefixes of files that may run code when they are opened.
        count: how many inputs to compare on (at least 32).
        seed: of the generated inputs.
        atol: largest absolute difference allowed, on top of the verdict's own limits.
        rtol: largest relative difference allowed; of `atol` and `rtol` one must hold.
        max_ratio: largest R allowed, where it is stricter than the verdict's own.
        latency: whether to time the files against the source.
        worst: where to save the worst input, as .npz, if anything does not pass.
        limits: time, memory and threads of the workers.
        commands: other interpreters or prefixes for workers, by runtime or device kind.
        stage: told what is being done, for a progress display.

    Raises BadInput, UnsafeFile, DeviceMissing ... for what makes the whole comparison impossible. What goes wrong with
    one file on one device is a row of the report.
    """
    started = time.monotonic()
    for device in devices:
        device_names.parse(device)
    thresholds = Thresholds(atol=atol, rtol=rtol, max_ratio=max_ratio)
    settings = Settings(tuple(devices), count, seed, thresholds, latency, stage)
    is_bundle = isinstance(source, str | Path) and (Path(source) / manifest.NAME).is_file()
    files = _files([*targets] or ([source] if is_bundle else []))
    with WorkerPool(limits=limits, commands=commands) as pool:
        pool.warm({(formats.of_path(path).runtime, "cpu") for path in files})
        if is_bundle:
            subject = _golden_subject(Path(source))
        else:
            resolved = sources.resolve(source, inputs=inputs, factory=factory, framework=framework, trust=trust)
            model = None if isinstance(source, str | Path) else source
            subject = _live_subject(pool, resolved, model, data, settings)
        report = compare_files(pool, subject, files, settings)
        cpu = pool.seconds["cpu"]
    if worst is not None and not report.passed:
        report = replace(
            report, worst_inputs=worst_input.save(Path(worst), subject.signature, subject.all_answers, report)
        )
    return replace(report, seconds={"wall": time.monotonic() - started, "worker_cpu": cpu})


def _files(targets: Sequence[str | Path]) -> list[Path]:
    """Every file to verify; a bundle stands for all of its files, and is re-hashed first."""
    files: list[Path] = []
    for target in map(Path, targets):
        formats.check_readable(target)
        if (target / manifest.NAME).is_file():
            files += [target / path for path in manifest.check(target).formats.values()]
        else:
            formats.of_path(target)
            files.append(target)
    if not files:
        raise BadInput("there is nothing to verify", where="TARGET", hint="Name the exported files, or a bundle.")
    return files


def _live_subject(
    pool: WorkerPool, resolved: Source, model: Any, data: str | Path | None, settings: Settings
) -> Subject:
    settings.stage(f"open {resolved.name}")
    side = open_source(pool, resolved, model)
    return subject_of(side, resolved, data, settings)


def subject_of(side: Side, resolved: Source, data: str | Path | None, settings: Settings) -> Subject:
    """Plan the inputs for an opened source and have it answer for them."""
    given = data or resolved.facts.get("data")
    real = plan.load_data(Path(given), side.signature) if given else None
    made = plan.make(side.signature, real, count=settings.count, seed=settings.seed)
    settings.stage(f"run {resolved.name}")
    answers = reference.ask(side, made.batches)
    accuracy = reference.accuracy(side, answers, made.labels)
    described = reference.describe(side, resolved.name, resolved.kind, answers, accuracy)
    prints = tuple(side.fingerprints())
    return Subject(
        resolved.name, resolved.kind, side.signature, made, answers, side, resolved, prints, described, data=real
    )


def _golden_subject(folder: Path) -> Subject:
    """The golden data of a bundle as a reference; it was recorded when the source was there."""
    listed = manifest.check(folder)
    data = golden.load(folder / golden.NAME)
    answers = Answers(data.batches, data.source, data.truth, "golden data of the export")
    made = Plan(data.batches, int(data.description.get("seed", 0)), None, ("inputs other than the golden ones",))
    described = Reference(
        str(folder), "bundle", str(data.description.get("runtime", "-")), "recorded", answers.how, True,
        data.description.get("accuracy"),
    )  # fmt: skip
    return Subject(str(folder), "bundle", listed.signature, made, answers, None, None, (), described)


def compare_files(pool: WorkerPool, subject: Subject, files: Sequence[Path], settings: Settings) -> Report:
    """One row for every file on every device."""
    rows = []
    for device in settings.devices:
        for path in files:
            settings.stage(f"verify {path.name} on {device}")
            rows.append(_row(pool, subject, path, device, settings))
    return Report(
        reference=subject.described,
        rows=tuple(rows),
        coverage=subject.plan.coverage(),
        thresholds=settings.thresholds.to_json(),
        environment=environment.describe(pool.limits.threads),
        created=manifest.timestamp(),
    )


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


def _row(pool: WorkerPool, subject: Subject, path: Path, device: str, settings: Settings) -> Row:
    form = formats.of_path(path)
    row = Row(form.name, str(path), device, Verdict.ERROR, "", sha256=digest(path))
    side: FileSide | None = None
    try:
        subject.revive(pool)
        side = open_file(pool, path, device, subject.signature)
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
    if device_names.parse(ran_on) != device_names.parse(device):
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
    mismatches = interface.mismatches(subject.signature, side.signature)
    if mismatches:
        judgement = judge.judge_outputs(mismatches, [], settings.thresholds)
        return replace(row, verdict=judgement.verdict, reason=judgement.reason, notes=tuple(notes))
    answers = subject.answers
    outputs = _run(side, answers.batches)
    _prove_device(side, row.device)
    mismatches, compared = _compare(subject.signature, answers, outputs)
    judgement = judge.judge_outputs(mismatches, compared, settings.thresholds)
    if judgement.doubtful:
        extra = subject.more(_MORE_INPUTS * settings.count, settings.seed + 1)
        if extra is not None:
            answers = answers.extended(extra)
            mismatches, compared = _compare(subject.signature, answers, [*outputs, *_run(side, extra.batches)])
            judgement = judge.judge_outputs(mismatches, compared, settings.thresholds)
        judgement = judge.settled(judgement, tried_more=extra is not None)
    seen: list[Lens] = []
    timed = None
    if not mismatches:
        seen = _look(subject, side, compared)
        judgement = judge.judge_row(judgement, seen)
        judgement = judge.with_doubts(judgement, answers.doubts)
        if settings.latency:
            timed = _timed(pool, subject, side, notes)
    return replace(
        row,
        verdict=judgement.verdict,
        reason=judgement.reason,
        outputs=tuple(output for output, _ in compared),
        lenses=tuple(seen),
        latency=timed,
        notes=tuple(notes),
    )


def _look(subject: Subject, side: FileSide, compared: Compared) -> list[Lens]:
    """The second looks, where there is a source to look at and its answers are worth it."""
    if subject.side is None or any(doubt.blind for doubt in subject.answers.doubts):
        return []
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
    if disturbance:
        notes.append(f"the machine was too busy to say which is faster: {disturbance}")
    return found


Compared = list[tuple[OutputComparison, Measured | None]]


def _compare(signature: Signature, answers: Answers, outputs: Outputs) -> tuple[list[Mismatch], Compared]:
    """Every declared output, by name: structure first, and only where that is right the numbers."""
    if len(outputs) != len(answers.batches):
        return [Mismatch("the file", f"it answered {len(outputs)} of {len(answers.batches)} calls")], []
    extra = next((key for batch in outputs for key in batch if key not in signature.output_names), None)
    if extra is not None:
        return [Mismatch(f"output '{extra}'", "the file returned an output that the source has not")], []
    mismatches: list[Mismatch] = []
    compared: Compared = []
    for spec in signature.outputs:
        found = _structure(spec.name, answers, outputs)
        if found is not None:
            mismatches.append(found)
            continue
        truth, source, export = (
            [batch[spec.name] for batch in each] for each in (answers.truth, answers.source, outputs)
        )
        compared.append(compare.describe(spec, truth, source, export, [batch.kind for batch in answers.batches]))
    return mismatches, compared


def _structure(name: str, answers: Answers, outputs: Outputs) -> Mismatch | None:
    """The first batch on which an output is missing or of another kind."""
    for batch, source, export in zip(answers.batches, answers.source, outputs, strict=True):
        if name not in export:
            found: Mismatch | None = Mismatch(f"output '{name}'", "it was not returned")
        else:
            found = compare.check_structure(name, source[name], export[name])
        if found:
            return replace(found, what=f"{found.what} ({batch.kind}, batch of {batch.size})")
    return None
