"""Operators that only move data; shapes themselves are computed while the model is built (see `sizes`)."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Length, Operand, Size, Sizes, Unknown, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


@KERAS.op("Shape", since=1)
def shape(data: Operand, start: int = 0, end: int | None = None) -> KerasTensor:
    raise AssertionError("the builder computes shapes itself")


@KERAS.op("Reshape", since=5)
def reshape(
    data: Operand, shape: list[Length], allowzero: int = 0, source_shape: list[Length] | None = None
) -> KerasTensor:
    """ONNX Reshape: 0 keeps the source's size at that place, unless `allowzero`."""
    source = source_shape or []
    wanted = [
        source[axis] if size == 0 and not allowzero and axis < len(source) else size for axis, size in enumerate(shape)
    ]
    return reshaped(tensor(data), wanted, source)


@KERAS.op("Reshape", since=1)
def reshape_1(data: Operand, shape: list[int], source_shape: list[Length] | None = None) -> KerasTensor:
    """ONNX Reshape up to opset 4, whose shape is an attribute."""
    return reshape(data, list(shape), 0, source_shape)


def reshaped(x: KerasTensor, wanted: list[Length], source: list[Length]) -> KerasTensor:
    """`x` in the shape `wanted`, of which Keras can leave open the batch and one more size."""
    wanted = _filled(wanted, source)
    open_places = [axis for axis, size in enumerate(wanted) if isinstance(size, Size | Unknown) or size == -1]
    target = [-1 if axis in open_places else int(str(size)) for axis, size in enumerate(wanted)]
    if len(open_places) <= 1:
        return ops.reshape(x, target)
    if wanted[0] == source[0] and len(open_places) == 2:
        return keras.layers.Reshape(target[1:], dtype=x.dtype)(x)
    if wanted == source:
        return x
    raise UnsupportedOperator(f"Reshape to {len(open_places)} sizes known only when the model runs has no Keras form")


