"""Export a model: write every format, verify what was written, and only then put the bundle in its place.

The bundle is a folder: the exported files, golden data, the report, and a manifest that lists them all with their
hashes. It is written under a temporary name beside its destination; a failing export leaves nothing there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporters import options as export_options
from exporters import targets, to_onnx
from exporters.options import ExportOptions
from exporters.precision import calibration, kinds
from exporters.sources import examples, preprocessed
from exporters.sources import source as sources
from exporters.sources.source import Source
from toolkit import __version__, certificate, files, formats, manifest
from toolkit.errors import Inconclusive, NotWritable, ToolkitError, VerdictFailed
from toolkit.manifest import Manifest
from toolkit.pipeline import Pipeline
from toolkit.runtime import devices as device_names
from toolkit.signature import Signature, identifiers
from toolkit.verification import golden, plan, reduced, report, stages, verifier
from toolkit.verification.judge import Thresholds
from toolkit.verification.plan import Batch
from toolkit.verification.reference import asked, constant_words, is_constant, same
from toolkit.verification.report import Report, Row, Verdict
from toolkit.verification.sides import Side, open_source
from toolkit.verification.subject import Subject
from toolkit.verification.verifier import Settings
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool
from toolkit.writer import Writer

REPORT = "report.json"
CALIBRATION = "calibration.npz"
PAGE = "report.html"

# Bytes that the smallest export needs beside its weights, and what is left where a disk has run full since.
_SMALLEST, _FULL = 2_000_000, 500_000


@dataclass(frozen=True)
class Bundle:
    """An exported model on disk. `routes` says how each format was written, `notes` what a user should know."""

    path: Path
    manifest: Manifest
    report: Report
    routes: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdicts."""
        return self.report._repr_html_()

    def file(self, name: str) -> Path:
        """The path of one format. Raises KeyError for one that was not exported."""
        return self.path / self.manifest.formats[name]


def export(
    source: Any,
    to: str | Sequence[str] = "all",
    output: str | Path = "out",
    inputs: Sequence[str] = (),
    *,
    opset: int | None = None,
    target: str | None = None,
    optimize: bool = True,
    precision: str = "fp32",
    calibrate: str | Path | None = None,
    factory: str | None = None,
    framework: str | None = None,
    signature: str | None = None,
    trust: Sequence[str] = (),
    allow: Sequence[str] = (),
    data: str | Path | None = None,
    devices: Sequence[str] = ("cpu",),
    count: int | None = None,
    seed: int = 7,
    latency: bool = True,
    search: float = 0.0,
    limits: Limits | None = None,
    commands: Mapping[str, str] | None = None,
    stage: Callable[[str], None] = lambda _: None,
    pool: WorkerPool | None = None,
    preprocess: Pipeline | str | Path | None = None,
    bake_preprocess: bool = False,
) -> Bundle:
    """Export a model to one or more formats, verified.

    Args:
        source: a model object, a path, or a "package.module:factory".
        to: format names, or "all".
        output: the bundle's folder; what stood there is replaced once everything has passed.
        inputs: `NAME:DTYPE[DIM,...]` texts, where the source does not say what its inputs are.
        opset: ONNX operator set of what is written; 18, or the newest below that the target reads.
        target: the runtime that the ONNX file goes to, such as "ort>=1.17", "ort-web" or "trt10".
        optimize: whether what is rebuilt from ONNX is made for speed, or keeps the source's weights bit for bit.
        precision: "fp16", "bf16" or "int8" for files in fewer bits, verified as a class of their own.
        calibrate: the .npz, or the folder of them, that int8 learns its ranges from; `data` if it is left out.
        factory: what rebuilds the architecture where the source holds weights alone.
        framework: "torch", "keras" or "tensorflow", where a factory's module does not show it.
        signature: which signature of a SavedModel to export, where it has several.
        trust: SHA-256 prefixes of files that may run code when they are opened.
        allow: classes, as "package.module.Class", that a pickled model may be built of; nothing else in it is called.
        data: an .npz of real inputs to verify with.
        devices: where to verify.
        count: how many inputs to verify with; None for 512, fewer if the source takes long.
        seed: of the generated inputs.
        latency: whether to time the files against the source.
        search: seconds to look, for each file, for an input on which it differs after all.
        limits: time, memory and threads of the workers.
        commands: other interpreters or prefixes for workers.
        stage: told what is being done.
        pool: workers to use and to leave running, in the place of new ones with `limits` and `commands`.

        preprocess: a pipeline from raw pictures to the model's input, or its TOML or JSON file; the bundle keeps it.
        bake_preprocess: whether the files themselves take raw pictures, uint8 [batch, height, width, 3].

    Raises VerdictFailed with `report` set where a file does not predict what its source predicts, ExportFailed where
    there is no way to write one, and BadInput, NotWritable, DiskFull ... for the rest; nothing is left behind.
    """
    resolved = sources.resolve(
        source, inputs=inputs, factory=factory, framework=framework, signature=signature, trust=trust, allow=allow
    )
    resolved = preprocessed.behind(resolved, preprocess, baked=bake_preprocess)
    request = Request(
        resolved,
        names=formats.asked_for(to),
        output=Path(output),
        options=ExportOptions(_opset(opset, target), opset is not None, optimize, precision=precision, target=target),
        settings=Settings(
            tuple(devices),
            count,
            seed,
            Thresholds(),
            latency,
            locate=True,
            stage=stage,
            search=search,
            formats=formats.asked_for(to),
            precision=precision,
            calibrate=calibrate,
            trust=None,
        ),
        data=data,
        model=None if isinstance(source, str | Path) else source,
    )
    if pool is not None:
        return carry_out(pool, request)
    with WorkerPool(limits=limits, commands=commands) as own:
        return carry_out(own, request)


