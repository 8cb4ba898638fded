"""What a worker does for a reduced precision: make the reduced graph, or run what the source would be in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.contract import Contract
from toolkit.errors import ExportFailed
from toolkit.signature import Signature
from toolkit.worker.session import Session

Array = np.ndarray[Any, Any]


def reduce(
    session: Session,
    source: str,
    target: str,
    precision: str,
    compute: bool,
    recurrent: bool,
    optimize: bool,
    to: str | None,
    signature: Mapping[str, Any],
    contract: Mapping[str, Any],
    calibration: Sequence[Mapping[str, Array]] = (),
) -> None:
    """Write the ONNX graph at `source` in fewer bits to `target`, its interface as it was; one of few bits is widened
    first.
    """
    import onnx_ir as ir

    from exporters.graph import clean, fold_batchnorm, read
    from exporters.precision import narrow, quantise, widen

    session.progress({"stage": f"reduce to {precision}"})
    graph = widen.widened(read.read(Path(source)))
    if optimize:
        graph = clean.lift_constants(graph)
        fold_batchnorm.fold_batchnorm(graph)
    if precision == "int8":
        with tempfile.TemporaryDirectory(prefix="quantise-", dir=Path(target).parent) as scratch:
            prepared, quantised = Path(scratch) / "float32.onnx", Path(scratch) / "int8.onnx"
            ir.save(graph, prepared)
            try:
                quantise.quantise(prepared, quantised, calibration)
            except Exception as error:
                raise ExportFailed(
                    f"ONNX Runtime's quantiser failed ({type(error).__name__}: {str(error).strip()[:200]})",
                    hint="Ask for --precision fp16.",
                ) from error
            graph = read.read(quantised)
            ir.external_data.load_to_model(graph)
    else:
        graph = narrow.narrow(graph, precision, compute=compute, recurrent=recurrent)
    _save(graph, Path(target), Signature.from_json(signature), Contract.from_json(contract), to)


def _save(graph: Any, path: Path, signature: Signature, contract: Contract, to: str | None) -> None:
    from exporters import to_onnx

    to_onnx.save(graph, path, signature, contract, to)


def open_rounded(
    session: Session,
    path: str,
    precision: str,
    signature: Mapping[str, Any],
    calibration: Sequence[Mapping[str, Array]] = (),
    integers: bool = False,
) -> dict[str, Any]:
    """The float32 ONNX graph at `path`, to be run in float64 with every result rounded, and as it is."""
    from exporters.precision.rounded import RoundedModel

    session.progress({"stage": f"prepare {precision}"})
    model = RoundedModel(Path(path), Signature.from_json(signature), precision, integers=integers)
    model.calibrate(calibration)
    return {"rounded": session.keep(model), "exact": session.keep(model.exact())}


def graph_weights(session: Session, path: str, *, folded: bool) -> dict[str, Array]:  # noqa: ARG001 - as tasks are
    """The float weights of a float32 ONNX graph, by name; with normalisations folded into them where asked."""
    from exporters.graph import clean, fold_batchnorm, read

    graph = read.read(Path(path))
    if folded:
        graph = clean.lift_constants(graph)
        fold_batchnorm.fold_batchnorm(graph)
    found = {}
    for name, value in graph.graph.initializers.items():
        if value.const_value is not None and value.const_value.dtype.is_floating_point() and value.uses():
            found[name] = np.ascontiguousarray(value.const_value.numpy(), np.float32)
    return found
