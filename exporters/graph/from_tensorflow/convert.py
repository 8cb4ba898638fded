"""Run tf2onnx so that weights keep their bits, and refuse what it could not convert."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from exporters.graph import tensorflow_types
from exporters.graph.from_tensorflow import complex_numbers, failures, operators, rewrites
from exporters.graph.protos import all_nodes
from exporters.graph.tensorflow_graph import FrozenGraph
from toolkit.errors import UnsupportedOperator

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

OPSET_CEILING = 18  # tf2onnx 1.17 writes no newer one

_CONSTANTS = ("Const", "ConstV2")
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Sqrt", "Exp", "Log", "Neg", "Reciprocal", "Pow")
_MERGED = (("Conv", "BatchNormalization"), ("Cast",))  # a number that was rounded to float16 stays rounded
# tf2onnx sorts the whole graph for each transposition that it moves. `exporters.graph.transposes` leaves
# fewer; only those inside of loops, and across a change of rank, it leaves alone.
_MANY = 300_000


def to_onnx(frozen: FrozenGraph, opset: int) -> ir.Model:
    """Convert with tf2onnx, its folding of float arithmetic switched off; interface names are still TensorFlow's.

    Weights that were set aside are put back as initializers, of their own name.

    Raises UnsupportedOperator, naming every operator and a layer that uses it, where ONNX has no form of one.
    """
    import tensorflow as tf
    from tf2onnx import optimizer, tfonnx

    opset = min(opset, OPSET_CEILING)
    frozen = complex_numbers.taken_apart(_without_bfloat16(frozen))
    kinds = {node.name: node.op for node in frozen.graph_def.node}
    kinds |= {node.name: node.op for function in frozen.graph_def.library.function for node in function.node_def}
    with tf.Graph().as_default() as graph, _weights_left_alone(tfonnx), failures.named(kinds):
        tf.import_graph_def(frozen.graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            input_names=[*(tensor for _, tensor in frozen.inputs), *(f"{name}:0" for name in frozen.weights)],
            output_names=[tensor for _, tensor in frozen.outputs],
            opset=opset,
            custom_op_handlers=operators.handlers(frozen),
            custom_rewriter=rewrites.rewriters(),
        )
    with _arithmetic_left_alone(), failures.named(kinds):
        steps = dict(optimizer._get_optimizers())  # noqa: SLF001 - where tf2onnx keeps its steps
        del steps["einsum_optimizer"]  # it tries every order of axes, for half a minute, and writes thirty operators
        nodes = converted.get_nodes()
        if len(nodes) * sum(node.type == "Transpose" for node in nodes) > _MANY:
            del steps["optimize_transpose"]
        proto: onnx.ModelProto = optimizer.optimize_graph(converted, False, steps).make_model("model")
    require_known_operators(proto)
    model = ir.from_proto(proto)
    _put_back(model, frozen.weights)
    return model


def _without_bfloat16(frozen: FrozenGraph) -> FrozenGraph:
    """The graph in float32 where it computes in bfloat16, of which tf2onnx knows nothing."""
    from tensorflow.core.framework import types_pb2

    if not tensorflow_types.holds(frozen.graph_def, types_pb2.DT_BFLOAT16):
        return frozen
    wide = tensorflow_types.retyped(frozen.graph_def, {types_pb2.DT_BFLOAT16: types_pb2.DT_FLOAT})
    return replace(frozen, graph_def=wide)


def _put_back(model: ir.Model, weights: Mapping[str, Array]) -> None:
    for value in list(model.graph.inputs):
        array = weights.get(str(value.name).removesuffix(":0"))
        if array is not None:
            value.const_value = ir.tensor(array, name=value.name)
            model.graph.inputs.remove(value)
            model.graph.register_initializer(value)


def require_known_operators(proto: onnx.ModelProto) -> None:
    """Raise UnsupportedOperator where a node's operator does not exist: tf2onnx leaves TensorFlow's own in place."""
    import onnx

    opsets = {imported.domain: imported.version for imported in proto.opset_import}
    unknown: dict[str, str] = {}
    for node in all_nodes(proto.graph):
        if not onnx.defs.has(node.op_type, opsets.get(node.domain, 0), node.domain):
            unknown.setdefault(node.op_type, node.name)
    if unknown:
        listed = ", ".join(f"{op_type} (in '{name}')" for op_type, name in sorted(unknown.items()))
        raise UnsupportedOperator(
            f"ONNX has no form of these TensorFlow operators: {listed}", hint="Replace the layers that use them."
        )


@contextlib.contextmanager
def _arithmetic_left_alone() -> Iterator[None]:
    """Let tf2onnx's optimizer fold what moves data, not what computes: variance + epsilon is a rounded sum."""
    from tf2onnx.optimizer import back_to_back_optimizer as merging
    from tf2onnx.optimizer import const_fold_optimizer as folding

    # tf2onnx offers no setting for it.
    tables = ((folding._func_map, _ARITHMETIC), (merging._func_map, _MERGED))  # noqa: SLF001 - where tf2onnx keeps its tables
    removed = [(table, name, table.pop(name)) for table, names in tables for name in names if name in table]
    try:
        yield
    finally:
        for table, name, handler in removed:
            table[name] = handler


