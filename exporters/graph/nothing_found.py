"""Reshapes that also hold where a model finds nothing.

A trace of a detector has reshapes to (found, -1, 4). With nothing found the -1 could be anything, and ONNX Runtime
refuses it; PyTorch's own code asks first, and a trace has forgotten that. There the -1 is computed: what is left of
the size, or zero. Only what depends on a count of values is touched: everything else can never be empty.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.clean import infer_shapes

# How many values these give depends on the values that they are given.
_COUNTING = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})


def guard(model: ir.Model) -> None:
    """Give every reshape to a counted size and -1 a computed size in the place of the -1, in place."""
    if not any(node.op_type in _COUNTING for node in model.graph):
        return
    infer_shapes(model)
    counted: set[ir.Value] = set()
    for node in list(model.graph):
        if node.op_type not in _COUNTING and not any(value in counted for value in node.inputs if value is not None):
            continue
        counted.update(node.outputs)
        shape = node.inputs[1] if node.op_type == "Reshape" else None
        parts = _parts(shape) if shape is not None and shape in counted else None
        if parts is not None:
            _compute_rest(model.graph, node, *parts)


def _parts(shape: ir.Value) -> tuple[list[ir.Value], int] | None:
    """The sizes that a shape is joined of, one value each, and the place of its -1; None for any other shape."""
    joined = shape.producer()
    if joined is None or joined.op_type != "Concat":
        return None
    parts = [part for part in joined.inputs if part is not None]
    constants = [ir.convenience.get_const_tensor(part) for part in parts]
    sizes = [None if constant is None else constant.numpy().reshape(-1).tolist() for constant in constants]
    if any(part.shape != [1] for part in parts) or [0] in sizes or sizes.count([-1]) != 1:
        return None
    return parts, sizes.index([-1])


def _compute_rest(graph: ir.Graph, reshape: ir.Node, parts: list[ir.Value], place: int) -> None:
    name, given = reshape.outputs[0].name, reshape.inputs[0]
    one = ir.tensor(np.array([1], np.int64))
    nodes = [ir.node("Constant", [], attributes={"value": one}), ir.node("Size", [given])]
    known = nodes[0].outputs[0]
    for part in parts[:place] + parts[place + 1 :]:
        nodes.append(ir.node("Mul", [known, part]))
        known = nodes[-1].outputs[0]
    nodes.append(ir.node("Max", [known, nodes[0].outputs[0]]))
    nodes.append(ir.node("Div", [nodes[1].outputs[0], nodes[-1].outputs[0]]))
    rest = nodes[-1].outputs[0]
    nodes.append(ir.node("Concat", [*parts[:place], rest, *parts[place + 1 :]], attributes={"axis": 0}))
    for index, node in enumerate(nodes):
        node.name = f"{name}.rest_{index}"
        node.outputs[0].name = node.name
    graph.insert_before(reshape, nodes)
    reshape.replace_input_with(1, nodes[-1].outputs[0])
    reshape.attributes["allowzero"] = ir.AttrInt64("allowzero", 1)
