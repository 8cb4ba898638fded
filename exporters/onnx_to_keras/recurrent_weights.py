"""Compute the weights of recurrent layers that a graph makes of others: a layer of Keras holds its own.

Such are those of projected states and of normalised weights, whose lengths are weights of their own. What is merely
moved, gate by gate, is `constants`' business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference.ops import load_op
from onnx_ir.passes import common

from exporters.graph import fold
from exporters.onnx_to_keras import constants

_LAYERS = frozenset({"GRU", "LSTM", "RNN"})
_WEIGHTS = slice(1, 4)  # W, R, B
_ARITHMETIC = frozenset({
    "Add", "Div", "Gemm", "MatMul", "Mul", "Neg", "Pow", "Reciprocal", "ReduceL2", "ReduceSum", "ReduceSumSquare",
    "Sqrt", "Sub",
})  # fmt: skip


def compute(model: ir.Model) -> ir.Model:
    """In float64, rounded once; what was there for them alone is removed."""
    opset = model.graph.opset_imports.get("", 1)
    for node in model.graph.all_nodes():
        if node.op_type not in _LAYERS or node.domain:
            continue
        for value in node.inputs[_WEIGHTS]:
            if value is not None and value.dtype is not None and _is_computed(value):
                array = _value(value, opset, {})
                if array is not None and np.isfinite(array).all():
                    _put(model.graph, value, array)
    return common.RemoveUnusedNodesPass()(model).model


def _is_computed(value: ir.Value | None) -> bool:
    """Whether anything behind `value` does more than move elements."""
    node = value.producer() if value is not None else None
    if node is None:
        return False
    return node.op_type in _ARITHMETIC or (node.op_type in constants.MOVES and any(map(_is_computed, node.inputs)))


def _value(value: ir.Value | None, opset: int, known: dict[ir.Value, Any]) -> Any:
    """What `value` is, its floats in float64; None where it depends on more than weights and numbers."""
    if value is None or value.is_graph_input():
        return None
    if value in known:
        return known[value]
    if value.const_value is not None:
        array = value.const_value.numpy()
        known[value] = array.astype(np.float64) if array.dtype.kind == "f" else array
        return known[value]
    node = value.producer()
    if node is None or node.domain or node.op_type not in constants.MOVES | _ARITHMETIC:
        return None
    operands = [_value(each, opset, known) for each in node.inputs]
    if any(operand is None and each is not None for operand, each in zip(operands, node.inputs, strict=True)):
        return None
    attributes = {name: fold.plain(attribute) for name, attribute in node.attributes.items()}
    results = load_op("", node.op_type, opset).eval(*operands, **attributes)
    results = results if isinstance(results, tuple) else (results,)
    known |= dict(zip(node.outputs, map(np.asarray, results), strict=False))
    return known[value]


def _put(graph: ir.Graph, value: ir.Value, array: Any) -> None:
    """An initializer in the place of `value`."""
    assert value.dtype is not None
    name = f"{value.name}.computed"
    tensor = ir.tensor(array.astype(value.dtype.numpy()), name=name)
    weight = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(value.dtype), const_value=tensor)
    graph.register_initializer(weight)
    ir.convenience.replace_all_uses_with(value, weight)
