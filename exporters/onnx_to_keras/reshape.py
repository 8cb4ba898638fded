"""Reshape and Flatten, also where more sizes are open than Keras can leave open in one reshape."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import (
    Length,
    Operand,
    Scope,
    Size,
    Unknown,
    length,
    places,
    tensor,
)
from exporters.onnx_to_keras.table import KERAS

_MULTIPLE = re.compile(r"([1-9][0-9]*)\*(\w+)")


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
    return -1 not in wanted and _count(source) == _count(wanted)


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
    (count, opened), (known, left) = _count(source), _count(rest)
    if len(rest) == len(wanted) or opened != left or not count or not known:
        return wanted
    return [count // known if isinstance(size, int) and size == -1 else size for size in wanted]


def _count(sizes: list[Length]) -> tuple[int, list[str]]:
    """How many elements these sizes make: a number, times what is known only when the model runs."""
    parts = [(size, "") if isinstance(size, int) else _parts(size) for size in sizes]
    return math.prod(number for number, _ in parts), sorted(symbol for _, symbol in parts if symbol)


def _parts(size: Size | Unknown) -> tuple[int, str]:
    """A size as a number times what equal sizes have in common: PyTorch calls them `144*batch`, too."""
    if not isinstance(size, Size):
        return 1, str(id(size))
    named = _MULTIPLE.fullmatch(size.symbol)
    return (int(named[1]) * size.factor, named[2]) if named else (size.factor, size.symbol)


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
