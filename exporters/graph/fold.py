"""Compute what depends on constants alone and only moves data or counts.

Folded are operators of `MOVES` when every input is known and the result is made of integers or booleans (shapes, axes,
indices), or of floats that come from numbers written in the graph alone, such as a mask, and `ConstantOfShape`, which
some models use as a compressed weight. All other floating-point results are left alone: weights must stay bit-equal to
the source, under the source's names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph.values import CONSTANT

FILLED = "filled"  # key in `Value.meta`: this initializer is one number over and over, and may be a weight
MOVES = frozenset({
    "Add", "And", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Gather",
    "GatherElements", "Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Range",
    "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterND", "Shape", "Size", "Slice",
    "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
EXACT = MOVES - {"Cast", "Mod", "ReduceProd", "ReduceSum"}  # on floats: one rounding at most, the same everywhere
WRITTEN = 1 << 18  # elements of a result made of floats
ALWAYS = frozenset({"ConstantOfShape"})
LARGEST = 1 << 28  # elements; a larger ConstantOfShape stays an operator


def computed(node: ir.Node, opset: int) -> Any:
    """The result of `node` as an array, where it is one to be folded; else None."""
    if node.domain != "" or node.op_type not in MOVES or len(node.outputs) != 1:
        return None
    if node.op_type == "Shape":
        return _static_shape(node)
    reads_floats = any(value is not None and value.dtype in _FLOATS for value in node.inputs)
    if reads_floats and node.op_type != "Cast" and not _is_written(node):
        return None  # weights are not even read: they may be large, and lie in files of their own
    inputs = [_known(value) for value in node.inputs]
    if any(known is None and value is not None for known, value in zip(inputs, node.inputs, strict=True)):
        return None
    if not _foldable(node, inputs):
        return None
    attributes = {name: plain(attribute) for name, attribute in node.attributes.items()}
    if node.op_type == "GatherElements":
        data, indices = inputs
        return _gather_elements(data, indices, attributes.get("axis", 0))
    from onnx.reference.ops import load_op

    kind = load_op("", node.op_type, opset)
    result = kind.eval(*inputs, **attributes)
    result = np.asarray(result[0] if isinstance(result, tuple) else result)
    if node.op_type in ALWAYS or result.dtype.kind in "iub":
        return result
    return result if _is_written(node) and result.size <= WRITTEN else None


def _gather_elements(data: Any, indices: Any, axis: int) -> Any:
    """By NumPy: onnx.reference mistakes indices of more columns than its data has rows."""
    axis %= data.ndim
    there = data[tuple(slice(None if i == axis else size) for i, size in enumerate(indices.shape))]
    return np.take_along_axis(there, np.where(indices < 0, indices + data.shape[axis], indices), axis)


def _is_written(node: ir.Node) -> bool:
    """Whether a node makes floats of numbers that are written in the graph: the scales of a Resize, a mask's places."""
    if node.op_type not in EXACT:
        return False
    return all(value is None or _is_of_the_graph(value) for value in node.inputs)


def _is_of_the_graph(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and tensor.size <= WRITTEN and bool(value.meta.get(CONSTANT) or value.meta.get(FILLED))


def _foldable(node: ir.Node, inputs: list[Any]) -> bool:
    if node.op_type == "ConstantOfShape":
        return bool(np.prod(inputs[0]) <= LARGEST)
    if node.op_type == "Cast":
        return node.attributes["to"].as_int() in _INTEGERS
    moves_floats = any(known is not None and known.dtype.kind not in "iub" for known in inputs)
    return not moves_floats or _is_written(node)


_FLOATS = frozenset(dtype for dtype in ir.DataType if dtype.is_floating_point())
_INTEGERS = frozenset(
    int(dtype)
    for dtype in (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.INT8, ir.DataType.UINT8)
)


def _static_shape(node: ir.Node) -> Any:
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None or not shape.is_static():
        return None
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    end = node.attributes["end"].as_int() if "end" in node.attributes else len(shape)
    return np.array(shape.numpy()[start:end], np.int64)


def _known(value: ir.Value | None) -> Any:
    if value is None or value.const_value is None or value.is_graph_input() or not value.is_initializer():
        return None
    return value.const_value.numpy()


def plain(attribute: ir.Attr) -> Any:
    """An attribute as ONNX's reference implementation takes it."""
    if attribute.type == ir.AttributeType.TENSOR:
        return ir.to_proto(attribute.as_tensor())
    return attribute.value


def replace(graph: ir.Graph, node: ir.Node, array: Any) -> bool:
    """Put an initializer in the place of `node`; whether that could be done: a graph's output keeps its node."""
    old = node.outputs[0]
    if old.is_graph_output():
        return False  # an initializer would have to be renamed
    tensor = ir.tensor(array, name=old.name)
    new = ir.Value(name=old.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    new.meta[FILLED if node.op_type == "ConstantOfShape" else CONSTANT] = True
    old.name = f"{old.name}.folded"
    ir.convenience.replace_all_uses_with(old, new)
    graph.remove(node, safe=True)
    graph.register_initializer(new)
    return True