def _opset(opset: int | None, target: str | None) -> int:
    if opset is not None:
        return opset
    newest = targets.parse(target).opset if target is not None else export_options.DEFAULT_OPSET
    return min(newest, export_options.DEFAULT_OPSET)


@dataclass(frozen=True)
class Request:
    """One export as asked for; `model` is the object itself where the source is one."""

    source: Source
    names: tuple[str, ...]
    output: Path
    options: ExportOptions
    settings: Settings
    data: str | Path | None = None
    model: Any = None


def carry_out(pool: WorkerPool, request: Request) -> Bundle:
    """Export in the workers of `pool`, which stay warm for the next request. Raises as `export` does."""
    started = _Moment(pool)
    to_onnx.check_options(request.options)
    kinds.check(request.options.precision, request.names)
    preprocessed.require_full(request.source, request.options.precision)
    verifier.require_no_search(request.options.precision, request.settings.search)
    for device in request.settings.devices:
        device_names.parse(device)
    _check_destination(request.output)
    with files.replacing(request.output) as staged, _naming_full_disks(request.output):
        folder = staged.absolute()  # a worker has a working directory of its own
        pool.warm(_workers(request.names, request.source, is_object=request.model is not None))
        request.settings.stage(f"open {request.source.name}")
        side = open_source(pool, request.source, request.model)
        kinds.require_plain([spec.dtype for spec in side.signature.inputs + side.signature.outputs],
                            request.options.precision)  # fmt: skip
        subject = None
        if not _repeatable_and_dependent(side, request.source.name):
            subject = verifier.subject_of(pool, side, request.source, request.data, request.settings)
            _require_dependent(side, subject)
        folder.mkdir()
        scratch = folder.parent / "scratch"
        scratch.mkdir()
        request = _calibrated(request, side, scratch)
        _require_space(side, request.output, request.names)
        routes = Writer(
            pool, side, request.source.name, request.options, folder, scratch, request.settings.stage
        ).write_all(request.names)
        if subject is None:
            subject = verifier.subject_of(pool, side, request.source, request.data, request.settings)
        written = [folder / formats.by_name(name).file for name in request.names]
        found = verifier.compare_files(pool, subject, written, request.settings)
        found = started.timed(_relative(found, folder))
        _require_passed(found)
        listed = _complete(folder, request, side, subject, found, routes)
        side.close()
    return Bundle(request.output, listed, found, routes, _notes(side, routes))


