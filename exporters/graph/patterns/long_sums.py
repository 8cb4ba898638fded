"""Long sums, which `exporters.graph.sum_guard` writes one axis after the other, as one again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.patterns.registry import Step, pattern
from exporters.graph.patterns.statistics import reduced_axes
from exporters.graph.values import integer, ints, producer, rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("ReduceMean", roots=("ReduceMean",), since=None, opens=True)
def reduce_mean(node: ir.Node) -> Step | None:
    """`ReduceMean(ReduceMean(x))` over other axes: one over all of them. Not where only one keeps its axes."""
    return _together(node)


@pattern("ReduceSum", roots=("ReduceSum",), since=None, opens=True)
def reduce_sum(node: ir.Node) -> Step | None:
    """`ReduceSum(ReduceSum(x))` over other axes: one over all of them. Not where only one keeps its axes."""
    return _together(node)


@pattern("MeanTwice", roots=("Add",), since=None, opens=True)
def mean_twice(node: ir.Node) -> Step | None:
    """`m + ReduceMean(x - m)`, where `m = ReduceMean(x)` over the same axes: m, but for what rounding left of it."""
    for mean, rest in (node.inputs, reversed(node.inputs)):
        first, second = producer(mean, "ReduceMean"), producer(rest, "ReduceMean")
        centred = producer(second.inputs[0], "Sub") if second is not None else None
        if first is None or second is None or centred is None or mean is None:
            continue
        x, subtracted = centred.inputs
        if x is None or subtracted is not mean or first.inputs[0] is not x:
            continue
        axes = reduced_axes(first)
        if axes is not None and axes == reduced_axes(second):
            if "axes" in first.attributes:
                return Step("ReduceMean", (x,), {"axes": list(axes)})
            return Step("ReduceMean", (x, np.array(axes, np.int64)))
    return None


def _together(node: ir.Node) -> Step | None:
    inner = producer(node.inputs[0], node.op_type)
    x = inner.inputs[0] if inner is not None else None
    count = rank(x) if x is not None else None
    if inner is None or x is None or count is None:
        return None
    keeps = integer(node, "keepdims", 1)
    first, second = ints(inner, "axes", 1), ints(node, "axes", 1)
    if not first or not second or integer(inner, "keepdims", 1) != keeps:
        return None
    gone = {axis % count for axis in first}
    left = [axis for axis in range(count) if keeps or axis not in gone]
    axes = sorted(gone | {left[axis % len(left)] for axis in second})
    if "axes" in node.attributes:
        return Step(node.op_type, (x,), {"axes": axes, "keepdims": keeps})
    return Step(node.op_type, (x, np.array(axes, np.int64)), {"keepdims": keeps})
