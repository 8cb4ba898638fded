"""Conduct a verification: open both sides in workers, run the plan on each, judge every file on every device."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from exporters.sources import source as sources
from exporters.sources.source import Source
from toolkit import __version__, formats, manifest
from toolkit.bench import latency as bench
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
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare, golden, judge, lenses, plan, reference
from toolkit.verification.compare import Measured, Mismatch
from toolkit.verification.judge import Judgement, Thresholds
from toolkit.verification.plan import Plan
from toolkit.verification.reference import Answers
from toolkit.verification.report import Latency, OutputComparison, Reference, Report, Row, Verdict
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

    def more(self, count: int, seed: int) -> Answers | None:
        """Fresh inputs, where the source is there to answer for them."""
        if self.side is None:
            return None
        fresh = plan.make(self.signature, None, count=count, seed=seed)
        return reference.ask(self.side, fresh.batches)


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
        report = replace(report, worst_inputs=_save_worst(Path(worst), subject, report))
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
    return Subject(resolved.name, resolved.kind, side.signature, made, answers, side, resolved, prints, described)


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
        environment=_environment(pool),
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
        side = open_file(pool, path, device, subject.signature)
        row = replace(row, runtime=side.runtime, ran_on=side.ran_on)
        return _judged(row, subject, side, settings, pool)
    except ToolkitError as error:
        verdict = next(verdict for kind, verdict in _VERDICTS if isinstance(error, kind))
        prefix = f"{device}: " if verdict is Verdict.NOT_RUN else ""
        return replace(row, verdict=verdict, reason=prefix + _one_line(error))
    finally:
        if side is not None:
            _close_quietly(side)


def _close_quietly(side: Side) -> None:
    import contextlib

    with contextlib.suppress(ToolkitError):  # the worker may be the one that just crashed
        side.close()


def _one_line(error: ToolkitError) -> str:
    hint = f" ({error.hint})" if error.hint and isinstance(error, WorkerFailed) else ""
    return f"{error.found}{hint}"


def _judged(row: Row, subject: Subject, side: FileSide, settings: Settings, pool: WorkerPool) -> Row:
    """Run one opened file and judge it, with more inputs where the first ones leave a doubt."""
    answers = subject.answers
    notes = () if side.names_are_declared else ("the file names no outputs: they were compared by position",)
    mismatches = _interface(subject.signature, side.signature)
    outputs = [] if mismatches else side.run(answers.batches)
    found, compared = _compare(subject.signature, answers, outputs) if outputs else (mismatches, [])
    judgement = judge.judge_outputs(found, compared, settings.thresholds)
    if judgement.doubtful:
        extra = subject.more(_MORE_INPUTS * settings.count, settings.seed + 1)
        if extra is not None:
            answers = answers.extended(extra)
            found, compared = _compare(subject.signature, answers, [*outputs, *side.run(extra.batches)])
            judgement = judge.judge_outputs(found, compared, settings.thresholds)
        if judgement.doubtful:
            judgement = replace(judgement, reason=f"{judgement.reason}, still doubtful after more inputs")
    seen = []
    if not found and subject.side is not None and not answers.doubts:
        noise = max((measured.relative_noise for _, measured in compared if measured), default=0.0)
        seen = lenses.look(side, subject.side, subject.fingerprints, subject.answers, noise)
        judgement = judge.judge_row(judgement, seen)
    if answers.doubts and judgement.verdict is Verdict.PASS:
        judgement = Judgement(Verdict.INCONCLUSIVE, answers.doubts[0])
    timed = _latency(pool, subject, side) if settings.latency and not found else None
    return replace(
        row,
        verdict=judgement.verdict,
        reason=judgement.reason,
        outputs=tuple(output for output, _ in compared),
        lenses=tuple(seen),
        latency=timed,
        notes=notes,
    )


def _interface(source: Signature, export: Signature) -> list[Mismatch]:
    """Inputs and outputs by name and dtype; a missing one is a mismatch, and so is an extra one."""
    found: list[Mismatch] = []
    for side, ours, theirs in (("input", source.inputs, export.inputs), ("output", source.outputs, export.outputs)):
        wanted, given = ({spec.name: spec for spec in specs} for specs in (ours, theirs))
        found += [Mismatch(name, f"the {side} is missing in the file") for name in wanted if name not in given]
        extra = [name for name in given if name not in wanted]
        found += [Mismatch(name, f"the file has an {side} that the source has not") for name in extra]
        found += [
            Mismatch(name, f"the {side} is {_type(given[name])} where the source has {_type(spec)}")
            for name, spec in wanted.items()
            if name in given and not _fits(spec, given[name])
        ]
    return found


def _fits(source: TensorSpec, export: TensorSpec) -> bool:
    """Same dtype and rank, and no dimension fixed that the source leaves free."""
    if source.dtype != export.dtype or len(source.shape) != len(export.shape):
        return False
    pairs = zip(source.shape, export.shape, strict=True)
    return all(isinstance(theirs, str) or theirs == ours for ours, theirs in pairs)


def _type(spec: TensorSpec) -> str:
    return f"{spec.dtype}[{','.join(map(str, spec.shape))}]"


Compared = list[tuple[OutputComparison, Measured | None]]


def _compare(signature: Signature, answers: Answers, outputs: Outputs) -> tuple[list[Mismatch], Compared]:
    """Every declared output, by name: structure first, and only where that is right the numbers."""
    mismatches: list[Mismatch] = []
    compared: Compared = []
    for spec in signature.outputs:
        name = spec.name
        extra = next((key for batch in outputs for key in batch if key not in signature.output_names), None)
        if extra is not None:
            return [Mismatch(extra, "the file returned an output that the source has not")], []
        found = None
        for batch, source, export in zip(answers.batches, answers.source, outputs, strict=True):
            if name not in export:
                found = Mismatch(name, "it was not returned")
            else:
                found = compare.check_structure(name, source[name], export[name])
            if found:
                mismatches.append(replace(found, what=f"{found.what} ({batch.kind}, batch of {batch.size})"))
                break
        if found is None:
            sides = ([batch[name] for batch in each] for each in (answers.truth, answers.source, outputs))
            truth, source_outputs, exported = sides
            kinds = [batch.kind for batch in answers.batches]
            compared.append(compare.describe(spec, truth, source_outputs, exported, kinds))
    return mismatches, compared


def _latency(pool: WorkerPool, subject: Subject, side: FileSide) -> Latency | None:
    """Time one file against its source on the same device; None where the source cannot be had there."""
    if subject.side is None or subject.source is None:
        return None
    source = subject.side
    if side.ran_on != source.ran_on:
        try:
            source = open_source(pool, subject.source, device=side.ran_on)
        except ToolkitError:
            return None
    batch = next((batch for batch in subject.answers.batches if batch.size == 1), subject.answers.batches[0])
    compared = bench.compare(side.timer(batch.inputs), source.timer(batch.inputs))
    ours, theirs = bench.summary(compared.samples), bench.summary(compared.reference)
    return Latency(
        batch=batch.size,
        threads=pool.limits.threads,
        **ours,
        source_median=theirs["median"],
        ratio=compared.ratio,
        low=compared.low,
        high=compared.high,
        verdict=compared.verdict,
        throughput=1e3 * batch.size / ours["median"],
        cold_start=1e3 * side.cold_start,
        calls=len(compared.samples),
        copies="outside",
        noisy=compared.noisy,
        samples=_thinned(compared.samples),
        source_samples=_thinned(compared.reference),
    )


def _thinned(samples: np.ndarray[Any, Any], most: int = 200) -> tuple[float, ...]:
    """Evenly chosen order statistics: enough for a plot, whatever the number of calls."""
    if len(samples) <= most:
        return tuple(float(value) for value in samples)
    return tuple(float(value) for value in np.quantile(samples, np.linspace(0, 1, most)))


def _environment(pool: WorkerPool) -> dict[str, str]:
    return {
        "toolkit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": str(pool.limits.threads),
        "load": f"{os.getloadavg()[0]:.2f}",
        "tf32": "off",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _save_worst(path: Path, subject: Subject, report: Report) -> str | None:
    """Save the input on which the worst row is worst, with what the source makes of it."""
    rows = [row for row in report.rows if row.worst_output is not None and row.worst_output.worst_input is not None]
    if not rows:
        return None
    output = max((row.worst_output for row in rows), key=lambda found: (found and found.noise_ratio) or 0.0)
    assert output is not None
    assert output.worst_input is not None
    remaining = output.worst_input
    spec = subject.signature.output(output.name)
    for batch, outputs in zip(subject.answers.batches, subject.answers.source, strict=True):
        rows_here = len(compare.rows_of(spec, [outputs[output.name]]))
        if remaining < rows_here:
            row = slice(remaining, remaining + 1) if rows_here == batch.size else slice(None)
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays: dict[str, Any] = {name: array[row] for name, array in batch.inputs.items()}
            np.savez(path, **arrays)
            return str(path)
        remaining -= rows_here
    return None
