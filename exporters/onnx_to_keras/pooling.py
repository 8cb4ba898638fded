"""Pools over one, two or three spatial axes, channels last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras import sums
from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.convolution import LAST, Amounts, amounts, channels, is_same, padded, spatial_sizes
from exporters.onnx_to_keras.operand import Length, Scope, Unknown, length, size_of
from exporters.onnx_to_keras.scatter import coordinates, written
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


@dataclass(frozen=True)
class Window:
    """Which elements a pool looks at: `around` is padded on both sides, `extra` is what `ceil_mode` adds behind."""

    kernel: list[int]
    steps: list[int]
    dilations: list[int]
    around: Amounts
    extra: Amounts

    @property
    def is_dilated(self) -> bool:
        return max(self.dilations) > 1

    def is_same(self, x: KerasTensor) -> bool:
        """Whether this is what TensorFlow does by itself for padding SAME, which it counts in no mean."""
        plain = not self.is_dilated and all(pair == (0, 0) for pair in self.extra)
        return plain and is_same(spatial_sizes(x), self.around, self.kernel, self.steps, self.dilations)


def window_of(
    x: KerasTensor,
    kernel: list[int],
    auto_pad: str,
    ceil_mode: int,
    dilations: list[int] | None,
    pads: list[int] | None,
    strides: list[int] | None,
) -> Window:
    rank = len(kernel)
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    around = amounts(auto_pad, pads, spatial_sizes(x), kernel, steps, spread)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, spread, strict=True)]
    ceiling = ceil_mode and auto_pad in ("NOTSET", "VALID")
    nothing: Amounts = [(0, 0)] * rank
    extra = _ceiling(spatial_sizes(x), around, reach, steps) if ceiling else nothing
    return Window(kernel, steps, spread, around, extra)


def grown_by(x: KerasTensor, window: Window, value: float) -> KerasTensor:
    """`x` with all that the window needs around it."""
    pairs = zip(window.around, window.extra, strict=True)
    if all(isinstance(amount, int) for around, extra in pairs for amount in (*around, *extra)):
        both: Any = zip(window.around, window.extra, strict=True)
        return padded(x, [(before, after + more) for (before, after), (_, more) in both], value)
    return padded(padded(x, window.around, value), window.extra, value)


def views(x: KerasTensor, window: Window) -> list[KerasTensor]:
    """A padded `x` once per place of the kernel, shifted so that the elements of one window lie on each other."""
    places = list(itertools.product(*map(range, window.kernel)))
    return [x[(slice(None), *_keys(place, window, range(len(place))), slice(None))] for place in places]


def _keys(place: tuple[int, ...], window: Window, axes: Iterable[int]) -> list[slice]:
    keys = []
    for at, axis in zip(place, axes, strict=True):
        last = (at - window.kernel[axis] + 1) * window.dilations[axis]
        keys.append(slice(at * window.dilations[axis], last or None, window.steps[axis]))
    return keys


def reduced(x: KerasTensor, window: Window, join: Callable[[Any, Any], Any]) -> KerasTensor:
    """All elements of each window of a padded `x` joined, one axis after the other."""
    rank = len(window.kernel)
    for axis, count in enumerate(window.kernel):
        parts = []
        for at in range(count):
            key = [slice(None)] * rank
            key[axis] = _keys((at,), window, [axis])[0]
            parts.append(x[(slice(None), *key, slice(None))])
        x = joined(parts, join)
    return x


def joined(parts: list[KerasTensor], join: Callable[[Any, Any], Any]) -> KerasTensor:
    """In pairs, so that the graph does not become as deep as there are parts."""
    while len(parts) > 1:
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [join(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)] + rest
    return parts[0]


def added(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The sum of tensors of one shape, past Keras' mistaken bias_add."""
    return ops.subtract(a, ops.negative(b))


