"""Operators that only move data; shapes themselves are computed while the model is built (see `sizes`)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import (
    Constant,
    Length,
    Operand,
    Scope,
    Size,
    Sizes,
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


@KERAS.op("Reshape", since=5)
def reshape(
    data: Operand,
    shape: list[Length],
    allowzero: int = 0,
    source_shape: list[Length] | None = None,
    result_names: list[Any] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Reshape: 0 keeps the source's size at that place, unless `allowzero`."""
    source = source_shape or []
    wanted = wanted_shape(shape, source, result_names or [], allowzero=bool(allowzero))
    return reshaped(tensor(data), wanted, source, bool(allowzero), scope)


def wanted_shape(shape: list[Length], source: list[Length], names: list[Any], *, allowzero: bool) -> list[Length]:
    """`shape` with the source's sizes where it names them: by 0, or computed under the same name."""
    return [
        source[axis] if _is(size, 0) and not allowzero and axis < len(source) else size
        for axis, size in enumerate(_recognised(shape, source, names))
    ]


@KERAS.op("Reshape", since=1)
def reshape_1(
    data: Operand, shape: list[int], source_shape: list[Length] | None = None, scope: Scope | None = None
) -> KerasTensor:
    """ONNX Reshape up to opset 4, whose shape is an attribute."""
    return reshape(data, list(shape), 0, source_shape, scope=scope)


def _recognised(shape: list[Length], source: list[Length], names: list[Any]) -> list[Length]:
    """`shape` with what was computed replaced by the source's size of the same name, where the graph names both."""
    known = {size.symbol: size for size in source if isinstance(size, Size) and size.factor == 1}
    if len(names) != len(shape):
        return shape
    return [
        known[name] if isinstance(size, Unknown) and name in known else size
        for size, name in zip(shape, names, strict=True)
    ]


def reshaped(
    x: KerasTensor, wanted: list[Length], source: list[Length], allowzero: bool, scope: Scope | None
) -> KerasTensor:
    """`x` in the shape `wanted`; where more of it is open than Keras can leave open, its elements are picked."""
    wanted = _filled(wanted, source)
    open_places = [axis for axis, size in enumerate(wanted) if not isinstance(size, int) or size == -1]
    target = [-1 if axis in open_places else int(str(size)) for axis, size in enumerate(wanted)]
    if len(open_places) <= 1 and (0 not in target or not open_places):
        return ops.reshape(x, target)
    if wanted == source:
        return x
    if len(open_places) == 2 and open_places[0] == 0 and source and wanted[0] == source[0] and 0 not in target:
        return keras.layers.Reshape(target[1:], dtype=x.dtype)(x)
    change = _change(wanted, source)
    if change is not None:
        return _regrouped(x, *change)
    pivot = _pivot(wanted, source)
    if pivot is not None:
        return _around(x, *pivot, wanted)
    assert scope is not None
    return _picked(x, _meant(wanted, source, allowzero, scope), scope)


MOST = 16  # pieces that an axis is cut into, or put together from


def _change(wanted: list[Length], source: list[Length]) -> tuple[int, list[int], list[int]] | None:
    """Where sizes differ, if one axis is split in two there, or two are merged, and all others stay as they are:
    the place, the old sizes and the new ones.
    """
    front = 0
    while front < min(len(wanted), len(source)) and wanted[front] == source[front]:
        front += 1
    back = 0
    while back < min(len(wanted), len(source)) - front and wanted[-1 - back] == source[-1 - back]:
        back += 1
    old, new = source[front : len(source) - back], wanted[front : len(wanted) - back]
    numbers = [size for size in (*old, *new) if isinstance(size, int) and size > 0]
    if len(numbers) != 3 or len(old) + len(new) != 3 or not old or not new:
        return None
    before, after = numbers[: len(old)], numbers[len(old) :]
    pieces = after[0] if len(after) == 2 else min(before)
    return (front, before, after) if math.prod(before) == math.prod(after) and pieces <= MOST else None


def _regrouped(x: KerasTensor, axis: int, old: list[int], new: list[int]) -> KerasTensor:
    """`x` with one axis split in two, or two merged, piece by piece: whatever the sizes of the others are."""
    if len(new) == 2:
        return ops.stack([_range(x, axis, i * new[1], (i + 1) * new[1]) for i in range(new[0])], axis)
    outer, inner = old
    if outer <= inner:
        return ops.concatenate([_at(x, axis, i) for i in range(outer)], axis)
    # fewer pieces the other way around, of which the order is then put right
    joined = ops.concatenate([_at(x, axis + 1, i) for i in range(inner)], axis)
    return ops.take(joined, np.arange(outer * inner).reshape(inner, outer).T.reshape(-1).tolist(), axis)


def _range(x: KerasTensor, axis: int, start: int, end: int) -> KerasTensor:
    return x[tuple(slice(start, end) if i == axis else slice(None) for i in range(len(x.shape)))]


def _at(x: KerasTensor, axis: int, index: int) -> KerasTensor:
    return x[tuple(index if i == axis else slice(None) for i in range(len(x.shape)))]


