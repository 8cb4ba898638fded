"""A TensorFlow concrete function as one flat graph of constants, and that graph as ONNX or in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.signature import Signature

if TYPE_CHECKING:
    import onnx

_CONSTANTS = ("Const", "ConstV2")
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Sqrt", "Exp", "Log", "Neg", "Reciprocal", "Pow")


@dataclass(frozen=True)
class FrozenGraph:
    """A GraphDef without variables; `inputs` and `outputs` are (our name, tensor name) in the signature's order."""

    graph_def: Any
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]


def freeze(function: Any, signature: Signature) -> FrozenGraph:
    """Inline and freeze a concrete function that takes keyword tensors and returns a dict of tensors.

    Captured variables become constants; no arithmetic is folded, so their values keep their bits.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    by_argument = dict(zip(_argument_names(function), frozen.inputs, strict=True))
    # A dict of outputs is flattened by its keys in sorted order.
    by_key = dict(zip(sorted(function.structured_outputs), frozen.outputs, strict=True))
    return FrozenGraph(
        frozen.graph.as_graph_def(add_shapes=True),
        tuple((name, by_argument[name].name) for name in signature.input_names),
        tuple((name, by_key[name].name) for name in signature.output_names),
    )


def _argument_names(function: Any) -> list[str]:
    """Keyword names in the order of the function's flat inputs (captures excluded): sorted, as nests are flattened."""
    _, keywords = function.structured_input_signature
    return sorted(keywords)


def to_onnx(frozen: FrozenGraph, opset: int) -> onnx.ModelProto:
    """Convert with tf2onnx, its folding of float arithmetic switched off; interface names are still TensorFlow's."""
    import tensorflow as tf
    from tf2onnx import optimizer, tfonnx

    with tf.Graph().as_default() as graph, _weights_left_alone(tfonnx):
        tf.import_graph_def(frozen.graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            input_names=[tensor for _, tensor in frozen.inputs],
            output_names=[tensor for _, tensor in frozen.outputs],
            opset=opset,
        )
    with _arithmetic_left_alone():
        proto: onnx.ModelProto = optimizer.optimize_graph(converted, catch_errors=False).make_model("model")
    return proto


@contextlib.contextmanager
def _arithmetic_left_alone() -> Iterator[None]:
    """Let tf2onnx's optimizer fold what moves data, not what computes: variance + epsilon is a rounded sum."""
    from tf2onnx.optimizer import const_fold_optimizer as folding

    handlers = folding._func_map  # noqa: SLF001 - tf2onnx offers no setting for it
    arithmetic = {name: handlers.pop(name) for name in _ARITHMETIC if name in handlers}
    try:
        yield
    finally:
        handlers.update(arithmetic)


@contextlib.contextmanager
def _weights_left_alone(tfonnx: Any) -> Iterator[None]:
    """Let tf2onnx fold shapes and indices, and no float: a folded BatchNormalization is a rounded one."""
    original = tfonnx.compute_const_folding_using_tf

    def folding(graph: Any, values: Any, outputs: Any) -> tuple[dict[str, Any], Any]:
        found, dtypes = original(graph, values, outputs)
        written = {op.outputs[0].name for op in graph.get_operations() if op.type in _CONSTANTS}
        kept = {name: value for name, value in found.items() if name in written or value.dtype.kind not in "fc"}
        return kept, dtypes

    tfonnx.compute_const_folding_using_tf = folding
    try:
        yield
    finally:
        tfonnx.compute_const_folding_using_tf = original
