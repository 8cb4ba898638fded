"""Operators that only move data; shapes themselves are computed while the model is built (see `sizes`)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import (
    Constant,
    Length,
    Operand,
    Scope,
    Size,
    Unknown,
    length,
    places,
    size_of,
    tensor,
)
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


@KERAS.op("Shape", since=1)
def shape(data: Operand, start: int = 0, end: int | None = None) -> KerasTensor:
    raise AssertionError("the builder computes shapes itself")


@KERAS.op("Transpose", since=1, layout="transpose")
def transpose(data: KerasTensor, perm: list[int] | None = None) -> KerasTensor:
    return ops.transpose(data, perm)


@KERAS.op("Squeeze", since=1)
def squeeze(data: KerasTensor, axes: list[int] | None = None) -> KerasTensor:
    """ONNX Squeeze; `axes` is an attribute up to opset 12 and an input from 13 on."""
    if axes is None:
        return ops.squeeze(data)
    gone = {axis % len(data.shape) for axis in axes}
    if all(data.shape[axis] == 1 for axis in gone) and data.shape.count(None) < 2:
        return ops.squeeze(data, tuple(sorted(gone)))
    # Keras refuses sizes that are not known to be 1, and LiteRT's converter fails where several others vary
    return data[tuple(0 if axis in gone else slice(None) for axis in range(len(data.shape)))]


@KERAS.op("Unsqueeze", since=1)
def unsqueeze(data: Operand, axes: list[int]) -> KerasTensor:
    """ONNX Unsqueeze; `axes` count in the result, and are an attribute up to opset 12."""
    x = tensor(data)
    rank = len(x.shape) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = ops.expand_dims(x, axis)
    return x


@KERAS.op("Concat", since=1, layout="axis")
def concat(inputs: list[Operand], axis: int = 1) -> KerasTensor:
    return ops.concatenate([tensor(value) for value in inputs], axis)


@KERAS.op("Slice", since=10, layout="axis")
def take_slice(
    data: KerasTensor,
    starts: list[Length],
    ends: list[Length],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Slice: bounds are clamped; a negative step walks backwards."""
    key = [slice(None)] * len(data.shape)
    later: list[tuple[int, Length, Length, int]] = []
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = i if axes is None else axes[i] % len(data.shape)
        step = 1 if steps is None else steps[i]
        if isinstance(start, int) and isinstance(end, int):
            key[axis] = _bounds(start, end, step, data.shape[axis])
        else:
            later.append((axis, start, end, step))
    x = data if all(cut == slice(None) for cut in key) else data[tuple(key)]
    for axis, start, end, step in later:
        assert scope is not None
        x = ops.take(x, _walk(size_of(x, axis), start, end, step, scope), axis)
    return x


def _walk(size: Length, start: Length, end: Length, step: int, scope: Scope) -> KerasTensor:
    """The indices from `start` to `end`, clamped as ONNX says."""
    count = length(size, scope)
    first, last = (_from_front(length(value, scope), count) for value in (start, end))
    if step > 0:
        first, last = (ops.minimum(ops.maximum(value, 0), count) for value in (first, last))
    else:
        behind = ops.subtract(count, 1)
        first, last = ops.minimum(ops.maximum(first, 0), behind), ops.minimum(ops.maximum(last, -1), behind)
    distance = ops.subtract(last, first) if step > 0 else ops.subtract(first, last)
    steps = Unknown(lambda: ops.maximum(ops.floor_divide(ops.add(distance, abs(step) - 1), abs(step)), 0))
    return plus(ops.multiply(places(steps, scope), step), first)


def _from_front(value: KerasTensor, count: KerasTensor) -> KerasTensor:
    return ops.where(ops.less(value, 0), ops.add(value, count), value)


FAR = 2**31 - 1  # ONNX writes "to the end" as the largest integer, of 32 or of 64 bits


def _bounds(start: int, end: int, step: int, size: int | None) -> slice:
    """Python's slice for ONNX's bounds: the two differ where a backward slice runs past the front."""
    if size is not None:
        first, last, stride = slice(start, end if end > -size - 1 or step > 0 else None, step).indices(size)
        return slice(first, None if last < 0 else last, stride)
    return slice(
        None if start >= FAR and step < 0 else start, None if abs(end) >= FAR and (end > 0) == (step > 0) else end, step
    )


