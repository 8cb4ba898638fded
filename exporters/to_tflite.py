"""Write any opened model as a LiteRT file (.tflite), from the function that its SavedModel would hold.

It has LiteRT's own operators alone. A file that needs TensorFlow's (SELECT_TF_OPS) or a runtime's custom ones is not
written: it would not open where LiteRT files go.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporters.graph import tensorflow_graph
from exporters.graph.tensorflow_graph import FrozenGraph
from exporters.litert import precision, spelling
from exporters.options import ExportOptions
from toolkit import metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import UnsupportedOperator
from toolkit.runtime.hdf5_runner import keras_call
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import SERVING, TensorFlowRunner, concrete_function, import_tensorflow
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]

_FAMILIES = re.compile(r"^(?:TF Select|Custom) ops: (?P<names>.+)$", re.MULTILINE)
_UNKNOWN = ("float64", "bfloat16", "string")


def strategies(model: Runner) -> dict[str, Strategy]:
    """TensorFlow and Keras models are converted as they are; the others come from their ONNX graph."""
    return {"tf.lite": _native} if isinstance(model, TensorFlowRunner) else {}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, options: ExportOptions) -> None:
    """Rebuild an ONNX graph in Keras and convert its one function."""
    from exporters import onnx_to_keras
    from exporters.to_torchscript import positional

    tf = import_tensorflow()
    flat = positional(signature)
    with spelling.replacing():
        model = onnx_to_keras.build(path, plain=False)
        function = concrete_function(tf, keras_call(model, flat), flat)
    _convert(function, target, flat, contract, options)


def _native(model: TensorFlowRunner, path: Path, options: ExportOptions) -> None:
    function = model.function
    own = getattr(model, "model", None)
    if type(own).__module__.startswith("keras."):
        with spelling.replacing():
            function = concrete_function(import_tensorflow(), keras_call(own, model.signature), model.signature)
    _convert(function, path, model.signature, model.contract, options)


def _convert(function: Any, target: Path, signature: Signature, contract: Contract, options: ExportOptions) -> None:
    import tensorflow as tf

    _require_narrow(signature)
    frozen = tensorflow_graph.freeze(function, signature)
    if frozen.tables:
        raise UnsupportedOperator(
            "LiteRT files of ours hold no lookup tables", hint="Export to --to onnx or savedmodel."
        )
    holder = tf.Module()
    holder.function = concrete_function(tf, lambda feed: _call(tf, frozen, feed), signature)
    # Beside the target, on whose disk there is room; of a function alone the converter would not keep the names.
    with tempfile.TemporaryDirectory(prefix="saved_model-", dir=target.parent) as folder:
        tf.saved_model.save(holder, folder, signatures={SERVING: holder.function})
        try:
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SERVING])
            precision.ask(tf, converter, signature, options)
            content = converter.convert()
        except Exception as error:
            raise _explained(error, frozen.graph_def) from error
    target.write_bytes(content)
    metadata.add_to_archive(target, metadata.dumps(signature, contract))


def _require_narrow(signature: Signature) -> None:
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype in _UNKNOWN:
            raise UnsupportedOperator(
                f"'{spec.name}' is {spec.dtype}, which LiteRT's operators do not take",
                hint="Export the model in float32, or to another format.",
            )


def _call(tf: Any, frozen: FrozenGraph, feed: dict[str, Any]) -> dict[str, Any]:
    """The frozen graph as a function of tensors by name, its large weights among its constants."""
    given = {tensor: feed[name] for name, tensor in frozen.inputs}
    given |= {f"{name}:0": tf.constant(array) for name, array in frozen.weights.items()}
    tensors = [tensor for _, tensor in frozen.outputs]
    results = tf.import_graph_def(frozen.graph_def, input_map=given, return_elements=tensors, name="")
    return {name: result for (name, _), result in zip(frozen.outputs, results, strict=True)}


def _explained(error: Exception, graph_def: Any) -> UnsupportedOperator:
    """The converter's pages of text as one sentence: which operators have no form in LiteRT, and where they stand."""
    text = str(error)
    names = dict.fromkeys(name for match in _FAMILIES.finditer(text) for name in match["names"].split(", "))
    if not names:
        return UnsupportedOperator(
            f"TensorFlow's converter failed ({said(error)})", hint="Export to another format: --to savedmodel."
        )
    places = _places(graph_def)
    listed = ", ".join(f"{name} (node '{places[name]}')" if name in places else name for name in names)
    return UnsupportedOperator(
        f"LiteRT has no operator for {listed}",
        hint="Files with TensorFlow's own operators (SELECT_TF_OPS) are not written; --to savedmodel has them all.",
    )


def _places(graph_def: Any) -> dict[str, str]:
    """Operator -> the first node of that kind in the graph and its functions."""
    found: dict[str, str] = {}
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            found.setdefault(node.op, node.name)
    return found
