"""Operators element by element and reductions, on types that torch computes in as ONNX does."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

from exporters.onnx_to_torch.plain.call import FLOATS, Call, Rule

_INTEGERS = {ir.DataType.INT64, ir.DataType.INT32}
_PLAIN = FLOATS | _INTEGERS | {ir.DataType.BOOL}


def _binary(function: Callable[..., Any], kinds: set[ir.DataType]) -> Rule:
    def rule(given: Call) -> Any:
        return given.make(function, *given.arguments) if given.of_one_kind(kinds) and not given.keywords else None

    return rule


def _unary(function: Callable[..., Any], kinds: set[ir.DataType]) -> Rule:
    def rule(given: Call) -> Any:
        plain = given.of_one_kind(kinds) and not given.keywords
        return given.make(function, given.argument(0)) if plain else None

    return rule


def _power(given: Call) -> Any:
    exponent = given.number(1)
    if exponent is None or not given.of_one_kind(FLOATS) or given.rank(1):
        return None
    return given.make(torch.pow, given.argument(0), exponent)


def _clip(given: Call) -> Any:
    bounds = [given.number(index) for index in (1, 2)]
    present = [given.argument(index) is not None for index in (1, 2)]
    if not any(present) or any(p and b is None for p, b in zip(present, bounds, strict=True)):
        return None
    return given.make(torch.clamp, given.argument(0), *bounds) if given.of_one_kind(FLOATS) else None


def _where(given: Call) -> Any:
    condition, *chosen = given.node.inputs
    kinds = {value.dtype for value in chosen if value is not None}
    if condition is None or condition.dtype != ir.DataType.BOOL or len(kinds) != 1 or not kinds <= _PLAIN:
        return None
    return given.make(torch.where, *given.arguments)


def _extreme(function: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> Any:
        tensors = given.argument(0)
        if not given.of_one_kind(FLOATS | _INTEGERS):
            return None
        result = tensors[0]
        for other in tensors[1:]:
            result = given.make(function, result, other)
        return result

    return rule


def _cast(given: Call) -> Any:
    """To a type that holds what comes, or to a float; floats made integers may be too large for them."""
    source, target = given.node.inputs[0], given.node.outputs[0]
    if source is None or target.dtype not in _PLAIN or source.dtype not in _PLAIN:
        return None
    if source.dtype in FLOATS and target.dtype in _INTEGERS:
        return None
    return given.graph.call_method("to", (given.argument(0), given.keyword("to", None)))


def _reduced(function: Callable[..., Any], kinds: set[ir.DataType]) -> Rule:
    def rule(given: Call) -> Any:
        rank = given.rank()
        axes = given.keyword("axes", None) if "axes" in given.keywords else given.argument(1)
        if rank is None or rank == 0 or given.node.inputs[0] is None or given.node.inputs[0].dtype not in kinds:
            return None
        if not axes:
            if given.keyword("noop_with_empty_axes", 0) or len([v for v in given.node.inputs if v is not None]) > 1:
                return None
            axes = list(range(rank))
        if not isinstance(axes, list) or not all(isinstance(axis, int) for axis in axes):
            return None
        return given.make(function, given.argument(0), axes, given.keyword("keepdims", 1) == 1)

    return rule


def _softmax(function: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> Any:
        if given.opset < _SOFTMAX or not given.of_one_kind(FLOATS - {ir.DataType.FLOAT16}):
            return None
        return given.make(function, given.argument(0), given.keyword("axis", -1))

    return rule


_SOFTMAX = 13  # the first opset whose softmax is of one axis
Table = dict[str, Callable[..., Any]]
_ARITHMETIC: Table = {"Add": operator.add, "Mul": operator.mul, "Sub": operator.sub}
_COMPARISONS: Table = {
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
}
_LOGIC: Table = {"And": torch.logical_and, "Not": torch.logical_not, "Or": torch.logical_or, "Xor": torch.logical_xor}
_UNARY: Table = {
    "Ceil": torch.ceil, "Cos": torch.cos, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor,
    "Log": torch.log, "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round,
    "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin, "Sqrt": torch.sqrt, "Tanh": torch.tanh,
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{name: _binary(function, FLOATS | _INTEGERS) for name, function in _ARITHMETIC.items()},
    **{name: _binary(function, FLOATS | _INTEGERS) for name, function in _COMPARISONS.items()},
    **{name: _binary(function, {ir.DataType.BOOL}) for name, function in _LOGIC.items()},
    **{name: _unary(function, FLOATS) for name, function in _UNARY.items()},
    "Abs": _unary(torch.abs, FLOATS | _INTEGERS),
    "Neg": _unary(torch.neg, FLOATS | _INTEGERS),
    "Cast": _cast,
    "Clip": _clip,
    "Div": _binary(operator.truediv, FLOATS),
    "Equal": _binary(operator.eq, _PLAIN),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Max": _extreme(torch.maximum),
    "Min": _extreme(torch.minimum),
    "Pow": _power,
    "ReduceMean": _reduced(torch.mean, FLOATS),
    "ReduceSum": _reduced(torch.sum, FLOATS | {ir.DataType.INT64}),
    "Softmax": _softmax(torch.softmax),
    "Where": _where,
}
