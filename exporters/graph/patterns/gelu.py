"""GELU, exact and by its tanh approximation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporters.graph.patterns.polynomial import Polynomial, equals, expand, monomial
from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import close, is_float, producer, scalar, search

if TYPE_CHECKING:
    import onnx_ir as ir

_ARITHMETIC = ("Add", "Mul", "Div", "Sub", "Sum")


@pattern("Gelu", roots=("Mul", "Div", "Add"), since=20)
def gelu(node: ir.Node) -> Step | None:
    """`0.5 * x * (1 + Erf(x / sqrt(2)))`, or `0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.

    In any order and grouping, and with the complement `1 - Erf(-x / sqrt(2))`, as TensorFlow has it. Not with
    constants that differ by more than the rounding of their dtype.
    """
    for inner in search(node.outputs[0], ("Erf", "Tanh"), _ARITHMETIC, 5):
        argument = inner.inputs[0]
        assert argument is not None
        matched = _exact(node, inner, argument) if inner.op_type == "Erf" else _approximate(node, inner, argument)
        if matched is not None:
            return matched
    return None


def _exact(node: ir.Node, erf: ir.Node, argument: ir.Value) -> Step | None:
    scaled = producer(argument, "Mul", "Div")
    if scaled is None:
        return None
    for x, other in (scaled.inputs, scaled.inputs[::-1]):
        if x is None or (scaled.op_type == "Div" and x is not scaled.inputs[0]):
            continue
        number = scalar(other)
        number = 1.0 / number if number and scaled.op_type == "Div" else number
        for base, factor in _with_sign(x, number):
            sign = math.copysign(1.0, factor)
            if close(abs(factor), math.sqrt(0.5), base) and _is_gelu(node, base, erf.outputs[0], sign):
                return Step("Gelu", (base,), {"approximate": "none"}, fused=True)
    return None


def _with_sign(x: ir.Value, factor: float | None) -> list[tuple[ir.Value, float]]:
    """The factor of x, and that of what x is the negative of."""
    if factor is None:
        return []
    negated = producer(x, "Neg")
    base = negated.inputs[0] if negated is not None else None
    return [(x, factor)] if base is None else [(x, factor), (base, -factor)]


def _approximate(node: ir.Node, tanh: ir.Node, argument: ir.Value) -> Step | None:
    root = math.sqrt(2.0 / math.pi)
    for x in _candidates(argument):
        wanted: Polynomial = {monomial(x): root, monomial((x, 3)): root * 0.044715}
        if equals(expand(argument, [x]), wanted, x) and _is_gelu(node, x, tanh.outputs[0]):
            return Step("Gelu", (x,), {"approximate": "tanh"}, fused=True)
    return None


def _is_gelu(node: ir.Node, x: ir.Value, bounded: ir.Value, sign: float = 1.0) -> bool:
    wanted: Polynomial = {monomial(x): 0.5, monomial(x, bounded): 0.5 * sign}
    return is_float(x) and equals(expand(node.outputs[0], [x, bounded]), wanted, x) and keeps_rank(node, x)


def _candidates(argument: ir.Value) -> list[ir.Value]:
    """Values that a sum of x and its cube is made of, the farthest first: x may itself be a product."""
    found: dict[ir.Value, None] = {}
    for inner in search(argument, (*_ARITHMETIC, "Pow"), (*_ARITHMETIC, "Pow"), 6):
        for value in inner.inputs:
            if value is not None and scalar(value) is None:
                found[value] = None
    return list(found)
