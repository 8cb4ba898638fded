"""Sizes that never change although a graph computes them, written as the numbers that they are.

Exporters ask a tensor for its sizes, and compute with them, to lay out the next one. Inference of ONNX's own does not
divide one product of sizes by another: `view(batch, length, -1, 8)` of 64 features has 8 heads, but it cannot tell.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.clean import infer_shapes
from exporters.graph.patterns.extents import Extents, Reading, expanded, reshaped
from exporters.graph.regroup import Extent
from exporters.graph.values import CONSTANT, rank

_MOST_ROUNDS = 6  # a size that is known now may make the next shape known
_LAYING_OUT = {"Expand": expanded, "Reshape": reshaped}


def fold_sizes(model: ir.Model) -> None:
    """Replace what is computed from shapes alone by a constant where it comes to the same for all inputs, in place."""
    for _ in range(_MOST_ROUNDS):
        counts = _folded(model.graph), _laid_out(model.graph)
        if not any(counts):
            return
        infer_shapes(model)


def _folded(graph: ir.Graph) -> int:
    """How many nodes were replaced."""
    reading, count = Reading(), 0
    for node in list(graph):
        out = node.outputs[0] if len(node.outputs) == 1 else None
        if out is None or out.dtype != ir.DataType.INT64 or out.is_graph_output() or not out.uses():
            continue
        extents = reading.of(out)
        if not extents or rank(out) is None or any(extent.symbols for extent in extents):
            continue
        numbers = np.array([extent.number for extent in extents], np.int64)
        _replace(graph, node, numbers if rank(out) else numbers.reshape(()))
        count += 1
    return count


def _replace(graph: ir.Graph, node: ir.Node, numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    old = node.outputs[0]
    tensor = ir.tensor(numbers, name=old.name)
    new = ir.Value(name=old.name, shape=ir.Shape(numbers.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    new.meta[CONSTANT] = True
    old.name = f"{old.name}.asked"
    ir.convenience.replace_all_uses_with(old, new)
    graph.remove(node, safe=True)
    graph.register_initializer(new)


def _laid_out(graph: ir.Graph) -> int:
    """How many results got a size that was not known."""
    count = 0
    for node in graph:
        rule = _LAYING_OUT.get(node.op_type) if node.domain == "" else None
        out = node.outputs[0]
        if rule is None or (out.shape is not None and out.shape.is_static()) or out.is_graph_output():
            continue
        extents = rule(node)
        if extents is not None and (out.shape is None or len(out.shape) == len(extents)):
            count += _complete(out, extents)
    return count


def _complete(out: ir.Value, extents: Extents) -> bool:
    """Give `out` its sizes as far as they are numbers or have a name; whether any of its axes has a number only now."""
    old = list(out.shape) if out.shape is not None else [ir.SymbolicDim(None)] * len(extents)
    out.shape = ir.Shape([_size(size, extent) for size, extent in zip(old, extents, strict=True)])
    return sum(isinstance(size, int) for size in out.shape) > sum(isinstance(size, int) for size in old)


def _size(old: int | ir.SymbolicDim, extent: Extent) -> int | ir.SymbolicDim:
    if isinstance(old, int) or not extent.symbols:
        return old if isinstance(old, int) else extent.number
    named = extent.number == 1 and len(extent.symbols) == 1 and "[" not in extent.symbols[0]
    return ir.SymbolicDim(extent.symbols[0]) if named else old