@KERAS.op("Slice", since=1, layout="axis")
def take_slice_1(data: KerasTensor, starts: list[int], ends: list[int], axes: list[int] | None = None) -> KerasTensor:
    """ONNX Slice up to opset 9, whose bounds are attributes."""
    return take_slice(data, list(starts), list(ends), axes)


@KERAS.op("Expand", since=8)
def expand(
    input: Operand, shape: list[Length], source_shape: list[Length] | None = None, scope: Scope | None = None
) -> KerasTensor:
    """ONNX Expand: both shapes broadcast; the result may have sizes of `input` where `shape` says 1."""
    x = tensor(input)
    rank = max(len(x.shape), len(shape))
    wanted = [1] * (rank - len(shape)) + list(shape)
    own: list[Length] = [1] * (rank - len(x.shape)) + list(source_shape or [])
    while len(x.shape) < rank:
        x = ops.expand_dims(x, 0)
    for axis, (have, want) in enumerate(zip(own, wanted, strict=True)):
        if want in (have, 1) or (isinstance(have, int) and have != 1):
            continue
        if isinstance(want, int) and have == 1:
            x = ops.repeat(x, want, axis)
        else:
            assert scope is not None
            x = _stretched(x, axis, ops.zeros_like(places(want, scope)) if have == 1 else places(want, scope), have)
    return x


def _stretched(x: KerasTensor, axis: int, line: KerasTensor, have: Length) -> KerasTensor:
    """`x` broadcast along an axis against a vector: an axis of size 1 is repeated, another has that size already."""
    if have == 1:
        return ops.take(x, line, axis)
    own = ops.multiply(places_of(x, axis), ops.ones_like(line))  # one of both may have the size 1
    return ops.take(x, own, axis)


def places_of(x: KerasTensor, axis: int) -> KerasTensor:
    """0, 1, 2 ... along an axis."""
    size = size_of(x, axis)
    assert isinstance(size, Size), "a known size needs no tensor"
    return ops.subtract(ops.cumsum(size.ones()), 1)


@KERAS.op("Split", since=1, outputs=None, layout="axis")
def split(
    input: KerasTensor,
    split: list[int] | None = None,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int = 1,
) -> list[KerasTensor]:
    """ONNX Split: without sizes into `outputs` equal parts, the last one smaller where they do not fit."""
    size = input.shape[axis]
    if split is None:
        if size is None:
            return list(ops.split(input, outputs, axis))
        part = -(-size // outputs)
        split = [part] * outputs
    key: list[Any] = [slice(None)] * len(input.shape)
    parts, start = [], 0
    for count in split:
        key[axis] = slice(start, start + count)
        parts.append(input[tuple(key)])
        start += count
    return parts


@KERAS.op("Constant", since=1)
def constant(
    value: Constant | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    sparse_value: Any = None,
    value_string: str | None = None,
    value_strings: list[str] | None = None,
) -> KerasTensor:
    """ONNX Constant of what is neither a number nor dense: all others are known while the model is built."""
    raise UnsupportedOperator("a Constant of strings, or a sparse one, has no Keras form")


@KERAS.op("ConstantOfShape", since=9)
def constant_of_shape(input: list[Length], value: Constant | None = None, scope: Scope | None = None) -> KerasTensor:
    """ONNX ConstantOfShape of a shape that is known when the model runs: one element, repeated along each axis."""
    assert scope is not None
    fill = value.array.reshape(-1)[:1] if value is not None else scope.array(np.zeros(1, np.float32))
    one = Constant(fill, "fill", scope).tensor
    if not input:
        return ops.reshape(one, ())
    return expand(ops.reshape(one, (1,) * len(input)), list(input), [1] * len(input), scope)


@KERAS.op("Tile", since=6)
def tile(input: KerasTensor, repeats: list[Length], scope: Scope | None = None) -> KerasTensor:
    known = [count if isinstance(count, int) else 1 for count in repeats]
    x = ops.tile(input, known) if set(known) != {1} else input
    for axis, count in enumerate(repeats):
        if not isinstance(count, int):
            assert scope is not None
            size = length(size_of(x, axis), scope)
            numbers = places(Unknown(partial(ops.multiply, count.as_tensor(), size)), scope)
            x = ops.take(x, ops.mod(numbers, size), axis)
    return x
