"""Masks that ask scores for their shape, as Keras writes them: brought to a form that hides no attention."""

from __future__ import annotations

import onnx_ir as ir

from exporters.graph.values import constant, permutation, producer, rank, same_size, scalar

_ALONE = frozenset({"Cast", "Identity"})  # the same shape comes out
_LEAST = 3  # dimensions of scores


def ask_before_scores(graph: ir.Graph) -> None:
    """Sizes asked of products are asked of their factors, and what is True everywhere is left out of conditions."""
    for node in list(graph):
        if node.domain == "" and node.op_type == "And":
            _without_ones(node)
    for node in list(graph):
        if node.domain == "" and node.op_type == "Shape" and not node.attributes and node.outputs[0].uses():
            _ask_factors(graph, node)


def _without_ones(node: ir.Node) -> None:
    """`Where(And(Expand(True, Shape(x)), mask), x, number)` is `Where(mask, x, number)`: both have the same shape."""
    for ones, mask in (node.inputs, node.inputs[::-1]):
        x = _shape_of_ones(ones)
        if x is None or mask is None or node.outputs[0].is_graph_output():
            continue
        for use in list(node.outputs[0].uses()):
            if use.idx == 0 and use.node.op_type == "Where" and _chooses(use.node, x):
                use.node.replace_input_with(0, mask)
        return


def _shape_of_ones(value: ir.Value | None) -> ir.Value | None:
    """The tensor as whose shape True is repeated."""
    node = producer(value, "Expand")
    shape = producer(node.inputs[1], "Shape") if node is not None else None
    filled = constant(node.inputs[0]) if node is not None else None
    if shape is None or filled is None or filled.size != 1 or not bool(filled.reshape(-1)[0]) or shape.attributes:
        return None
    x = shape.inputs[0]
    return x if x is not None and filled.ndim <= (rank(x) or 0) else None


def _chooses(where: ir.Node, x: ir.Value) -> bool:
    """Whether it gives elements of `x` or one number."""
    _, one, other = where.inputs
    pairs = ((one, other), (other, one))
    return any(a is x and b is not None and scalar(b) is not None and rank(b) == 0 for a, b in pairs)


def _ask_factors(graph: ir.Graph, node: ir.Node) -> None:
    x = node.inputs[0]
    count = rank(x) if x is not None else None
    if x is None or count is None or count < _LEAST or node.outputs[0].is_graph_output():
        return
    found = [_origin(x, axis) for axis in range(count)]
    # What comes of weighing is asked where it is: to ask the weights would show what attention keeps to itself.
    if any(value is x or producer(value, "Softmax") is not None for value, _ in found):
        return
    parts = [ir.node("Shape", [value], {"start": axis, "end": axis + 1}) for value, axis in found]
    whole = ir.node("Concat", [part.outputs[0] for part in parts], {"axis": 0})
    for made, length in (*((part, 1) for part in parts), (whole, count)):
        made.outputs[0].dtype = ir.DataType.INT64
        made.outputs[0].shape = ir.Shape([length])
    graph.insert_before(node, [*parts, whole])
    ir.convenience.replace_all_uses_with(node.outputs[0], whole.outputs[0])
    graph.remove(node, safe=True)


def _origin(value: ir.Value, axis: int) -> tuple[ir.Value, int]:
    """A tensor that `value` is computed from, and the axis of it that is as long as this one of `value`."""
    while (node := producer(value, *_ALONE, "Mul", "Div", "MatMul", "Transpose")) is not None:
        step = _before(node, value, axis)
        if step is None:
            break
        value, axis = step
    return value, axis


def _before(node: ir.Node, value: ir.Value, axis: int) -> tuple[ir.Value, int] | None:
    count = rank(value)
    inputs = [given for given in node.inputs if given is not None]
    if node.op_type in _ALONE:
        return inputs[0], axis
    if node.op_type == "Transpose":
        perm = permutation(node)
        return (inputs[0], perm[axis]) if perm is not None else None
    if node.op_type in {"Mul", "Div"}:
        tensors = [given for given in inputs if scalar(given) is None or rank(given)]
        return (tensors[0], axis) if len(tensors) == 1 and rank(tensors[0]) == count else None
    if node.op_type != "MatMul" or any(rank(given) != count for given in inputs) or count is None:
        return None
    left, right = inputs
    assert left.shape is not None
    assert right.shape is not None
    if axis == count - 1:
        return right, axis
    return (left, axis) if axis == count - 2 or same_size(left.shape[axis], right.shape[axis]) else None
