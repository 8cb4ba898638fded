"""Clip, such as ReLU6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import is_float, producer, scalar

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("Clip", roots=("Min",), since=11)
def clip(node: ir.Node) -> Step | None:
    """`Min(Max(x, low), high)`, or `Min(Relu(x), high)`. Not where low lies above high."""
    for inner, limit in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        high, bounded = scalar(limit), producer(inner, "Relu", "Max")
        if high is None or bounded is None:
            continue
        pairs = [(bounded.inputs[0], 0.0)] if bounded.op_type == "Relu" else _bounds(bounded)
        for x, low in pairs:
            if x is not None and is_float(x) and x.dtype is not None and low <= high and keeps_rank(node, x):
                limits = (np.array(number, x.dtype.numpy()) for number in (low, high))
                return Step("Clip", (x, *limits), fused=True)
    return None


def _bounds(maximum: ir.Node) -> list[tuple[ir.Value | None, float]]:
    if len(maximum.inputs) != 2:
        return []
    pairs = (maximum.inputs, maximum.inputs[::-1])
    return [(x, number) for x, limit in pairs if (number := scalar(limit)) is not None]