# They want every weight in the graph, and one kind of cell; `exporters.graph.recurrent` does it afterwards.
_RECURRENT = ("rewriter_lstm_tf2", "rewrite_gru_tf2")
_FEW = 16  # elements: sizes and scales, from which shapes are computed


def _is_float(op: Any) -> bool:
    return op.type not in _CONSTANTS and len(op.outputs) == 1 and op.outputs[0].dtype.is_floating


def _ancestors(ops: list[Any]) -> list[Any]:
    """The operations, and all that they are computed from."""
    found: dict[Any, None] = {}
    waiting = list(ops)
    while waiting:
        op = waiting.pop()
        if op not in found:
            found[op] = None
            waiting += [value.op for value in op.inputs]
    return list(found)


def _is_weight(op: Any) -> bool:
    if not _is_float(op):
        return False
    size = op.outputs[0].shape.num_elements()
    return size is None or size > _FEW


def _as_input(op: Any) -> Any:
    return SimpleNamespace(type="Placeholder", name=op.name, inputs=op.inputs, outputs=op.outputs)


@contextlib.contextmanager
def _weights_left_alone(tfonnx: Any) -> Iterator[None]:
    """Let tf2onnx fold shapes and indices, and no float: a folded BatchNormalization is a rounded one.

    It opens a session for every operator that it folds, so those whose result is not wanted are shown as inputs.
    """
    original = tfonnx.compute_const_folding_using_tf

    def folding(graph: Any, values: Any, outputs: Any) -> tuple[dict[str, Any], Any]:
        operations = graph.get_operations()
        found, dtypes = folded([_as_input(op) if _is_weight(op) else op for op in operations], values, outputs)
        written = {op.outputs[0].name for op in operations if op.type in _CONSTANTS}
        kept = {name: value for name, value in found.items() if name in written or value.dtype.kind not in "fc"}
        # What only a float needed that is not folded was thrown away: the axes and sizes that make a linspace.
        needed = _ancestors([op for op in operations if op.outputs and op.outputs[0].name in found.keys() - kept])
        if needed:
            more, its = folded([_as_input(op) if _is_float(op) else op for op in needed], values, outputs)
            kept, dtypes = {**more, **kept}, {**its, **dtypes}
        return kept, dtypes

    def folded(shown: list[Any], values: Any, outputs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        found: tuple[dict[str, Any], dict[str, Any]] = original(
            SimpleNamespace(get_operations=lambda: shown), values, outputs
        )
        return found

    ours: dict[str, Any] = dict.fromkeys(_RECURRENT, lambda _graph, nodes: nodes)
    ours["compute_const_folding_using_tf"] = folding
    theirs = {name: getattr(tfonnx, name) for name in ours}
    vars(tfonnx).update(ours)
    try:
        yield
    finally:
        vars(tfonnx).update(theirs)
