"""Gathering, scattering, padding and repeating."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, ops

from exporters.onnx_to_keras import sharing
from exporters.onnx_to_keras.linear import reversible
from exporters.onnx_to_keras.operand import (
    Constant,
    Operand,
    Scope,
    Sizes,
    Unknown,
    places,
    size_of,
    tensor,
)
from exporters.onnx_to_keras.table import KERAS


@KERAS.op("Range", since=11)
def arange(
    start: Operand, limit: Operand, delta: Operand, stash_type: int = 1, scope: Scope | None = None
) -> KerasTensor:
    """ONNX Range: as many steps of `delta` as fit between `start` and `limit`."""
    assert scope is not None
    first, end = (ops.reshape(tensor(value), ()) for value in (start, limit))
    if _is_one(delta) and "int" in first.dtype:
        steps = Unknown(lambda: ops.maximum(ops.subtract(end, first), 0))
        return ops.add(ops.cast(places(steps, scope), first.dtype), first)
    step = ops.reshape(tensor(delta), ())
    wide = "float64" if "float" in first.dtype else "int64"
    distance, by = ops.cast(ops.subtract(end, first), wide), ops.cast(step, wide)
    if wide == "float64":
        count = ops.cast(ops.ceil(ops.divide(distance, by)), "int64")
    else:
        count = ops.negative(ops.floor_divide(ops.negative(distance), by))  # rounded up
    numbers = places(Unknown(lambda: ops.maximum(count, 0)), scope)
    return ops.cast(ops.add(ops.multiply(ops.cast(numbers, wide), by), ops.cast(first, wide)), first.dtype)


def _is_one(value: Operand) -> bool:
    return isinstance(value, Constant) and value.is_scalar and bool(value.array.item() == 1)


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
    if table.shared == sharing.TABLE:
        return reversible(table, _positive(tensor(indices), rows))
    name = scope.name(table.name.removesuffix(".weight"))
    layer = keras.layers.Embedding(rows, width, embeddings_initializer="zeros", dtype=table.dtype, name=name)
    return scope.apply(layer, _positive(tensor(indices), rows), [table.array], (table,))


@KERAS.op("NonZero", since=9)
def non_zero(X: KerasTensor) -> KerasTensor:
    """ONNX NonZero: one row per axis."""
    x = X if X.shape else ops.reshape(X, (1,))
    found = ops.cast(ops.stack(ops.nonzero(ops.not_equal(x, 0) if x.dtype != "bool" else x), 0), "int64")
    return found if X.shape else found[(slice(0, 0),)]


@KERAS.op("Compress", since=9)
def compress(input: KerasTensor, condition: KerasTensor, axis: int | None = None) -> KerasTensor:
    """ONNX Compress: what lies where `condition`, which may be shorter than the axis, is true."""
    chosen = ops.cast(ops.nonzero(condition)[0], "int64")
    return ops.take(ops.reshape(input, (-1,)) if axis is None else input, chosen, axis or 0)


@KERAS.op("Unique", since=11, outputs=4)
def unique(X: KerasTensor, axis: int | None = None, sorted: int = 1) -> tuple[KerasTensor, ...]:
    """ONNX Unique: the elements, or slices along `axis`; where each was first, where each lies, how often it comes."""
    x = ops.reshape(X, (-1,)) if axis is None else ops.moveaxis(X, axis, 0)
    kind = x.dtype
    held = ops.cast(x, "int32") if kind == "bool" else x
    y, *counts = ops.unique(
        held,
        sorted=bool(sorted),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        axis=0 if len(x.shape) > 1 else None,
    )
    y = ops.cast(y, kind)
    y = y if axis is None else ops.moveaxis(y, 0, axis)
    return (y, *(ops.cast(count, "int64") for count in counts))


@KERAS.op("ReverseSequence", since=10)
def reverse_sequence(
    input: KerasTensor, sequence_lens: KerasTensor, batch_axis: int = 1, time_axis: int = 0, scope: Scope | None = None
) -> KerasTensor:
    """ONNX ReverseSequence: each row's first elements, as many as its length says, backwards."""
    assert scope is not None
    rank = len(input.shape)
    time = ops.reshape(places(size_of(input, time_axis), scope), [-1 if i == time_axis else 1 for i in range(rank)])
    lengths = ops.reshape(sequence_lens, [-1 if i == batch_axis else 1 for i in range(rank)])
    source = ops.where(ops.less(time, lengths), ops.subtract(ops.subtract(lengths, 1), time), time)
    return ops.take_along_axis(input, source, time_axis)


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


@KERAS.op("Size", since=1)
def size(data: KerasTensor) -> KerasTensor:
    return ops.sum(ops.ones_like(data, dtype="int64"))


@KERAS.op("EyeLike", since=9)
def eye_like(input: KerasTensor, dtype: str | None = None, k: int = 0) -> KerasTensor:
    ones = ops.ones_like(input, dtype="int32")
    rows, columns = ops.cumsum(ones, 0), ops.cumsum(ones, 1)
    return ops.cast(ops.equal(ops.subtract(columns, rows), k), dtype or input.dtype)
