"""What a worker does for an export: open a source, write one format, write a format from an ONNX graph."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from exporters import to_onnx
from exporters.options import ExportOptions
from exporters.sources import dimensions, ranges, vocabularies
from exporters.sources.opening import runner_of
from exporters.sources.preprocessed import PreprocessedRunner, fitted
from exporters.sources.source import Source
from toolkit import formats
from toolkit.contract import Contract
from toolkit.errors import NotWritable, ToolkitError
from toolkit.files import explaining_os_errors
from toolkit.pipeline import from_table
from toolkit.runtime.runner import Runner
from toolkit.signature import Signature
from toolkit.worker.server import describe
from toolkit.worker.session import Session


def open_source(
    session: Session, source: Mapping[str, Any], device: str = "cpu", threads: int | None = None, model: Any = None
) -> dict[str, Any]:
    """Open a source and keep it; returns its handle and what is known of it.

    `model` is the object itself where the source is one, which happens only in the caller's own process.
    """
    described = Source.from_json(source)
    session.progress({"stage": f"open {described.name}"})
    runner = _behind_pipeline(described, runner_of(described, device, threads, model))
    if described.runtime in ("tensorflow", "tf_keras") and not isinstance(runner, PreprocessedRunner):
        runner.signature = dimensions.named(runner)
    return {
        "handle": session.keep(runner),
        "signature": runner.signature.to_json(),
        "contract": runner.contract.to_json(),
        "runtime": runner.runtime,
        "ran_on": runner.ran_on,
        "was_training": getattr(runner, "was_training", False),
        "notes": list(runner.notes),
        "ranges": ranges.of_runner(runner),
        "vocabularies": {name: found.to_json() for name, found in vocabularies.of_runner(runner).items()},
        "given": dict(runner.given),
    }


def _behind_pipeline(described: Source, runner: Runner) -> Runner:
    """The opened source, with its pipeline in its contract, or before it where that is baked."""
    if described.pipeline is None:
        return runner.__enter__()
    pipeline = from_table(described.pipeline, "preprocess")
    if described.baked:
        return PreprocessedRunner(runner, pipeline).__enter__()
    runner.__enter__()
    runner.contract = replace(runner.contract, pipeline=fitted(pipeline, runner.signature))
    return runner


def strategies(session: Session, handle: str, to: str) -> list[str]:
    """The names of the native ways to write this model in this format, best first; none where only the hub will do."""
    runner = session.objects[handle]
    if isinstance(runner, PreprocessedRunner):  # a pipeline is written before an ONNX graph, and nowhere else
        return list(_exporter(to).strategies(runner.inner)) if to == "onnx" else []
    return list(_exporter(to).strategies(runner))


def write(
    session: Session, handle: str, to: str, strategy: str, path: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write one format natively. Returns {"written": True}, or why not: the caller has other ways to try."""
    session.progress({"stage": f"write {to} ({strategy})"})
    runner = session.objects[handle]
    try:
        with explaining_os_errors(Path(path)):
            _write(runner, to, strategy, Path(path), ExportOptions.from_json(options))
    except NotWritable:
        raise  # a full disk is no fault of the strategy
    except ToolkitError as error:
        return {"written": False, "why": error.found}
    except Exception as error:  # noqa: BLE001 - exporters raise whatever they like; the next way may do
        return {"written": False, "why": describe(error).found}
    return {"written": True}


def _write(runner: Runner, to: str, strategy: str, path: Path, options: ExportOptions) -> None:
    if isinstance(runner, PreprocessedRunner):
        _write(runner.inner, to, strategy, path, options)
        to_onnx.put_before(path, runner.pipeline, runner.signature, runner.contract)
    else:
        _exporter(to).strategies(runner)[strategy](runner, path, options)


def write_from_onnx(
    session: Session,
    onnx_path: str,
    to: str,
    path: str,
    signature: Mapping[str, Any],
    contract: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Write one format from an ONNX graph, through our own importers."""
    session.progress({"stage": f"write {to} (from ONNX)"})
    declared = Signature.from_json(signature), Contract.from_json(contract), ExportOptions.from_json(options)
    with explaining_os_errors(Path(path)), _with_ends_of(Path(onnx_path), formats.by_name(to), declared[0]) as graph:
        _exporter(to).from_onnx(graph, Path(path), *declared)


@contextlib.contextmanager
def _with_ends_of(onnx_path: Path, form: formats.Format, signature: Signature) -> Iterator[Path]:
    """The graph with inputs and outputs as a format's files have them, where ONNX's have another dtype."""
    if form.interface(signature) == formats.by_name("onnx").interface(signature):
        yield onnx_path
        return
    import onnx_ir as ir

    from exporters.graph import interface, read

    graph = interface.cast(read.read(onnx_path), form.interface(signature))
    with tempfile.TemporaryDirectory(prefix="ends-", dir=onnx_path.parent) as folder:
        cast = Path(folder) / onnx_path.name
        ir.save(graph, cast, external_data=f"{cast.name}.data")
        yield cast


def _exporter(to: str) -> Any:
    return import_module(formats.by_name(to).exporter)
