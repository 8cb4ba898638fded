"""Keys and values as attention has them: repeated for more heads of queries, and transposed in three dimensions."""

from __future__ import annotations

import onnx_ir as ir

from exporters.graph.patterns.layouts import expanded, picked, reshaped
from exporters.graph.sizes.extent import Extent, sizes
from exporters.graph.values import bare, integer, ints, permutation, producer

_THIRD = ([2], [-3])


def without_repeats(value: ir.Value) -> tuple[ir.Value, int]:
    """(x, n) where `value` is x, in four dimensions, with each element of its second axis n times in a row.

    That is `Reshape(Expand(Unsqueeze(x, 2), (.., .., n, .., ..)), ..)`; n is 1 for everything else.
    """
    back = producer(bare(value), "Reshape")
    wide = producer(back.inputs[0], "Expand") if back is not None else None
    there = producer(wide.inputs[0], "Unsqueeze") if wide is not None else None
    if back is None or wide is None or there is None or there.inputs[0] is None or ints(there, "axes", 1) not in _THIRD:
        return value, 1
    x = there.inputs[0]
    before = sizes(x)
    # Inference may know one size by two names: those of x are taken wherever it is x.
    between = expanded(wide, (*before[:2], Extent(), *before[2:])) if before is not None else None
    if before is None or between is None or len(before) != 4 or len(between) != 5:
        return value, 1
    batch, heads, count, length, size = between
    if (batch, heads, length, size) != before or count.symbols or count.number < 1:
        return value, 1
    return (x, count.number) if reshaped(back, between) == (batch, heads * count, length, size) else (value, 1)


def exchanged(value: ir.Value) -> ir.Value | None:
    """The tensor whose last two axes `value` has exchanged, all others being merged for that and split again."""
    back = producer(bare(value), "Reshape")
    swap = producer(back.inputs[0], "Transpose") if back is not None else None
    there = producer(swap.inputs[0], "Reshape") if swap is not None else None
    if back is None or swap is None or there is None or permutation(swap) != [0, 2, 1]:
        return None
    x = there.inputs[0]
    given, flat = sizes(x) if x is not None else None, reshaped(there)
    if given is None or flat is None or len(flat) != 3 or flat[1:] != given[-2:]:
        return None
    return x if reshaped(back, (flat[0], flat[2], flat[1])) == (*given[:-2], given[-1], given[-2]) else None


def ask_before_repeats(graph: ir.Graph) -> None:
    """Sizes asked of repeated keys or values that these had before are asked there, as those of a causal mask."""
    for node in list(graph):
        if node.domain != "" or node.op_type != "Reshape":
            continue
        x, count = without_repeats(node.outputs[0])
        if count == 1:
            continue
        for use in list(node.outputs[0].uses()):
            if use.node.domain == "" and use.node.op_type == "Shape" and use.node.graph is graph:
                _ask(graph, use.node, x)


def _ask(graph: ir.Graph, shape: ir.Node, x: ir.Value) -> None:
    """Let those ask `x` for its sizes that read no number of heads out of `shape`."""
    places = tuple(Extent(axis) for axis in range(4))
    asked = places[integer(shape, "start", 0) : integer(shape, "end", 4)]
    instead = ir.Node("", "Shape", [x], shape.attributes.values())
    for use in list(shape.outputs[0].uses()):
        taken = picked(use.node, asked) if use.node.op_type in {"Gather", "Slice"} and use.idx == 0 else asked
        if taken is not None and places[1] not in taken:
            use.node.replace_input_with(use.idx, instead.outputs[0])
    if instead.outputs[0].uses():
        instead.outputs[0].shape, instead.outputs[0].type = shape.outputs[0].shape, shape.outputs[0].type
        graph.insert_before(shape, instead)
    if not shape.outputs[0].uses() and not shape.outputs[0].is_graph_output():
        graph.remove(shape, safe=True)
