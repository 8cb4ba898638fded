"""Write any opened model as a LiteRT file (.tflite), through its SavedModel, with LiteRT's own operators alone.

A file that needs TensorFlow's operators (SELECT_TF_OPS) or a runtime's custom ones is not written: it would not open
where LiteRT files go.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporters import to_savedmodel
from exporters.options import ExportOptions
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.errors import UnsupportedOperator
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import SERVING, TensorFlowRunner
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]

_FAMILIES = re.compile(r"^(?:TF Select|Custom) ops: (?P<names>.+)$", re.MULTILINE)
_WIDE = "float64"


def strategies(model: Runner) -> dict[str, Strategy]:
    """TensorFlow and Keras models are converted as they are; the others come from their ONNX graph."""
    return {"tf.lite": _native} if isinstance(model, TensorFlowRunner) else {}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, options: ExportOptions) -> None:
    """Rebuild an ONNX graph in Keras and convert its SavedModel."""
    from exporters.to_torchscript import positional

    with _scratch(target) as folder:
        to_savedmodel.from_onnx(path, folder, signature, contract, options)
        _convert(folder, target, positional(signature), contract)


def _native(model: TensorFlowRunner, path: Path, options: ExportOptions) -> None:
    with _scratch(path) as folder:
        to_savedmodel.strategies(model)["tf.saved_model.save"](model, folder, options)
        _convert(folder, path, model.signature, model.contract)


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """Where the SavedModel on the way stands: beside the target, on whose disk there is room."""
    with tempfile.TemporaryDirectory(prefix="saved_model-", dir=target.parent) as folder:
        yield Path(folder) / "saved_model"


def _convert(folder: Path, target: Path, signature: Signature, contract: Contract) -> None:
    import tensorflow as tf

    wide = [spec.name for spec in (*signature.inputs, *signature.outputs) if spec.dtype == _WIDE]
    if wide:
        raise UnsupportedOperator(
            f"'{wide[0]}' is float64, which LiteRT's operators do not take",
            hint="Export the model in float32, or to another format.",
        )
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SERVING])
    try:
        content = converter.convert()
    except Exception as error:
        raise _explained(error, folder) from error
    target.write_bytes(content)
    metadata.add_to_archive(target, metadata.dumps(signature, contract))


def _explained(error: Exception, folder: Path) -> UnsupportedOperator:
    """The converter's pages of text as one sentence: which operators have no form in LiteRT, and where they stand."""
    text = str(error)
    names = dict.fromkeys(name for match in _FAMILIES.finditer(text) for name in match["names"].split(", "))
    if not names:
        return UnsupportedOperator(
            f"TensorFlow's converter failed ({_first_line(text)})", hint="Export to another format: --to savedmodel."
        )
    places = _places(folder)
    listed = ", ".join(f"{name} (node '{places[name]}')" if name in places else name for name in names)
    return UnsupportedOperator(
        f"LiteRT has no operator for {listed}",
        hint="Files with TensorFlow's own operators (SELECT_TF_OPS) are not written; --to savedmodel has them all.",
    )


def _places(folder: Path) -> dict[str, str]:
    """Operator -> the first node of that kind in the SavedModel's graphs."""
    from tensorflow.core.protobuf import saved_model_pb2

    parsed = saved_model_pb2.SavedModel()
    parsed.ParseFromString((folder / "saved_model.pb").read_bytes())
    found: dict[str, str] = {}
    for meta in parsed.meta_graphs:
        for nodes in (meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function)):
            for node in nodes:
                found.setdefault(node.op, node.name)
    return found


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0][:200]
