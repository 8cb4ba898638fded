"""Reductions, and the positions of extremes; `axes` is an attribute in older opsets and an input in newer ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras import integers, sums
from exporters.onnx_to_keras.operand import Length, Scope, places, size_of
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


def _reduced(
    operation: Callable[..., Any], data: KerasTensor, axes: list[int] | None, keepdims: int, noop: int
) -> KerasTensor:
    # integers are exact in int64, and nearly so in float64 where there is a root, a logarithm or a quotient
    exact = operation in (sums.total, ops.max, ops.min, ops.prod, _sum_square)
    x = data if "float" in data.dtype or exact else ops.cast(data, "float64")
    x = ops.cast(data, "int64") if data.dtype == "uint64" and operation in (sums.total, ops.prod, _sum_square) else x
    if operation in EXTREMES and _is_empty(x, axes):
        return _of_nothing(x, axes, keepdims, EXTREMES[operation])
    if x.dtype == "bool":
        flags = ops.all if operation is ops.min else ops.any
        return flags(x, axis=tuple(axes) if axes else None, keepdims=bool(keepdims)) if axes or not noop else x
    if x.dtype == "uint64" and operation in EXTREMES and (axes or not noop):
        y = operation(integers.ordered(x), axis=tuple(axes) if axes else None, keepdims=bool(keepdims))
        return integers.from_ordered(y)
    if not axes and noop:
        # nothing is summed up: of an axis of size 1, only what is done to each element is left
        return ops.cast(operation(ops.expand_dims(x, -1), axis=(-1,)), data.dtype)
    return ops.cast(operation(x, axis=tuple(axes) if axes else None, keepdims=bool(keepdims)), data.dtype)


# Of nothing, the largest is the smallest number, and the other way around.
EXTREMES = {ops.max: -1, ops.min: 1}


def _is_empty(x: KerasTensor, axes: list[int] | None) -> bool:
    return any(x.shape[axis] == 0 for axis in (axes or range(len(x.shape))))


def _of_nothing(x: KerasTensor, axes: list[int] | None, keepdims: int, sign: int) -> KerasTensor:
    flat = ops.sum(ops.cast(x, "float32"), axis=tuple(axes) if axes else None, keepdims=bool(keepdims))
    if x.dtype == "bool":
        return ops.full_like(flat, sign > 0, dtype="bool")
    if "float" in x.dtype:
        return ops.full_like(flat, sign * float("inf"), dtype=x.dtype)
    bounds = np.iinfo(x.dtype)
    return ops.full_like(flat, int(bounds.max if sign > 0 else bounds.min), dtype=x.dtype)


def _sum_square(data: KerasTensor, **options: Any) -> KerasTensor:
    return sums.total(ops.square(data), **options)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": sums.total,
    "ReduceMean": sums.mean,
    "ReduceMax": ops.max,
    "ReduceMin": ops.min,
    "ReduceProd": ops.prod,
    "ReduceL1": lambda data, **options: sums.total(ops.absolute(data), **options),
    "ReduceL2": lambda data, **options: ops.sqrt(_sum_square(data, **options)),
    "ReduceSumSquare": _sum_square,
    "ReduceLogSum": lambda data, **options: ops.log(sums.total(data, **options)),
    "ReduceLogSumExp": ops.logsumexp,
}


def _reduction(name: str, operation: Callable[..., Any]) -> Callable[..., KerasTensor]:
    def function(
        data: KerasTensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> KerasTensor:
        return _reduced(operation, data, axes, keepdims, noop_with_empty_axes)

    function.__name__ = name
    return function


for _name, _operation in REDUCTIONS.items():
    KERAS.op(_name, since=1, layout="axis")(_reduction(_name, _operation))


def _extreme(
    operation: Callable[..., Any], data: KerasTensor, axis: int, keepdims: int, select_last_index: int
) -> KerasTensor:
    if not select_last_index:
        return ops.cast(operation(data, axis=axis, keepdims=bool(keepdims)), "int64")
    if data.shape[axis] is None:
        raise UnsupportedOperator("the last of equal extremes along an axis of unknown size has no Keras form")
    behind = ops.cast(operation(ops.flip(data, axis), axis=axis, keepdims=bool(keepdims)), "int64")
    return ops.subtract(data.shape[axis] - 1, behind)


@KERAS.op("ArgMax", since=1, layout="axis")
def arg_max(data: KerasTensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> KerasTensor:
    """ONNX ArgMax: of equal extremes the first, or with `select_last_index` the last."""
    return _extreme(ops.argmax, data, axis, keepdims, select_last_index)


@KERAS.op("ArgMin", since=1, layout="axis")
def arg_min(data: KerasTensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> KerasTensor:
    """ONNX ArgMin: of equal extremes the first, or with `select_last_index` the last."""
    return _extreme(ops.argmin, data, axis, keepdims, select_last_index)


def _delayed(x: KerasTensor, axis: int, first: int = 0) -> KerasTensor:
    """`x` one place further along `axis`, `first` in front: subtracting would make NaN of infinities."""
    everything = [slice(None)] * len(x.shape)
    everything[axis] = slice(None, -1)
    around = [(int(place == axis), 0) for place in range(len(x.shape))]
    return ops.pad(x[tuple(everything)], around, constant_values=float(first) if "float" in x.dtype else first)


@KERAS.op("CumSum", since=11, layout="axis")
def cum_sum(x: KerasTensor, axis: int, exclusive: int = 0, reverse: int = 0) -> KerasTensor:
    """ONNX CumSum: `exclusive` leaves an element out of its own sum, `reverse` sums from the end."""
    ahead = ops.flip(x, axis) if reverse else x
    total = ops.cast(ops.cumsum(ahead, axis), x.dtype)
    total = _delayed(total, axis % len(x.shape)) if exclusive else total
    return ops.flip(total, axis) if reverse else total


@KERAS.op("CumProd", since=26, layout="axis")
def cum_prod(x: KerasTensor, axis: int, exclusive: int = 0, reverse: int = 0) -> KerasTensor:
    """ONNX CumProd: as CumSum, and the product of nothing is 1."""
    ahead = ops.flip(x, axis) if reverse else x
    total = ops.cast(ops.cumprod(ahead, axis), x.dtype)
    total = _delayed(total, axis % len(x.shape), 1) if exclusive else total
    return ops.flip(total, axis) if reverse else total


@KERAS.op("TopK", since=11, outputs=2)
def top_k(
    X: KerasTensor,
    K: list[Length],
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
    scope: Scope | None = None,
) -> tuple[KerasTensor, KerasTensor]:
    """ONNX TopK: of equal elements the one with the lower index comes first."""
    assert scope is not None
    moved = ops.moveaxis(X, axis, -1)
    # -x turns the order around, and for integers ~x, which has no smallest number without a counterpart
    turn = ops.negative if "float" in X.dtype else ops.bitwise_not
    wanted = K[0]
    if not isinstance(wanted, int):
        order = ops.argsort(turn(moved) if largest else moved)
        order = order if wanted == size_of(moved, -1) else ops.take(order, places(wanted, scope), -1)
        values = ops.take_along_axis(moved, order, -1)
    elif largest:
        values, order = ops.top_k(moved, wanted)
    else:
        values, order = ops.top_k(turn(moved), wanted)
        values = turn(values)
    return ops.moveaxis(values, -1, axis), ops.cast(ops.moveaxis(order, -1, axis), "int64")
