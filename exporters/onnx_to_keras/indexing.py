"""Gathering, scattering, padding and repeating."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Length, Operand, Size, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


def _from_front(indices: KerasTensor, size: int | None) -> KerasTensor:
    if size is None:
        raise UnsupportedOperator("indices into an axis of unknown size have no Keras form")
    return ops.where(ops.less(indices, 0), ops.add(indices, size), indices)


@KERAS.op("GatherElements", since=11)
def gather_elements(data: KerasTensor, indices: KerasTensor, axis: int = 0) -> KerasTensor:
    return ops.take_along_axis(data, _from_front(indices, data.shape[axis]), axis)


@KERAS.op("ScatterND", since=11)
def scatter_nd(data: KerasTensor, indices: KerasTensor, updates: KerasTensor, reduction: str = "none") -> KerasTensor:
    """ONNX ScatterND without or with a sum: the last axis of `indices` holds coordinates within `data`."""
    depth = indices.shape[-1]
    if reduction not in ("none", "add") or None in data.shape or None in indices.shape:
        raise UnsupportedOperator(f"ScatterND with reduction '{reduction}' or of unknown sizes has no Keras form")
    rows = ops.reshape(indices, (-1, depth))
    rows = ops.stack([_from_front(rows[:, i], data.shape[i]) for i in range(depth)], -1)
    values = ops.reshape(updates, (-1, *data.shape[depth:]))
    if reduction == "none":
        return ops.scatter_update(data, rows, values)
    return ops.add(data, ops.scatter(rows, values, data.shape))


@KERAS.op("Pad", since=11, layout="axis")
def pad(
    data: KerasTensor,
    pads: list[int],
    constant_value: float | None = None,
    axes: list[int] | None = None,
    mode: str = "constant",
) -> KerasTensor:
    """ONNX Pad: `pads` holds all beginnings, then all ends; negative ones cut off."""
    places = [axis % len(data.shape) for axis in axes] if axes is not None else list(range(len(data.shape)))
    around = [(0, 0)] * len(data.shape)
    for i, axis in enumerate(places):
        around[axis] = (pads[i], pads[i + len(places)])
    cut = tuple(slice(max(-before, 0), -max(-after, 0) or None) for before, after in around)
    x = data[cut] if any(min(pair) < 0 for pair in around) else data
    grow = [(max(before, 0), max(after, 0)) for before, after in around]
    if mode == "constant":
        value = constant_value or 0.0
        return ops.pad(x, grow, constant_values=value if "float" in x.dtype else int(value))
    for axis, (before, after) in enumerate(grow):
        if before or after:
            x = _edged(x, axis, before, after) if mode == "edge" else _continued(x, axis, before, after, mode)
    return x


def _continued(x: KerasTensor, axis: int, before: int, after: int, mode: str) -> KerasTensor:
    """`x` mirrored at its ends, or repeated behind them, as often as it takes."""
    size = x.shape[axis]
    if size is None:
        if mode == "reflect":  # TensorFlow itself refuses more than once
            return ops.pad(
                x, [(before, after) if place == axis else (0, 0) for place in range(len(x.shape))], mode=mode
            )
        raise UnsupportedOperator(f"Pad with mode '{mode}' of an axis of unknown size has no Keras form")
    places = np.arange(-before, size + after)
    if mode == "reflect":
        places %= max(2 * (size - 1), 1)
        places = np.where(places >= size, 2 * (size - 1) - places, places)
    return ops.take(x, (places % size).tolist(), axis)


def _edged(x: KerasTensor, axis: int, before: int, after: int) -> KerasTensor:
    """`x` with its edges repeated."""

    def cut(start: int | None, end: int | None) -> KerasTensor:
        key: list[Any] = [slice(None)] * len(x.shape)
        key[axis] = slice(start, end)
        return x[tuple(key)]

    head, tail = ops.repeat(cut(0, 1), max(before, 1), axis), ops.repeat(cut(-1, None), max(after, 1), axis)
    return ops.concatenate(([head] if before else []) + [x] + ([tail] if after else []), axis)


@KERAS.op("Pad", since=2)
def pad_2(data: KerasTensor, pads: list[int], mode: str = "constant", value: float = 0.0) -> KerasTensor:
    """ONNX Pad up to opset 10, whose amounts and value are attributes."""
    return pad(data, pads, value, mode=mode)


@KERAS.op("Tile", since=6)
def tile(input: KerasTensor, repeats: list[int]) -> KerasTensor:
    return ops.tile(input, repeats)


@KERAS.op("Trilu", since=14)
def trilu(input: KerasTensor, k: int = 0, upper: int = 1) -> KerasTensor:
    if None not in input.shape[-2:]:  # TensorFlow refuses diagonals beyond the corners
        rows, columns = input.shape[-2:]
        if k > columns or k < -rows:
            everything = (k < 0) == bool(upper)
            return input if everything else ops.zeros_like(input)
    return ops.triu(input, k) if upper else ops.tril(input, k)


@KERAS.op("OneHot", since=9)
def one_hot(indices: KerasTensor, depth: int, values: KerasTensor, axis: int = -1) -> KerasTensor:
    """ONNX OneHot: `values` holds off and on; an index outside the depth is off everywhere."""
    whole = ops.cast(indices, "int64")
    marks = ops.one_hot(ops.where(ops.less(whole, 0), ops.add(whole, depth), whole), depth, dtype="bool")
    marks = ops.moveaxis(marks, -1, axis)
    return ops.where(marks, values[(1,)], values[(0,)])


@KERAS.op("Einsum", since=12)
def einsum(Inputs: list[Operand], equation: str) -> KerasTensor:
    return ops.einsum(equation.replace(" ", ""), *map(tensor, Inputs))


@KERAS.op("Range", since=11)
def arange(start: list[int], limit: list[Length], delta: list[int], stash_type: int = 1) -> KerasTensor:
    """ONNX Range of integers, up to a size that is known when the model runs: ones, summed up."""
    size = limit[0]
    if not isinstance(size, Size):
        raise UnsupportedOperator("Range between tensors computed when the model runs has no Keras form")
    if start[0] != 0 or delta[0] != 1:
        raise UnsupportedOperator("Range up to a size known when the model runs must start at 0 in steps of 1")
    return ops.subtract(ops.cumsum(size.ones()), 1)


@KERAS.op("GatherND", since=11)
def gather_nd(data: KerasTensor, indices: KerasTensor, batch_dims: int = 0) -> KerasTensor:
    """ONNX GatherND without batch axes: the last axis of `indices` holds coordinates within `data`."""
    depth = indices.shape[-1]
    if batch_dims or None in data.shape[:depth]:
        raise UnsupportedOperator("GatherND with batch_dims, or of unknown sizes, has no Keras form")
    flat, places = ops.reshape(data, (-1, *data.shape[depth:])), None
    for i in range(depth):
        column = _from_front(ops.take(indices, i, -1), data.shape[i])
        places = column if places is None else ops.add(ops.multiply(places, data.shape[i]), column)
    return ops.take(flat, places, 0)


@KERAS.op("Size", since=1)
def size(data: KerasTensor) -> KerasTensor:
    return ops.sum(ops.ones_like(data, dtype="int64"))


@KERAS.op("EyeLike", since=9)
def eye_like(input: KerasTensor, dtype: str | None = None, k: int = 0) -> KerasTensor:
    ones = ops.ones_like(input, dtype="int32")
    rows, columns = ops.cumsum(ones, 0), ops.cumsum(ones, 1)
    return ops.cast(ops.equal(ops.subtract(columns, rows), k), dtype or input.dtype)