def mean(x: KerasTensor, window: Window) -> KerasTensor:
    """The mean over each window of a padded `x`, zeros included."""
    if not window.is_dilated:
        return ops.average_pool(x, window.kernel, window.steps, data_format=LAST)
    return ops.divide(reduced(x, window, added), float(math.prod(window.kernel)))


def _ceiling(sizes: list[Length], pads: Amounts, reach: list[int], strides: list[int]) -> Amounts:
    """What `ceil_mode` adds at the end of each axis; no window starts beyond the input and its padding before."""
    extra: Amounts = []
    for size, (before, after), k, s in zip(sizes, pads, reach, strides, strict=True):
        assert isinstance(before, int)
        assert isinstance(after, int)
        if isinstance(size, int):
            steps = -(-(size + before + after - k) // s) + 1
            if (steps - 1) * s >= size + before:
                steps -= 1
            extra.append((0, max((steps - 1) * s + k - (size + before + after), 0)))
        else:
            extra.append((0, Unknown(partial(_more, size, before, after, k, s))))
    return extra


def _more(size: Any, before: int, after: int, reach: int, step: int) -> KerasTensor:
    """The same for a size that is known only when the model runs."""
    whole = ops.add(size.as_tensor(), before)
    last = ops.negative(ops.floor_divide(ops.subtract(reach - after, whole), step))  # windows behind the first
    last = ops.subtract(last, ops.cast(ops.greater_equal(ops.multiply(last, step), whole), "int64"))
    return ops.maximum(ops.subtract(ops.add(ops.multiply(last, step), reach - after), whole), 0)


@KERAS.op("MaxPool", since=1, layout="channels")
def max_pool(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> KerasTensor:
    window = window_of(X, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    x = X if "float" in X.dtype else ops.cast(X, "float64")
    if window.is_same(x):
        return ops.cast(ops.max_pool(x, kernel_shape, window.steps, padding="same", data_format=LAST), X.dtype)
    grown = grown_by(x, window, float("-inf"))
    if not window.is_dilated:
        return ops.cast(ops.max_pool(grown, kernel_shape, window.steps, data_format=LAST), X.dtype)
    return ops.cast(reduced(grown, window, ops.maximum), X.dtype)


@KERAS.op("MaxPool", since=1, outputs=2)
def max_pool_with_indices(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
    scope: Scope | None = None,
) -> tuple[KerasTensor, KerasTensor]:
    """ONNX MaxPool with where each maximum lies in the whole, flattened tensor: the first of equal ones."""
    assert scope is not None
    rank = len(X.shape)
    last = (0, *range(2, rank), 1)
    numbers = _numbers(X, storage_order, scope)
    x = ops.transpose(X if "float" in X.dtype else ops.cast(X, "float64"), last)
    window = window_of(x, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    values = views(grown_by(x, window, float("-inf")), window)
    places = views(grown_by(ops.transpose(numbers, last), window, -1), window)
    best, where = values[0], places[0]
    for value, place in zip(values[1:], places[1:], strict=True):
        # padding is never the place of a maximum
        better = ops.logical_or(
            ops.greater(value, best), ops.logical_and(ops.less(where, 0), ops.greater_equal(place, 0))
        )
        best, where = ops.where(better, value, best), ops.where(better, place, where)
    first = (0, rank - 1, *range(1, rank - 1))
    return ops.cast(ops.transpose(best, first), X.dtype), ops.transpose(where, first)


def _numbers(x: KerasTensor, storage_order: int, scope: Scope) -> KerasTensor:
    """The number of each element of `x` in memory, by rows or (`storage_order`) by columns within a channel."""
    order = [0, 1, *range(2, len(x.shape))[:: -1 if storage_order else 1]]
    where = coordinates(x, scope)
    number = ops.zeros_like(x, dtype="int64")
    for axis in order:
        ahead = ops.multiply(number, length(size_of(x, axis), scope))
        number = plus(ahead, where[axis])
    return number


@KERAS.op("AveragePool", since=1, layout="channels")
def average_pool(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX AveragePool: padding counts if `count_include_pad`, what `ceil_mode` adds beyond it never does."""
    window = window_of(X, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    if not count_include_pad and window.is_same(X):
        return ops.average_pool(X, kernel_shape, window.steps, padding="same", data_format=LAST)
    found = mean(padded(padded(X, window.around), window.extra), window)
    nothing: Amounts = [(0, 0)] * len(kernel_shape)
    if window.extra == nothing and (count_include_pad or window.around == nothing):
        return found
    corner = ops.ones_like(channels(X, 0, 1))
    weight = padded(padded(corner, window.around, float(count_include_pad)), window.extra)
    return ops.divide(found, mean(weight, window))


@KERAS.op("LpPool", since=2, layout="channels")
def lp_pool(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    p: int = 2,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX LpPool: the p-norm of each window."""
    window = window_of(X, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    powers = grown_by(ops.power(ops.absolute(X), float(p)), window, 0.0)
    total = ops.multiply(mean(powers, window), float(math.prod(kernel_shape)))
    return ops.power(total, 1.0 / p)


@KERAS.op("GlobalLpPool", since=2, layout="channels")
def global_lp_pool(X: KerasTensor, p: int = 2) -> KerasTensor:
    powers = ops.power(ops.absolute(X), float(p))
    return ops.power(sums.total(powers, range(1, len(X.shape) - 1), keepdims=True), 1.0 / p)


@KERAS.op("GlobalAveragePool", since=1, layout="channels")
def global_average_pool(X: KerasTensor) -> KerasTensor:
    return sums.mean(X, range(1, len(X.shape) - 1), keepdims=True)


@KERAS.op("GlobalMaxPool", since=1, layout="channels")
def global_max_pool(X: KerasTensor) -> KerasTensor:
    return ops.max(X, tuple(range(1, len(X.shape) - 1)), keepdims=True)


@KERAS.op("MaxUnpool", since=9)
def max_unpool(
    X: KerasTensor,
    I: KerasTensor,  # noqa: E741 - ONNX's own name
    output_shape: list[int] | None = None,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX MaxUnpool: zeros but at the places that MaxPool noted down; `output_shape` adds zeros behind."""
    assert scope is not None
    kernel = kernel_shape or []
    rank = len(kernel)
    if None in X.shape[1:]:
        raise UnsupportedOperator("MaxUnpool of unknown sizes has no Keras form")
    steps, around = strides or [1] * rank, pads or [0] * (2 * rank)
    sizes = [(X.shape[i + 2] - 1) * steps[i] - around[i] - around[i + rank] + kernel[i] for i in range(rank)]
    plane = math.prod(sizes)
    row = ops.reshape(X, (-1, X.shape[1], math.prod(X.shape[2:])))
    blank = ops.repeat(ops.zeros_like(row[(slice(None), slice(None), slice(0, 1))]), plane, 2)
    where = coordinates(row, scope)
    where[2] = ops.mod(ops.reshape(ops.cast(I, "int64"), (-1, X.shape[1], math.prod(X.shape[2:]))), plane)
    y = ops.reshape(written(blank, where, row), (-1, X.shape[1], *sizes))
    if output_shape is None:
        return y
    return ops.pad(
        y, [(0, 0), (0, 0), *((0, wanted - size) for wanted, size in zip(output_shape[2:], sizes, strict=True))]
    )


@KERAS.op("LRN", since=1, layout="channels")
def lrn(X: KerasTensor, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0) -> KerasTensor:
    """ONNX LRN: each element over a power of what the squares of its neighbouring channels sum up to."""
    before, count = (size - 1) // 2, X.shape[-1]
    grown = ops.pad(ops.square(X), [*([(0, 0)] * (len(X.shape) - 1)), (before, size - 1 - before)])
    total = joined([channels(grown, i, i + count) for i in range(size)], added)
    return ops.divide(X, ops.power(ops.add(ops.multiply(total, alpha / size), bias), beta))