@contextlib.contextmanager
def _naming_full_disks(output: Path) -> Iterator[None]:
    """Say so where the disk is full: every library has words of its own for it, and PyTorch's savers just abort."""
    try:
        yield
    except NotWritable as error:
        error.where = str(output)  # a worker knows the temporary name alone
        raise
    except Exception as error:
        if files.free_space(output) < _FULL:
            raise files.disk_full(output) from error
        raise


def _check_destination(output: Path) -> None:
    """A bundle replaces a bundle; it does not replace anything else that a user may have there."""
    if output.is_symlink() and not output.exists():
        raise NotWritable(
            "it is a link to nothing", where=str(output), hint="Remove the link or choose another folder."
        )
    if output.is_file():
        raise NotWritable("a file stands there", where=str(output), hint="Choose a folder that does not exist yet.")
    if output.is_dir() and any(output.iterdir()) and not (output / manifest.NAME).is_file():
        raise NotWritable(
            "the folder holds something else than a bundle", where=str(output), hint="Choose an empty or a new folder."
        )


def _workers(names: Sequence[str], source: Source, *, is_object: bool) -> set[tuple[str, str]]:
    """Every worker that the export and its verification will need, so that they start side by side."""
    needed = {formats.by_name(name).runtime for name in names} | ({"torch"} if "onnx" in names else set())
    return {(runtime, "cpu") for runtime in needed | (set() if is_object else {source.runtime})}


def _calibrated(request: Request, side: Side, scratch: Path) -> Request:
    """The request with the calibration data where the exporters read them. Raises BadInput where int8 has none."""
    given = request.data or request.source.facts.get("data")
    real = plan.load_data(Path(given), side.signature) if given else None
    asked = reduced.reduction(request.options.precision, request.settings.calibrate, real, side.signature)
    if not asked.calibration:
        return request
    calibration.save(scratch / CALIBRATION, asked.calibration)
    return replace(request, options=replace(request.options, calibration=str(scratch / CALIBRATION)))


def _repeatable_and_dependent(side: Side, name: str) -> bool:
    """Whether the outputs are others for other inputs.

    Raises Inconclusive for a random model before anything is written: no file could be shown to be like it.
    """
    drawn = [
        Batch("example", examples.arrays(side.signature, examples.sizes(side.signature, 0), seed, side.known), 1)
        for seed in (0, 0, 1)
    ]
    first, second, other = asked(side, drawn)
    if any(not same(array, second[name]) for name, array in first.items()):
        raise Inconclusive(
            "the source gives other outputs when run again: it is random, or keeps a state",
            where=name,
            hint="Take the randomness out of its forward pass, or fix its seed there; nothing was written.",
        )
    return not is_constant(side.signature, [first, other])


def _require_dependent(side: Side, subject: Subject) -> None:
    """Raise Inconclusive for a model that is constant on all inputs of the plan, before anything is written."""
    if is_constant(subject.signature, subject.answers.source):
        raise Inconclusive(
            constant_words(side),
            where=subject.name,
            hint="Give it the weights that it was trained to; nothing was written.",
        )


def _require_space(side: Side, output: Path, names: Sequence[str]) -> None:
    size = 4 * sum(item.size for item in side.fingerprints())
    files.require_space(output, max(_SMALLEST, (len(names) + 1) * size))


def _relative(found: Report, folder: Path) -> Report:
    """The report with paths as they will be in the bundle."""
    rows = tuple(replace(row, path=Path(row.path).relative_to(folder).as_posix()) for row in found.rows)
    return replace(found, rows=rows)


