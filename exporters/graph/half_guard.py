"""Keep ONNX Runtime from dying on a Transpose in float16 before a MatMul.

On the CPU it puts a Cast to float32 between the two; its optimization NchwcTransformer (1.31) then ends the process
with a segmentation fault. A Transpose in float32, between two Casts that round nothing, is out of its reach.
"""

from __future__ import annotations

import onnx_ir as ir

from exporters.graph import clean

GUILTY = ("NchwcTransformer",)
_PASSED = frozenset({"Cast", "Identity"})
_PRODUCTS = frozenset({"MatMul", "Gemm"})


def is_needed(model: ir.Model) -> bool:
    """Whether ONNX Runtime may die on the graph; one that does not say its dtypes is asked for them first."""
    return _holds_half(model) and bool(_dangerous(clean.infer_shapes(model)))


def guard(model: ir.Model) -> None:
    """Do every Transpose of float16 before a product in float32, in place."""
    for node in _dangerous(model):
        given, result, graph = node.inputs[0], node.outputs[0], node.graph
        assert given is not None
        assert graph is not None
        wide = _cast(given, ir.DataType.FLOAT)
        moved = ir.node("Transpose", [wide.outputs[0]], {"perm": node.attributes["perm"]} if "perm" in node.attributes
                        else {})  # fmt: skip
        moved.outputs[0].shape, moved.outputs[0].type = result.shape, ir.TensorType(ir.DataType.FLOAT)
        back = _cast(moved.outputs[0], ir.DataType.FLOAT16)
        name = result.name
        graph.insert_before(node, (wide, moved, back))
        ir.convenience.replace_all_uses_with(result, back.outputs[0], replace_graph_outputs=True)
        graph.remove(node, safe=True)
        back.outputs[0].name = name


def _holds_half(model: ir.Model) -> bool:
    weights = model.graph.initializers.values()
    return any(value.dtype == ir.DataType.FLOAT16 for value in (*model.graph.inputs, *weights))


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    node = ir.node("Cast", [value], {"to": dtype})
    node.outputs[0].shape, node.outputs[0].type = value.shape, ir.TensorType(dtype)
    return node


def _dangerous(model: ir.Model) -> list[ir.Node]:
    return [
        node
        for node in model.graph.all_nodes()
        if node.op_type == "Transpose" and _is_half(node) and any(map(_multiplied, node.outputs))
    ]


def _is_half(node: ir.Node) -> bool:
    return any(value is not None and value.dtype == ir.DataType.FLOAT16 for value in (*node.inputs, *node.outputs))


def _multiplied(value: ir.Value) -> bool:
    """Whether a product reads the value, as it is or cast."""
    return any(
        use.node.op_type in _PRODUCTS or (use.node.op_type in _PASSED and _multiplied(use.node.outputs[0]))
        for use in value.uses()
    )
