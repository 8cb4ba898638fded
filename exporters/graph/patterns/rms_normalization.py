"""Normalisation by the root of the mean square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.patterns.statistics import affine, per_axis, statistics
from exporters.graph.values import rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("RMSNormalization", roots=("Mul", "Div"), since=23)
def rms_normalization(node: ir.Node) -> Step | None:
    """`x / Sqrt(ReduceMean(x^2) + epsilon) * scale` over the last axes, with or without a scale.

    Not with epsilon behind the root, nor with a bias.
    """
    out = node.outputs[0]
    for found in statistics(out):
        count = rank(found.x)
        if found.mean is not None or count is None or not keeps_rank(node, found.x):
            continue
        around = affine(out, found)
        if around is None or around.bias or found.axes != tuple(range(found.axes[0], count)):
            continue
        scale = per_axis(around.scale, found.x, found.axes, 1.0)
        if scale is not None:
            attributes = {"axis": found.axes[0] - count, "epsilon": found.epsilon}
            return Step("RMSNormalization", (found.x, scale), attributes, fused=True)
    return None