class _Moment:
    """When an export began, by the clocks of its command and of its workers, which may have worked for others."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._wall, self._own, self._workers = time.monotonic(), time.process_time(), pool.seconds["cpu"]
        self._spent = pool.spent

    def timed(self, found: Report) -> Report:
        """The report with what was spent since."""
        wall = time.monotonic() - self._wall
        seconds = {"wall": wall, "worker_cpu": self._pool.seconds["cpu"] - self._workers}
        spent = stages.since(self._spent, self._pool.spent)
        return replace(found, seconds=seconds, stages=stages.of(spent, wall, time.process_time() - self._own))


def _require_passed(found: Report) -> None:
    """Raise what the rows that did not pass amount to; a device that is missing does not undo an export."""
    failed = [row for row in found.rows if row.verdict not in (Verdict.PASS, Verdict.NOT_RUN)]
    unproved = {row.format for row in found.rows} - {row.format for row in found.rows if row.verdict is Verdict.PASS}
    failed += [row for row in found.rows if row.format in unproved and row not in failed]
    if failed:
        raise _failure(found, failed)


def _failure(found: Report, failed: Sequence[Row]) -> ToolkitError:
    first = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    error = VerdictFailed(
        f"{first.verdict}: {first.reason}{more}",
        where=f"{first.format} on {first.device}",
        hint="Nothing was written to the destination.",
    )
    error.exit_code = replace(found, rows=tuple(failed)).exit_code
    error.report = found
    return error


def _complete(
    folder: Path,
    request: Request,
    side: Side,
    subject: verifier.Subject,
    found: Report,
    routes: Mapping[str, str],
) -> Manifest:
    """Write what goes with the exported files: golden data, both forms of the report, and the manifest last."""
    from toolkit.report import html

    description = {"seed": subject.plan.seed, "runtime": side.runtime, "accuracy": found.reference.accuracy,
                   "precision": subject.answers.precision}  # fmt: skip
    answers = subject.answers
    recorded = golden.Golden(answers.batches, answers.source, answers.truth, description, answers.conditions)
    golden.save(folder / golden.NAME, recorded)
    (folder / REPORT).write_text(report.dumps(found.to_json()) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(html.render(found), encoding="utf-8")
    listed = Manifest(
        signature=side.signature,
        contract=side.contract,
        formats={name: formats.by_name(name).file for name in request.names},
        files=manifest.list_files(folder),
        source={"name": request.source.name, "kind": request.source.kind, "sha256": _source_digest(request.source)},
        options=request.options.recorded,
        versions={"toolkit": __version__, **_versions(found)},
        verification={
            "passed": found.passed,
            "counts": found.counts,
            "inputs": found.coverage.words,
            "routes": dict(routes),
        },
        created=manifest.timestamp(),
        names=_names(request.names, side.signature),
    )
    certificate.write(folder, listed, report.strict(found.to_json()))
    listed = replace(listed, files=manifest.list_files(folder))
    listed.save(folder)
    return listed


def _names(forms: Sequence[str], signature: Signature) -> dict[str, dict[str, str]]:
    """Format -> input -> what it is called there, for the inputs whose names it forbids."""
    changed = {name: plain for name, plain in identifiers(signature.input_names).items() if name != plain}
    return {name: changed for name in forms if changed and formats.by_name(name).plain_names}


def _source_digest(resolved: Source) -> str | None:
    return files.digest(Path(resolved.path)) if resolved.path else None


def _versions(found: Report) -> dict[str, str]:
    """Runtime -> version, from what the rows ran on."""
    pairs = [row.runtime.partition(" ") for row in found.rows]
    return {name: version for name, _, version in sorted(pairs) if version}


def _notes(side: Side, routes: Mapping[str, str]) -> tuple[str, ...]:
    notes = list(side.notes)
    if side.was_training:
        notes.append("the model was in training mode; it was exported in evaluation mode")
    if "torchscript" in routes:
        notes.append("PyTorch calls TorchScript deprecated; it still saves, loads and runs it")
    return tuple(notes)
