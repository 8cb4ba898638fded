"""Layer normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.patterns.statistics import Affine, Statistics, affine, per_axis, statistics
from exporters.graph.values import rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("LayerNormalization", roots=("Add", "Sub", "Mul", "Div"), since=17)
def layer_normalization(node: ir.Node) -> Step | None:
    """`(x - m) / Sqrt(ReduceMean((x - m)^2) + epsilon) * scale + bias`, where m is `ReduceMean(x)`.

    Scale and bias may be missing; squares by Mul or Pow; Keras' grouping `x * s + (bias - m * s)` with
    `s = scale / Sqrt(...)` is the same. Over the last axes, or over one other axis, which is then moved to the end.
    Not with epsilon behind the root, with means over other axes, or with scales that run along other axes.
    """
    out = node.outputs[0]
    for found in statistics(out):
        if found.mean is None or not keeps_rank(node, found.x):
            continue
        around = affine(out, found)
        step = _step(found, around) if around is not None else None
        if step is not None:
            return step
    return None


def _step(found: Statistics, around: Affine) -> Step | None:
    x, axes, count = found.x, found.axes, rank(found.x)
    assert count is not None
    scale, bias = per_axis(around.scale, x, axes, 1.0), per_axis(around.bias, x, axes, 0.0)
    if scale is None or bias is None:
        return None
    operands = (scale, bias) if around.bias else (scale,)
    first = axes[0] - count
    if axes == tuple(range(axes[0], count)):
        attributes = {"axis": first, "epsilon": found.epsilon}
        return Step("LayerNormalization", (x, *operands), attributes, fused=True)
    if len(axes) > 1:
        return None
    there = [axis for axis in range(count) if axis not in axes] + list(axes)
    back = [there.index(axis) for axis in range(count)]
    last = Step("Transpose", (x,), {"perm": there})
    attributes = {"axis": -1, "epsilon": found.epsilon}
    normal = Step("LayerNormalization", (last, *operands), attributes, fused=True)
    return Step("Transpose", (normal,), {"perm": back})