def _filled(wanted: list[Length], source: list[Length]) -> list[Length]:
    """`wanted` with its -1 worked out, where the sizes that are not known are the same on both sides."""
    rest = [size for size in wanted if not (isinstance(size, int) and size == -1)]
    unknown = [size for size in rest if not isinstance(size, int)]
    if len(rest) == len(wanted) or sorted(map(repr, unknown)) != sorted(
        repr(size) for size in source if not isinstance(size, int)
    ):
        return wanted
    count = _product([size for size in source if isinstance(size, int)])
    known = _product([size for size in rest if isinstance(size, int)])
    if not count or not known:
        return wanted
    return [count // known if isinstance(size, int) and size == -1 else size for size in wanted]


@KERAS.op("Flatten", since=1)
def flatten(input: KerasTensor, axis: int = 1) -> KerasTensor:
    """ONNX Flatten: a matrix whose rows are the dimensions before `axis`."""
    split = axis % len(input.shape) if axis < 0 else axis
    rows, columns = _product(input.shape[:split]), _product(input.shape[split:])
    if rows is None and columns is None:
        if split != 1:
            raise UnsupportedOperator("Flatten with sizes unknown on both sides of its axis has no Keras form")
        return keras.layers.Flatten(dtype=input.dtype)(input)
    return ops.reshape(input, (-1 if rows is None else rows, -1 if columns is None else columns))


def _product(shape: Any) -> int | None:
    result = 1
    for size in shape:
        if size is None:
            return None
        result *= size
    return result


@KERAS.op("Transpose", since=1, layout="transpose")
def transpose(data: KerasTensor, perm: list[int] | None = None) -> KerasTensor:
    return ops.transpose(data, perm)


@KERAS.op("Squeeze", since=1)
def squeeze(data: KerasTensor, axes: list[int] | None = None) -> KerasTensor:
    """ONNX Squeeze; `axes` is an attribute up to opset 12 and an input from 13 on."""
    return ops.squeeze(data, None if axes is None else tuple(axes))


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
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> KerasTensor:
    """ONNX Slice: bounds are clamped; a negative step walks backwards."""
    key = [slice(None)] * len(data.shape)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = i if axes is None else axes[i] % len(data.shape)
        step = 1 if steps is None else steps[i]
        size = data.shape[axis]
        key[axis] = _bounds(start, end, step, size)
    return data[tuple(key)]


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
    return take_slice(data, starts, ends, axes)


@KERAS.op("Gather", since=1)
def gather(data: Operand, indices: Operand, axis: int = 0) -> KerasTensor:
    """ONNX Gather: whole slices; the shape of `indices` takes the place of `axis`."""
    if isinstance(data, Constant) and data.array.ndim == 2 and axis == 0 and not isinstance(indices, Constant):
        return _embedding(data, indices)
    x = tensor(data)
    if isinstance(indices, Constant) and indices.is_scalar and not isinstance(data, Sizes):
        key: list[Any] = [slice(None)] * len(x.shape)
        index = indices.array.item()
        key[axis] = index if not indices.shape else slice(index, index + 1 if index != -1 else None)
        if len(indices.shape) <= 1:
            return x[tuple(key)]
    places = tensor(indices)
    return ops.take(x, _positive(places, x.shape[axis]), axis)


def _positive(indices: KerasTensor, size: int | None) -> KerasTensor:
    """Indices counted from the front; where the size is not known, Keras itself handles negative ones."""
    return indices if size is None else ops.where(ops.less(indices, 0), indices + size, indices)


def _embedding(table: Constant, indices: KerasTensor) -> KerasTensor:
    """A table of trained rows is an Embedding layer."""
    scope = table.scope
    rows, width = table.shape
    name = scope.name(table.name.removesuffix(".weight"))
    layer = keras.layers.Embedding(rows, width, embeddings_initializer="zeros", dtype=table.dtype, name=name)
    return scope.apply(layer, _positive(tensor(indices), rows), [table.array])


@KERAS.op("Expand", since=8)
def expand(input: Operand, shape: list[Length], source_shape: list[Length] | None = None) -> KerasTensor:
    """ONNX Expand: both shapes broadcast; the result may have sizes of `input` where `shape` says 1."""
    x = tensor(input)
    rank = max(len(x.shape), len(shape))
    wanted = [1] * (rank - len(shape)) + list(shape)
    own: list[Length] = [1] * (rank - len(x.shape)) + list(source_shape or [])
    x = ops.reshape(x, (*([1] * (rank - len(x.shape))), *x.shape)) if _product(x.shape) is not None else x
    while len(x.shape) < rank:
        x = ops.expand_dims(x, 0)
    for axis, (have, want) in enumerate(zip(own, wanted, strict=True)):
        if want in (have, 1):
            continue
        if isinstance(want, Size):
            line = ops.reshape(want.ones(), [-1 if place == axis else 1 for place in range(rank)])
            x = ops.multiply(x, ops.cast(line, x.dtype)) if x.dtype != "bool" else ops.logical_and(x, line > 0)
        else:
            x = ops.repeat(x, want, axis)
    return x


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
    for length in split:
        key[axis] = slice(start, start + length)
        parts.append(input[tuple(key)])
        start += length
    return parts


@KERAS.op("ConstantOfShape", since=9)
def constant_of_shape(input: list[Length], value: Constant | None = None) -> KerasTensor:
    """ONNX ConstantOfShape of a shape that is known when the model runs: a corner of 1s, repeated along its axes."""
    sizes = [size for size in input if isinstance(size, Size)]
    if not sizes:
        raise UnsupportedOperator("ConstantOfShape of a constant shape should have been folded")
    fill, dtype = (value.array.item(), value.dtype) if value is not None else (0.0, sizes[0].tensor.dtype)
    corner = ops.reshape(sizes[0].ones(), [-1 if size is sizes[0] else 1 for size in input])
    return expand(ops.cast(ops.full_like(corner, fill, dtype=dtype), dtype), list(input), _of(corner, input, sizes[0]))


def _of(corner: KerasTensor, shape: list[Length], first: Size) -> list[Length]:
    return [first if size is first else 1 for size in shape]


def _blocks(x: KerasTensor, block: int) -> tuple[int, int, int]:
    _, height, width, channels = x.shape
    if None in (height, width, channels):
        raise UnsupportedOperator("rearranging blocks of an image whose size is not known has no Keras form")
    return height, width, channels


@KERAS.op("DepthToSpace", since=1, layout="channels")
def depth_to_space(input: KerasTensor, blocksize: int, mode: str = "DCR") -> KerasTensor:
    """ONNX DepthToSpace: channels are (block, block, depth) in mode DCR, (depth, block, block) in mode CRD."""
    h, w, channels = _blocks(input, blocksize)
    b, c = blocksize, channels // blocksize**2
    if mode == "DCR":
        parts = ops.transpose(ops.reshape(input, (-1, h, w, b, b, c)), (0, 1, 3, 2, 4, 5))
    else:
        parts = ops.transpose(ops.reshape(input, (-1, h, w, c, b, b)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(parts, (-1, h * b, w * b, c))


@KERAS.op("SpaceToDepth", since=1, layout="channels")
def space_to_depth(input: KerasTensor, blocksize: int, mode: str = "DCR") -> KerasTensor:
    """ONNX SpaceToDepth, the inverse of DepthToSpace."""
    height, width, c = _blocks(input, blocksize)
    b, h, w = blocksize, height // blocksize, width // blocksize
    parts = ops.reshape(input, (-1, h, b, w, b, c))
    order = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return ops.reshape(ops.transpose(parts, order), (-1, h, w, b * b * c))