def _pivot(wanted: list[Length], source: list[Length]) -> tuple[int, int] | None:
    """An open axis that stays as it is, by its place in the source and in the result, if all else can be reshaped
    around it: as many elements lie behind it on both sides, and at most one other size is open.
    """
    for here, size in enumerate(source):
        for there, other in enumerate(wanted):
            if not isinstance(size, Size) or size != other:
                continue
            rest = [s for i, s in enumerate(wanted) if i != there]
            opened = [s for s in rest if not isinstance(s, int) or s == -1]
            if len(opened) <= 1 and _matches(source[here + 1 :], wanted[there + 1 :]) and 0 not in rest:
                return here, there
    return None


def _matches(source: list[Length], wanted: list[Length]) -> bool:
    """Whether both have as many elements: the same open sizes, and numbers of one product."""
    opened = [sorted(_mark(s) for s in sizes if not isinstance(s, int)) for sizes in (source, wanted)]
    if -1 in wanted or opened[0] != opened[1]:
        return False
    return _product([s for s in source if isinstance(s, int)]) == _product([s for s in wanted if isinstance(s, int)])


def _around(x: KerasTensor, here: int, there: int, wanted: list[Length]) -> KerasTensor:
    """All axes but one reshaped: that one goes first, where Keras keeps it, and then to its new place."""
    rest = [size for axis, size in enumerate(wanted) if axis != there]
    target = [size if isinstance(size, int) else -1 for size in rest]
    first = x if here == 0 else ops.moveaxis(x, here, 0)
    shaped = keras.layers.Reshape(target, dtype=x.dtype)(first)
    return shaped if there == 0 else ops.moveaxis(shaped, 0, there)


def _meant(wanted: list[Length], source: list[Length], allowzero: bool, scope: Scope) -> list[Length]:
    """`wanted` with what a tensor gives instead of sizes: 0 for the source's, -1 for what is left."""
    sizes: list[Length] = []
    for axis, size in enumerate(wanted):
        if isinstance(size, Unknown) and not allowzero and axis < len(source):
            own = length(source[axis], scope)
            sizes.append(Unknown(partial(_instead, size, 0, own)))
        else:
            sizes.append(size)
    count = _times([length(size, scope) for size in source], scope)
    given = [length(size, scope) for size in sizes]
    known = _times([ops.where(ops.equal(size, -1), ops.ones_like(size), size) for size in given], scope)
    rest = ops.floor_divide(count, ops.maximum(known, 1))
    return [
        size
        if isinstance(size, Size) or (isinstance(size, int) and size >= 0)
        else Unknown(partial(_instead, size, -1, rest))
        for size in sizes
    ]


def _instead(size: Length, mark: int, other: KerasTensor) -> KerasTensor:
    """`other` where `size` is only a mark for it."""
    if isinstance(size, int):
        return other
    value = size.as_tensor()
    return ops.where(ops.equal(value, mark), other, value)


def _times(sizes: list[KerasTensor], scope: Scope) -> KerasTensor:
    result = length(1, scope)
    for size in sizes:
        result = ops.multiply(result, size)
    return result


def _picked(x: KerasTensor, shape: list[Length], scope: Scope) -> KerasTensor:
    """`x` in a shape of which any part is known only when the model runs: rows taken by their numbers."""
    kept = 0
    while kept < min(len(shape), len(x.shape)) and _is(shape[-1 - kept], x.shape[-1 - kept]) and x.shape[-1 - kept]:
        kept += 1
    rows = ops.reshape(x, (-1, *x.shape[len(x.shape) - kept :]))
    numbers = length(0, scope)
    for size in shape[: len(shape) - kept]:
        ahead = ops.expand_dims(ops.multiply(numbers, length(size, scope)), -1)
        numbers = plus(ahead, places(size, scope))
    return ops.take(rows, numbers, 0)


def _is(size: Any, number: Any) -> bool:
    return isinstance(size, int) and size == number


def _filled(wanted: list[Length], source: list[Length]) -> list[Length]:
    """`wanted` with its -1 worked out, where the sizes that are not known are the same on both sides."""
    rest = [size for size in wanted if not (isinstance(size, int) and size == -1)]
    unknown = [size for size in rest if not isinstance(size, int)]
    if len(rest) == len(wanted) or sorted(map(_mark, unknown)) != sorted(
        _mark(size) for size in source if not isinstance(size, int)
    ):
        return wanted
    count = _product([size for size in source if isinstance(size, int)])
    known = _product([size for size in rest if isinstance(size, int)])
    if not count or not known:
        return wanted
    return [count // known if isinstance(size, int) and size == -1 else size for size in wanted]


def _mark(size: Size | Unknown) -> str:
    """What equal sizes have in common."""
    return f"{size.symbol} {size.factor}" if isinstance(size, Size) else str(id(size))


@KERAS.op("Flatten", since=1)
def flatten(
    input: KerasTensor, axis: int = 1, source_shape: list[Length] | None = None, scope: Scope | None = None
) -> KerasTensor:
    """ONNX Flatten: a matrix whose rows are the dimensions before `axis`."""
    split = axis % len(input.shape) if axis < 0 else axis
    rows, columns = _product(input.shape[:split]), _product(input.shape[split:])
    if rows is None and columns is None:
        if split != 1:
            assert source_shape is not None
            assert scope is not None
            front = _times([length(size, scope) for size in source_shape[:split]], scope)
            return reshaped(input, [Unknown(lambda: front), -1], source_shape, True, scope)
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


@KERAS.op("Gather", since=1, layout="pick")
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
    return ops.take(x, _positive(tensor(indices), x.shape[axis]), axis)


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
