"""Instance normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.patterns.statistics import affine, per_axis, statistics
from exporters.graph.values import rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("InstanceNormalization", roots=("Add", "Sub", "Mul", "Div"), since=6)
def instance_normalization(node: ir.Node) -> Step | None:
    """Layer normalisation's form, but over all axes behind the second one, with scale and bias along the second.

    Not where the number of channels is unknown.
    """
    out = node.outputs[0]
    for found in statistics(out):
        count = rank(found.x)
        if found.mean is None or count is None or count < 3 or not keeps_rank(node, found.x):
            continue
        around = affine(out, found)
        if around is None or found.axes != tuple(range(2, count)):
            continue
        if count == 3 and not around.scale and not around.bias:
            continue  # layer normalisation needs no constants of the channels' number
        scale, bias = per_axis(around.scale, found.x, (1,), 1.0), per_axis(around.bias, found.x, (1,), 0.0)
        if scale is not None and bias is not None:
            operands = (found.x, scale, bias)
            return Step("InstanceNormalization", operands, {"epsilon": found.epsilon}, fused=True)
    return None
