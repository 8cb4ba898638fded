"""HardSigmoid and HardSwish, by way of a clipped line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.polynomial import Polynomial, equals, expand, monomial
from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import close, is_float, producer, scalar, search

if TYPE_CHECKING:
    import onnx_ir as ir

_SCALING = ("Mul", "Div")


@pattern("HardSwish", roots=("Mul", "Div"), since=14)
def hard_swish(node: ir.Node) -> Step | None:
    """`x * Clip(x + 3, 0, 6) / 6` in any order, Min and Max or Relu for Clip; or `x * HardSigmoid(x)` of slope 1/6.

    Not with other limits or slopes.
    """
    out = node.outputs[0]
    for inner in search(out, ("Clip", "Min", "HardSigmoid"), _SCALING, 4):
        gate = inner.outputs[0]
        line = _line(inner)
        if line is None:
            continue
        x, factor = line
        wanted: Polynomial = {monomial(x, gate): factor}
        if is_float(x) and keeps_rank(node, x) and equals(expand(out, [x, gate]), wanted, x):
            return Step("HardSwish", (x,), fused=True)
    return None


@pattern("HardSigmoid", roots=("Mul", "Div"), since=6)
def hard_sigmoid(node: ir.Node) -> Step | None:
    """`Clip(x + 3, 0, 6) / 6`, Min and Max or Relu for Clip. Not with other limits or slopes."""
    out = node.outputs[0]
    for inner in search(out, ("Clip", "Min"), _SCALING, 2):
        line = _line(inner)
        if line is not None and equals(expand(out, [inner.outputs[0]]), {monomial(inner.outputs[0]): 1 / 6}, out):
            x, _ = line
            if is_float(x) and keeps_rank(node, x):
                return Step("HardSigmoid", (x,), {"alpha": 1 / 6, "beta": 0.5}, fused=True)
    return None


def _line(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The x of a clipped line, and the factor that is missing to a slope of one sixth."""
    if node.op_type == "HardSigmoid":
        x = node.inputs[0]
        alpha, beta = (node.attributes.get(name) for name in ("alpha", "beta"))
        fits = alpha is not None and x is not None and close(alpha.as_float(), 1 / 6, x)
        return (x, 1.0) if fits and x is not None and (beta is None or beta.as_float() == 0.5) else None
    inside = clipped(node, 0.0, 6.0)
    shifted = producer(inside, "Add")
    if shifted is None:
        return None
    for x, number in (shifted.inputs, shifted.inputs[::-1]):
        if x is not None and scalar(number) == 3.0:
            return x, 1 / 6
    return None


def clipped(node: ir.Node, low: float, high: float) -> ir.Value | None:
    """What `node` limits to between `low` and `high`, if that is what it does."""
    if node.op_type == "Clip":
        if "min" in node.attributes or "max" in node.attributes:
            limits = [node.attributes[name].as_float() if name in node.attributes else None for name in ("min", "max")]
        else:
            limits = [scalar(value) for value in (*node.inputs[1:], None, None)][:2]
        return node.inputs[0] if limits == [low, high] else None
    for inner, limit in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        if node.op_type == "Min" and scalar(limit) == high:
            return _at_least(inner, low)
    return None


def _at_least(value: ir.Value | None, low: float) -> ir.Value | None:
    node = producer(value, "Relu", "Max")
    if node is None:
        return None
    if node.op_type == "Relu":
        return node.inputs[0] if low == 0.0 else None
    pairs = (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ()
    return next((inner for inner, limit in pairs if scalar(limit) == low), None)
