"""Pad in its modes; what is known only when the model runs is a matter of picking by index."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Length, Operand, Scope, Unknown, length, places, size_of, tensor
from exporters.onnx_to_keras.table import KERAS


@KERAS.op("Pad", since=11, layout="axis")
def pad(
    data: KerasTensor,
    pads: list[Length],
    constant_value: Operand | None = None,
    axes: list[int] | None = None,
    mode: str = "constant",
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Pad: `pads` holds all beginnings, then all ends; negative ones cut off."""
    rank = len(data.shape)
    held = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    around: list[tuple[int, int]] = [(0, 0)] * rank
    later: list[tuple[int, Length, Length]] = []
    for i, axis in enumerate(held):
        before, after = pads[i], pads[i + len(held)]
        if isinstance(before, int) and isinstance(after, int):
            around[axis] = (before, after)
        else:
            later.append((axis, before, after))
    x = _grown(data, around, constant_value, mode, scope)
    for axis, before, after in later:
        assert scope is not None
        x = reindexed(x, axis, before, after, constant_value, mode, scope)
    return x


def _grown(
    data: KerasTensor, around: list[tuple[int, int]], value: Operand | None, mode: str, scope: Scope | None
) -> KerasTensor:
    cut = tuple(slice(max(-before, 0), -max(-after, 0) or None) for before, after in around)
    x = data[cut] if any(min(pair) < 0 for pair in around) else data
    grow = [(max(before, 0), max(after, 0)) for before, after in around]
    if all(pair == (0, 0) for pair in grow):
        return x
    if mode == "constant":
        return _constant(x, grow, value)
    for axis, (before, after) in enumerate(grow):
        if before or after:
            x = _edged(x, axis, before, after) if mode == "edge" else _continued(x, axis, before, after, mode, scope)
    return x


def _constant(x: KerasTensor, grow: list[tuple[int, int]], value: Operand | None) -> KerasTensor:
    fill: Any = 0
    if isinstance(value, Constant):
        fill = value.array.item()
    if x.dtype in ("bool", "uint64"):  # which TensorFlow does not pad
        held = ops.pad(
            ops.view(x, "int64") if x.dtype == "uint64" else ops.cast(x, "int32"), grow, constant_values=int(fill)
        )
        return ops.view(held, "uint64") if x.dtype == "uint64" else ops.cast(held, "bool")
    padded = ops.pad(x, grow, constant_values=float(fill) if "float" in x.dtype else int(fill))
    if value is None or isinstance(value, Constant):
        return padded
    own = ops.pad(ops.ones_like(x, dtype="int32"), grow)
    return ops.where(ops.equal(own, 1), padded, ops.cast(ops.reshape(tensor(value), ()), x.dtype))


def _continued(x: KerasTensor, axis: int, before: int, after: int, mode: str, scope: Scope | None) -> KerasTensor:
    """`x` mirrored at its ends, or repeated behind them, as often as it takes."""
    size = x.shape[axis]
    if size is None:
        assert scope is not None
        return reindexed(x, axis, before, after, None, mode, scope)
    numbers = np.arange(-before, size + after)
    if mode == "reflect":
        numbers %= max(2 * (size - 1), 1)
        numbers = np.where(numbers >= size, 2 * (size - 1) - numbers, numbers)
    return ops.take(x, (numbers % size).tolist(), axis)


def _edged(x: KerasTensor, axis: int, before: int, after: int) -> KerasTensor:
    """`x` with its edges repeated."""

    def cut(start: int | None, end: int | None) -> KerasTensor:
        key: list[Any] = [slice(None)] * len(x.shape)
        key[axis] = slice(start, end)
        return x[tuple(key)]

    head, tail = ops.repeat(cut(0, 1), max(before, 1), axis), ops.repeat(cut(-1, None), max(after, 1), axis)
    return ops.concatenate(([head] if before else []) + [x] + ([tail] if after else []), axis)


def reindexed(
    x: KerasTensor, axis: int, before: Length, after: Length, value: Operand | None, mode: str, scope: Scope
) -> KerasTensor:
    """`x` padded along one axis, of which the size or the amounts are known only when the model runs."""
    size, first, last = (length(item, scope) for item in (size_of(x, axis), before, after))
    total = Unknown(lambda: ops.add(ops.add(size, first), last))
    numbers = ops.subtract(places(total, scope), first)
    if mode == "wrap":
        return ops.take(x, ops.mod(numbers, size), axis)
    if mode == "reflect":
        period = ops.maximum(ops.multiply(ops.subtract(size, 1), 2), 1)
        round_trip = ops.mod(numbers, period)
        return ops.take(x, ops.minimum(round_trip, ops.subtract(period, round_trip)), axis)
    inside = ops.minimum(ops.maximum(numbers, 0), ops.maximum(ops.subtract(size, 1), 0))
    grown = ops.take(x, inside, axis)
    if mode == "edge":
        return grown
    own = ops.reshape(ops.equal(inside, numbers), [-1 if place == axis else 1 for place in range(len(x.shape))])
    if isinstance(value, Constant):
        fill = ops.full_like(grown, value.array.item())
    else:
        fill = ops.zeros_like(grown) if value is None else plus(ops.zeros_like(grown), ops.cast(tensor(value), x.dtype))
    return ops.where(own, grown, fill)


@KERAS.op("Pad", since=2)
def pad_2(data: KerasTensor, pads: list[int], mode: str = "constant", value: float = 0.0) -> KerasTensor:
    """ONNX Pad up to opset 10, whose amounts and value are attributes."""
    fill = Constant(np.array(value), "value", Scope(data, None))
    return pad(data, list(pads), fill, mode=mode, scope=fill.scope)
