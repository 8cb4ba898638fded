"""Operators that read or write elements by coordinates."""

from __future__ import annotations

from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Length, Scope, Unknown, length, places, size_of
from exporters.onnx_to_keras.reshape import reshaped
from exporters.onnx_to_keras.table import KERAS

REDUCTIONS: dict[str, str | None] = {"none": None, "add": "add", "mul": "mul", "max": "max", "min": "min"}


def from_front(indices: KerasTensor, size: Length, scope: Scope) -> KerasTensor:
    """Indices as int64, counted from the front."""
    whole = ops.cast(indices, "int64")
    count = size if isinstance(size, int) else length(size, scope)
    return ops.where(ops.less(whole, 0), ops.add(whole, count), whole)


def coordinates(like: KerasTensor, scope: Scope) -> list[KerasTensor]:
    """For each axis of `like` where its elements lie on it, in shapes that broadcast to that of `like`."""
    rank = len(like.shape)
    return [
        ops.reshape(places(size_of(like, axis), scope), [-1 if place == axis else 1 for place in range(rank)])
        for axis in range(rank)
    ]


def _full(x: KerasTensor, like: KerasTensor) -> KerasTensor:
    """`x` broadcast to the shape of `like`."""
    return plus(ops.zeros_like(like, dtype="int64"), x)


def written(
    data: KerasTensor, where: list[KerasTensor], values: KerasTensor, reduction: str | None = None
) -> KerasTensor:
    """`data` with `values` at the places `where`, one tensor of values' shape per axis of `data`."""
    rows = ops.stack([ops.reshape(_full(x, values), (-1,)) for x in where], -1)
    flat = ops.reshape(values, (-1,))
    if data.dtype == "uint64":
        return ops.view(ops.scatter_update(ops.view(data, "int64"), rows, ops.view(flat, "int64"), reduction), "uint64")
    return ops.scatter_update(data, rows, flat, reduction)


@KERAS.op("GatherElements", since=11)
def gather_elements(data: KerasTensor, indices: KerasTensor, axis: int = 0, scope: Scope | None = None) -> KerasTensor:
    """ONNX GatherElements: `indices` may be smaller than `data` along the other axes."""
    assert scope is not None
    picked = from_front(indices, size_of(data, axis), scope)
    if all(
        i == axis % len(data.shape) or a == b for i, (a, b) in enumerate(zip(data.shape, indices.shape, strict=True))
    ):
        return ops.take_along_axis(data, picked, axis)
    where = coordinates(indices, scope)
    where[axis] = picked
    return _read(data, [_full(x, indices) for x in where], scope)


def _read(data: KerasTensor, where: list[KerasTensor], scope: Scope) -> KerasTensor:
    """The elements, or the slices, of `data` at coordinates along its first axes."""
    depth = len(where)
    rows = data if depth == 1 else _flattened(data, depth, scope)
    numbers = where[0]
    for axis, column in enumerate(where[1:], 1):
        numbers = ops.add(ops.multiply(numbers, length(size_of(data, axis), scope)), column)
    return ops.take(rows, numbers, 0)


def _flattened(data: KerasTensor, depth: int, scope: Scope) -> KerasTensor:
    """The first `depth` axes as one."""
    behind = data.shape[depth:]
    if None not in behind:
        return ops.reshape(data, (-1, *behind))
    sizes = [size_of(data, axis) for axis in range(len(data.shape))]
    total = length(1, scope)
    for size in sizes[:depth]:
        total = ops.multiply(total, length(size, scope))
    return reshaped(data, [Unknown(lambda: total), *sizes[depth:]], sizes, True, scope)


@KERAS.op("GatherND", since=11)
def gather_nd(data: KerasTensor, indices: KerasTensor, batch_dims: int = 0, scope: Scope | None = None) -> KerasTensor:
    """ONNX GatherND: the last axis of `indices` holds coordinates within `data`, behind the batch axes."""
    assert scope is not None
    depth = indices.shape[-1]
    columns = [from_front(ops.take(indices, i, -1), size_of(data, batch_dims + i), scope) for i in range(depth)]
    if batch_dims:
        own = coordinates(columns[0], scope)[:batch_dims]
        columns = [_full(x, columns[0]) for x in own] + columns
    return _read(data, columns, scope)


@KERAS.op("ScatterElements", since=11)
def scatter_elements(
    data: KerasTensor,
    indices: KerasTensor,
    updates: KerasTensor,
    axis: int = 0,
    reduction: str = "none",
    scope: Scope | None = None,
) -> KerasTensor:
    assert scope is not None
    where = coordinates(indices, scope)
    where[axis] = from_front(indices, size_of(data, axis), scope)
    return written(data, where, updates, REDUCTIONS[reduction])


@KERAS.op("Scatter", since=9)
def scatter(
    data: KerasTensor, indices: KerasTensor, updates: KerasTensor, axis: int = 0, scope: Scope | None = None
) -> KerasTensor:
    """ONNX Scatter, the old name of ScatterElements."""
    return scatter_elements(data, indices, updates, axis, scope=scope)


@KERAS.op("ScatterND", since=11)
def scatter_nd(
    data: KerasTensor,
    indices: KerasTensor,
    updates: KerasTensor,
    reduction: str = "none",
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX ScatterND: the last axis of `indices` holds coordinates of elements or of slices of `data`."""
    assert scope is not None
    depth = indices.shape[-1]
    columns = [from_front(ops.take(indices, i, -1), size_of(data, i), scope) for i in range(depth)]
    rows = ops.stack([ops.reshape(column, (-1,)) for column in columns], -1)
    kept = len(data.shape) - depth
    lead = len(updates.shape) - kept
    return ops.scatter_update(data, rows, _slices(data, updates, depth, lead, scope), REDUCTIONS[reduction])


def _slices(data: KerasTensor, updates: KerasTensor, depth: int, lead: int, scope: Scope) -> KerasTensor:
    """`updates` with its first `lead` axes as one; a slice's sizes come from whichever tensor knows them."""
    if lead == 1:
        return updates
    held = [size_of(updates, axis) for axis in range(len(updates.shape))]
    kept = [one if one is not None else other for one, other in zip(data.shape[depth:], held[lead:], strict=True)]
    return reshaped(updates, [-1, *kept], held, True, scope)


@KERAS.op("TensorScatter", since=24)
def tensor_scatter(
    past_cache: KerasTensor,
    update: KerasTensor,
    write_indices: KerasTensor | None = None,
    axis: int = -2,
    mode: str = "linear",
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX TensorScatter: each row of the batch has its update written from its own index on, in a circle or not."""
    assert scope is not None
    rank = len(past_cache.shape)
    where = coordinates(update, scope)
    place = where[axis]
    if write_indices is not None:
        start = ops.reshape(ops.cast(write_indices, "int64"), (-1, *([1] * (rank - 1))))
        place = plus(plus(ops.zeros_like(update, dtype="int64"), start), place)
    if mode == "circular":
        place = ops.mod(place, length(size_of(past_cache, axis), scope))
    where[axis] = place
    return written(past_cache, where, update)
