"""Swish, which PyTorch calls SiLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.polynomial import equals, expand, monomial
from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import bare, is_float, producer, scalar

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("Swish", roots=("Mul",), since=24)
def swish(node: ir.Node) -> Step | None:
    """`x * Sigmoid(alpha * x)`, `alpha` being left out, or any number: 1.702 is the quick GELU.

    Not where the two x differ.
    """
    a, b = node.inputs
    for x, gate in ((a, b), (b, a)):
        sigmoid = producer(gate, "Sigmoid")
        if x is None or sigmoid is None or not is_float(x) or not keeps_rank(node, x):
            continue
        argument = sigmoid.inputs[0]
        assert argument is not None
        for same in (x, bare(x)):
            alpha = (expand(argument, [same]) or {}).get(monomial(same))
            if alpha is not None and equals(expand(argument, [same]), {monomial(same): alpha}, x):
                return Step(
                    "Swish", (same,), {} if alpha == 1.0 else {"alpha": _as_written(argument, alpha)}, fused=True
                )
    return None


def _as_written(argument: ir.Value, alpha: float) -> float:
    """The number as it stands in the graph; float32 attributes hold it exactly."""
    node = producer(argument, "Mul")
    written = [scalar(value) for value in node.inputs] if node is not None else []
    return next((number for number in written if number is not None), alpha)
