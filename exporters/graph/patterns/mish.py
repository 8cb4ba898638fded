"""Mish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import bare, is_float, producer

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("Mish", roots=("Mul",), since=18)
def mish(node: ir.Node) -> Step | None:
    """`x * Tanh(Softplus(x))`. Not where the two x differ."""
    a, b = node.inputs
    for x, gate in ((a, b), (b, a)):
        tanh = producer(gate, "Tanh")
        softplus = producer(tanh.inputs[0], "Softplus") if tanh is not None else None
        if x is None or softplus is None or not is_float(x) or not keeps_rank(node, x):
            continue
        argument = softplus.inputs[0]
        if argument is not None and bare(argument) is bare(x):
            return Step("Mish", (bare(x),), fused=True)
    return None
