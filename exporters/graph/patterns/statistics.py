"""Mean and deviation as graphs spell them, for all normalisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.graph.patterns.polynomial import ONE, Monomial, Polynomial, equals, expand, monomial
from exporters.graph.patterns.registry import Operand, Step
from exporters.graph.values import (
    bare,
    constant,
    integer,
    ints,
    is_fixed,
    is_float,
    producer,
    rank,
    scalar,
    search,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Reciprocal", "Neg", "Identity", "Cast")


@dataclass(frozen=True)
class Statistics:
    """`x` with its mean (None: taken as 0) and its deviation, `sqrt(mean((x - mean)^2) + epsilon)`, over `axes`.

    `deviation` is the variable for it, with the exponent that dividing by it has.
    """

    x: ir.Value
    mean: ir.Value | None
    deviation: tuple[ir.Value, int]
    axes: tuple[int, ...]
    epsilon: float

    @property
    def variables(self) -> list[ir.Value]:
        return [value for value in (self.x, self.mean, self.deviation[0]) if value is not None]


@dataclass(frozen=True)
class Affine:
    """What follows a normalisation: one factor and one summand, or none."""

    scale: tuple[ir.Value, ...]
    bias: tuple[ir.Value, ...]


def statistics(out: ir.Value) -> Iterator[Statistics]:
    """All deviations that `out` is computed from within a few operators."""
    for root in search(out, ("Sqrt", "Pow"), _ARITHMETIC, 8):
        exponent = 0.5 if root.op_type == "Sqrt" else scalar(root.inputs[1])
        total = root.inputs[0]
        if total is None or exponent not in {0.5, -0.5}:
            continue
        for reduction in search(total, ("ReduceMean",), ("Add", "Identity", "Cast"), 3):
            epsilon = _epsilon(total, reduction.outputs[0])
            if epsilon is not None:
                sign = -1 if exponent == 0.5 else 1
                yield from _of_squares(reduction, (root.outputs[0], sign), epsilon)


def _epsilon(total: ir.Value, variance: ir.Value) -> float | None:
    found = expand(total, [variance]) or {}
    epsilon = found.get(ONE, 0.0)
    fits = found.keys() == {ONE, monomial(variance)} and found[monomial(variance)] == 1.0
    return epsilon if fits and epsilon > 0 else None


def _of_squares(reduction: ir.Node, deviation: tuple[ir.Value, int], epsilon: float) -> Iterator[Statistics]:
    squares, axes = reduction.inputs[0], reduced_axes(reduction)
    if squares is None or axes is None:
        return
    node = producer(bare(squares), "Mul", "Pow")
    if node is None or node.inputs[0] is None:
        return
    base = bare(node.inputs[0])
    centred = producer(base, "Sub")
    if centred is not None:
        mean = producer(bare(centred.inputs[1]), "ReduceMean") if centred.inputs[1] is not None else None
        x = bare(centred.inputs[0]) if centred.inputs[0] is not None else None
        if mean is not None and x is not None and mean.inputs[0] is not None and bare(mean.inputs[0]) is x:
            center = mean.outputs[0]
            wanted: Polynomial = {monomial((x, 2)): 1.0, monomial(x, center): -2.0, monomial((center, 2)): 1.0}
            if reduced_axes(mean) == axes and equals(expand(squares, [x, center]), wanted, x) and is_float(x):
                yield Statistics(x, center, deviation, axes, epsilon)
    if equals(expand(squares, [base]), {monomial((base, 2)): 1.0}, base) and is_float(base):
        yield Statistics(base, None, deviation, axes, epsilon)


def reduced_axes(reduction: ir.Node) -> tuple[int, ...] | None:
    """The axes, counted from the front, of a reduction that keeps its dimensions; None for any other."""
    value = reduction.inputs[0]
    count = rank(value) if value is not None else None
    axes = ints(reduction, "axes", 1)
    if count is None or not axes or integer(reduction, "keepdims", 1) != 1:
        return None
    return tuple(sorted(axis % count for axis in axes))


def affine(out: ir.Value, found: Statistics) -> Affine | None:
    """Factor and summand behind a normalisation that `out` is; None if it is anything else."""
    terms = expand(out, found.variables)
    if terms is None:
        return None
    main = [term for term in terms if (found.x, 1) in term]
    rest = [term for term in terms if found.mean is None or (found.mean, 1) not in term]
    rest = [term for term in rest if term not in main]
    if len(main) != 1 or len(rest) > 1:
        return None
    scale, bias = _one(main[0] - {(found.x, 1), found.deviation}), _one(rest[0]) if rest else ()
    if scale is None or bias is None:
        return None
    result = Affine(scale, bias)
    return result if equals(terms, _wanted(found, result), found.x) else None


def _one(term: Monomial) -> tuple[ir.Value, ...] | None:
    """The one variable of a term, if it has any; None for all other terms."""
    if not term:
        return ()
    ((variable, power), *others) = term
    return None if others or power != 1 else (variable,)


def _wanted(found: Statistics, result: Affine) -> Polynomial:
    terms: Polynomial = {monomial(found.x, found.deviation, *result.scale): 1.0}
    if found.mean is not None:
        terms[monomial(found.mean, found.deviation, *result.scale)] = -1.0
    if result.bias:
        terms[monomial(*result.bias)] = 1.0
    return terms


def _as_stored(value: ir.Value, sizes: list[Any]) -> ir.Value:
    """The initializer that `value` was reshaped from, if that has the sizes already."""
    stored = value
    while (node := producer(stored, "Unsqueeze", "Squeeze", "Reshape")) is not None and node.inputs[0] is not None:
        stored = node.inputs[0]
    return stored if constant(stored) is not None and _sizes(stored) == sizes and is_fixed(value) else value


def _sizes(value: ir.Value) -> list[Any] | None:
    return None if value.shape is None else list(value.shape)


def per_axis(values: tuple[ir.Value, ...], x: ir.Value, axes: tuple[int, ...], neutral: float) -> Operand | None:
    """The value with the sizes that `x` has along `axes`, a neutral one where there is none; None if it cannot fit."""
    sizes = [x.shape[axis] for axis in axes] if x.shape is not None else [None]
    if not all(isinstance(size, int) for size in sizes) or x.dtype is None:
        return None
    if not values:
        return np.full([int(str(size)) for size in sizes], neutral, x.dtype.numpy())
    (value,) = values
    count = rank(x)
    if value.shape is None or not value.shape.is_static() or count is None or len(value.shape) > count:
        return None
    if value.dtype != x.dtype:
        return None
    full = [1] * (count - len(value.shape)) + list(value.shape.numpy())
    if [full[axis] for axis in axes] != sizes or any(full[axis] != 1 for axis in range(count) if axis not in axes):
        return None
    value = _as_stored(value, sizes)
    if _sizes(value) == sizes:
        return value
    return Step("Reshape", (value, np.array(sizes, np.int64)))
