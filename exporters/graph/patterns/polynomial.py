"""Arithmetic read as a polynomial, so that one comparison covers every order and grouping that an exporter writes.

`x * 0.5 * (1 + e)`, `0.5 * x + e * x / 2` and `(e + 1) * (x / 2)` are all `{x: 0.5, x*e: 0.5}`. Exponents may be
negative: `d / s` is `d * s^-1`. What is not arithmetic must be named as a variable; initializers with several elements
are variables of themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from exporters.graph.values import bare, is_fixed, producer, rounding, scalar

if TYPE_CHECKING:
    from collections.abc import Collection

Monomial = frozenset[tuple[ir.Value, int]]
Polynomial = dict[Monomial, float]

ONE: Monomial = frozenset()
_MOST_TERMS = 24
_DEEPEST = 12


def monomial(*variables: ir.Value | tuple[ir.Value, int]) -> Monomial:
    """A product: each variable with its exponent, 1 where none is given."""
    return frozenset(v if isinstance(v, tuple) else (v, 1) for v in variables)


def expand(value: ir.Value, variables: Collection[ir.Value], depth: int = _DEEPEST) -> Polynomial | None:
    """`value` as a polynomial in `variables` and in initializers; None where it is anything else."""
    value = value if value in variables else bare(value)
    if value in variables:
        return {monomial(value): 1.0}
    number = scalar(value)
    if number is not None:
        return {ONE: number}
    if is_fixed(value):
        return {monomial(value): 1.0}
    node = producer(value, "Add", "Sub", "Mul", "Div", "Neg", "Reciprocal", "Pow", "Sum")
    if node is None or depth == 0:
        return None
    return _combined(node, variables, depth - 1)


def _combined(node: ir.Node, variables: Collection[ir.Value], depth: int) -> Polynomial | None:
    if node.op_type == "Pow":
        return _power(node, variables, depth)
    parts = [expand(given, variables, depth) for given in node.inputs if given is not None]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    first, *others = known
    if node.op_type == "Neg":
        return _scaled(first, -1.0)
    if node.op_type == "Reciprocal":
        return _inverse(first)
    for other in others:
        combined = _pair(node.op_type, first, other)
        if combined is None or len(combined) > _MOST_TERMS:
            return None
        first = combined
    return first


def _pair(op_type: str, a: Polynomial, b: Polynomial) -> Polynomial | None:
    if op_type in {"Add", "Sum"}:
        return _sum(a, b)
    if op_type == "Sub":
        return _sum(a, _scaled(b, -1.0))
    if op_type == "Mul":
        return _product(a, b)
    inverse = _inverse(b)
    return None if inverse is None else _product(a, inverse)


def _power(node: ir.Node, variables: Collection[ir.Value], depth: int) -> Polynomial | None:
    base, exponent = node.inputs[0], scalar(node.inputs[1])
    if base is None or exponent not in {1.0, 2.0, 3.0, -1.0}:
        return None
    inner = expand(base, variables, depth)
    if inner is None or exponent == 1.0:
        return inner
    if exponent == -1.0:
        return _inverse(inner)
    square = _product(inner, inner)
    return square if exponent == 2.0 else _product(square, inner)


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    found = dict(a)
    for term, factor in b.items():
        found[term] = found.get(term, 0.0) + factor
    return {term: factor for term, factor in found.items() if factor != 0.0}


def _scaled(a: Polynomial, number: float) -> Polynomial:
    return {term: factor * number for term, factor in a.items()}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for one, number in a.items():
        for other, second in b.items():
            powers = dict(one)
            for variable, power in other:
                powers[variable] = powers.get(variable, 0) + power
            term = frozenset((variable, power) for variable, power in powers.items() if power)
            found[term] = found.get(term, 0.0) + number * second
    return {term: factor for term, factor in found.items() if factor != 0.0}


def _inverse(a: Polynomial) -> Polynomial | None:
    """One over a single term; a sum has no such form."""
    if len(a) != 1:
        return None
    ((term, factor),) = a.items()
    return {frozenset((variable, -power) for variable, power in term): 1.0 / factor} if factor else None


def equals(found: Polynomial | None, wanted: Polynomial, value: ir.Value) -> bool:
    """The same terms, with the same factors as far as the dtype of `value` can tell."""
    if found is None or found.keys() != wanted.keys():
        return False
    most = rounding(value)
    return all(abs(found[term] - factor) <= most * abs(factor) for term, factor in wanted.items())
