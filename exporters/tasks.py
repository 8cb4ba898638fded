"""What a worker does for an export: open a source, write one format, write a format from an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.sources.opening import runner_of
from exporters.sources.source import Source
from toolkit import formats
from toolkit.contract import Contract
from toolkit.errors import NotWritable, ToolkitError
from toolkit.files import explaining_os_errors
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
    runner = runner_of(described, device, threads, model)
    runner.__enter__()
    return {
        "handle": session.keep(runner),
        "signature": runner.signature.to_json(),
        "contract": runner.contract.to_json(),
        "runtime": runner.runtime,
        "ran_on": runner.ran_on,
        "was_training": getattr(runner, "was_training", False),
        "notes": list(runner.notes),
    }


def strategies(session: Session, handle: str, to: str) -> list[str]:
    """The names of the native ways to write this model in this format, best first; none where only the hub will do."""
    return list(_exporter(to).strategies(session.objects[handle]))


def write(
    session: Session, handle: str, to: str, strategy: str, path: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write one format natively. Returns {"written": True}, or why not: the caller has other ways to try."""
    session.progress({"stage": f"write {to} ({strategy})"})
    runner = session.objects[handle]
    try:
        with explaining_os_errors(Path(path)):
            _exporter(to).strategies(runner)[strategy](runner, Path(path), ExportOptions.from_json(options))
    except NotWritable:
        raise  # a full disk is no fault of the strategy
    except ToolkitError as error:
        return {"written": False, "why": error.found}
    except Exception as error:  # noqa: BLE001 - exporters raise whatever they like; the next way may do
        return {"written": False, "why": describe(error).found}
    return {"written": True}


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
    with explaining_os_errors(Path(path)):
        _exporter(to).from_onnx(Path(onnx_path), Path(path), *declared)


def _exporter(to: str) -> Any:
    return import_module(formats.by_name(to).exporter)
