"""Conduct a verification: open both sides in workers, run the plan on each, judge every file on every device."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.precision import kinds
from exporters.sources import preprocessed
from exporters.sources import source as sources
from exporters.sources.source import Source
from toolkit import formats, manifest
from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline
from toolkit.runtime import devices as device_names
from toolkit.verification import environment, gate, rows, stages, worst_input
from toolkit.verification.judge import Thresholds
from toolkit.verification.report import Report
from toolkit.verification.sides import open_source
from toolkit.verification.subject import Settings, Stage, Subject, from_bundle, subject_of
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

__all__ = ["Settings", "Subject", "compare_files", "subject_of", "verify"]


def verify(
    source: Any,
    targets: Sequence[str | Path] = (),
    devices: Sequence[str] = ("cpu",),
    data: str | Path | None = None,
    *,
    inputs: Sequence[str] = (),
    factory: str | None = None,
    framework: str | None = None,
    signature: str | None = None,
    trust: Sequence[str] = (),
    allow: Sequence[str] = (),
    count: int | None = None,
    seed: int = 7,
    atol: float | None = None,
    rtol: float | None = None,
    max_ratio: float | None = None,
    latency: bool = True,
    budget: str | None = None,
    baseline: str | Path | None = None,
    locate: bool = True,
    worst: str | Path | None = None,
    search: float = 0.0,
    precision: str = "fp32",
    calibrate: str | Path | None = None,
    limits: Limits | None = None,
    commands: Mapping[str, str] | None = None,
    stage: Stage = lambda _: None,
    preprocess: Pipeline | str | Path | None = None,
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
        signature: which signature of a SavedModel is the source, where it has several.
        trust: SHA-256 prefixes of files that may run code when they are opened.
        allow: classes, as "package.module.Class", that a pickled model may be built of; nothing else in it is called.
        count: how many inputs to compare on (at least 32); None for 512, fewer if the source takes long.
        seed: of the generated inputs.
        atol: largest absolute difference allowed, on top of the verdict's own limits.
        rtol: largest relative difference allowed; of `atol` and `rtol` one must hold.
        max_ratio: largest R allowed, where it is stricter than the verdict's own.
        latency: whether to time the files against the source.
        budget: "ratio=1.1": a file that takes more than 1.1 times the source's time, for certain, fails.
        baseline: the JSON report of an earlier run: a file that has become slower than there by more than the budget
            (1.1 where none is given) fails; one that is not in it fails too.
        locate: whether to look, on a FAIL, for the operator where the files part from the source, and why.
        search: seconds to look, for each file that passes, for an input on which it differs after all.
        precision: "fp16", "bf16" or "int8" for files in fewer bits: they are judged by what those must cost.
        calibrate: the .npz, or the folder of them, that int8 learned its ranges from; the data if it is left out.
        worst: where to save the worst input, as .npz, if anything does not pass.
        limits: time, memory and threads of the workers.
        commands: other interpreters or prefixes for workers, by runtime or device kind.
        stage: told what is being done, for a progress display.
        preprocess: a pipeline, or its file, that the targets begin with: the source stands behind it then.

    Raises BadInput, UnsafeFile, DeviceMissing ... for what makes the whole comparison impossible. What goes wrong with
    one file on one device is a row of the report.
    """
    started, started_cpu = time.monotonic(), time.process_time()
    for device in devices:
        device_names.parse(device)
    if not search >= 0:
        raise BadInput(f"{search:g} is no number of seconds", where="search", hint="Give 0 for no search.")
    allowed = gate.budget(budget, baseline)
    if allowed is not None and not latency:
        raise BadInput("nothing is timed", where="--budget", hint="Leave out --no-latency.")
    thresholds = Thresholds(atol=atol, rtol=rtol, max_ratio=max_ratio)
    kinds.check(precision)
    require_no_search(precision, search)
    settings = Settings(
        tuple(devices), count, seed, thresholds, latency, locate, stage, search, (), precision, calibrate, tuple(trust)
    )
    is_bundle = isinstance(source, str | Path) and (Path(source) / manifest.NAME).is_file()
    targets = [*targets] or ([source] if is_bundle else [])
    files = _files(targets, precision if not is_bundle else None)
    settings = replace(settings, formats=tuple(formats.of_path(path).name for path in files))
    if is_bundle and preprocess is not None:
        raise BadInput(
            "a bundle's golden data were made with its own pipeline",
            where="--preprocess",
            hint="Name the source itself.",
        )
    with WorkerPool(limits=limits, commands=commands) as pool:
        pool.warm({(formats.of_path(path).runtime, "cpu") for path in files})
        if is_bundle:
            subject = from_bundle(Path(source))
        else:
            resolved = sources.resolve(
                source,
                inputs=inputs,
                factory=factory,
                framework=framework,
                signature=signature,
                trust=trust,
                allow=allow,
            )
            resolved = preprocessed.behind(resolved, preprocess, baked=preprocess is not None)
            preprocessed.require_full(resolved, precision)
            model = None if isinstance(source, str | Path) else source
            subject = _live_subject(pool, resolved, model, data, settings)
        report = compare_files(pool, subject, files, settings)
        cpu, spent = pool.seconds["cpu"], pool.spent
    if allowed is not None:
        report = gate.applied(report, allowed)
    if worst is not None and not report.passed:
        report = replace(
            report, worst_inputs=worst_input.save(Path(worst), subject.signature, subject.answers_for, report)
        )
    wall = time.monotonic() - started
    timed = stages.of(spent, wall, time.process_time() - started_cpu)
    return replace(report, seconds={"wall": wall, "worker_cpu": cpu}, stages=timed)


def require_no_search(precision: str, search: float) -> None:
    if search and precision != kinds.FULL:
        raise BadInput(
            f"a search looks for differences that float32 does not excuse; {precision} differs everywhere",
            where="search", hint="Leave out one of the two.",
        )  # fmt: skip


def _files(targets: Sequence[str | Path], precision: str | None) -> list[Path]:
    """Every file to verify; a bundle stands for all of its files, and is re-hashed first.

    Raises BadInput for a bundle of another precision than was asked for (None: whatever it has).
    """
    files: list[Path] = []
    for target in map(Path, targets):
        formats.check_readable(target)
        if (target / manifest.NAME).is_file():
            listed = manifest.check(target)
            if precision is not None and listed.precision != precision:
                raise BadInput(
                    f"its files are in {listed.precision}, and are to be judged as {precision}",
                    where=str(target), hint=f"Say what they are: --precision {listed.precision}.",
                )  # fmt: skip
            files += [target / path for path in listed.formats.values()]
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
    return subject_of(pool, side, resolved, data, settings)


def compare_files(pool: WorkerPool, subject: Subject, files: Sequence[Path], settings: Settings) -> Report:
    """One row for every file on every device."""
    found = []
    for device in settings.devices:
        for path in files:
            settings.stage(f"verify {path.name} on {device}")
            found.append(rows.row_of(pool, subject, path, device, settings))
    return Report(
        reference=subject.described,
        rows=tuple(found),
        coverage=subject.plan.coverage(),
        thresholds=settings.thresholds.to_json(),
        environment=environment.describe(pool.limits.threads),
        created=manifest.timestamp(),
    )
