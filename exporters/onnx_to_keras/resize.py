"""Resize and its forerunner Upsample: each axis is a selection, or a small matrix of weights, worked out beforehand.

Where a size is known only when the model runs, the places and weights are worked out by tensors, by the same formulas.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Length, Scope, Size, Unknown, length, places, size_of
from exporters.onnx_to_keras.resize_places import (
    NEAREST,
    Axis,
    Method,
    between,
    coordinates,
    exactly,
    in_axis,
    nearest,
)
from exporters.onnx_to_keras.table import KERAS

LARGEST_DENOMINATOR = 1 << 12


def kernel(distance: Any, mode: str, a: float, xp: Any = np) -> Any:
    """The weight of an element at `distance`: a triangle, or Keys' cubic with coefficient `a`."""
    d = xp.absolute(distance)
    if mode == "linear":
        return xp.maximum(1 - d, 0)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return xp.where(d <= 1, near, xp.where(d < 2, far, d * 0))


def matrix(x: Any, size: int, scale: float, method: Method) -> Any:
    """Weights (length, size); what falls outside goes to the edges, or is left out and the rest scaled up."""
    squeeze = min(scale, 1.0) if method.antialias else 1.0
    beyond = math.ceil(2 / squeeze) + 1
    places = np.arange(-beyond, size + beyond)
    x = x if method.antialias else np.clip(x, -(beyond - 1), size + beyond - 2)
    weights = kernel((places[None] - x[:, None]) * squeeze, method.mode, method.cubic_coeff_a)
    inside = weights[:, beyond : beyond + size].copy()
    if not method.exclude_outside:
        inside[:, 0] += weights[:, :beyond].sum(1)
        inside[:, -1] += weights[:, beyond + size :].sum(1)
    return inside / inside.sum(1, keepdims=True)


@KERAS.op("Resize", since=11, layout="channels")
def resize(
    X: KerasTensor,
    roi: list[float] | None = None,
    scales: list[float] | None = None,
    sizes: list[Length] | None = None,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
    source_shape: list[Length] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Resize by `scales` or to `sizes`, one axis after the other."""
    crops = coordinate_transformation_mode == "tf_crop_and_resize"
    found = _axes(X, roi if crops else None, scales, sizes, axes, keep_aspect_ratio_policy, source_shape)
    method = Method(mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, exclude_outside, antialias)
    x = X if mode == "nearest" or "float" in X.dtype else ops.cast(X, "float32")
    outside: list[tuple[int, Any]] = []
    for axis in found:
        if isinstance(axis.scale, float) and axis.scale == 1.0 and axis.length == axis.size and not crops:
            continue
        assert scope is not None
        at = in_axis(axis, method, scope)
        x = _resized(x, axis, at, method, scope) if axis.is_known else _resized_later(x, axis, at, method, scope)
        if crops:
            last = length(axis.size, scope) - 1 if not isinstance(axis.size, int) else axis.size - 1
            beyond = (at < 0) | (at > last) if axis.is_known else ops.logical_or(at < 0, at > ops.cast(last, "float64"))
            outside.append((axis.place, beyond))
    for place, beyond in outside:
        assert scope is not None
        mark = beyond if isinstance(beyond, KerasTensor) else Constant(beyond, "outside", scope).tensor
        mark = ops.reshape(mark, [-1 if i == place else 1 for i in range(len(x.shape))])
        x = ops.where(mark, ops.full_like(x, extrapolation_value), x)
    return ops.cast(x, X.dtype)


def _axes(
    X: KerasTensor,
    roi: list[float] | None,
    scales: list[float] | None,
    sizes: list[Length] | None,
    axes: list[int] | None,
    policy: str,
    source_shape: list[Length] | None,
) -> list[Axis]:
    rank = len(X.shape)
    named = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    held = [(0 if axis == 0 else rank - 1 if axis == 1 else axis - 1) if rank > 2 else axis for axis in named]
    own = [source_shape[axis] for axis in named] if source_shape else [size_of(X, place) for place in held]
    starts, ends = (roi[: len(named)], roi[len(named) :]) if roi else ([0.0] * len(named), [1.0] * len(named))
    fractions: list[Any] = [None] * len(named)
    if sizes:
        ratios = [_ratio(wanted, size) for wanted, size in zip(sizes, own, strict=True)]
        lengths, exact = list(sizes), [_number(wanted) for wanted in sizes]
        fractions = list(zip(sizes, own, strict=True))
        if policy != "stretch":
            fractions = [None] * len(named)
            common = _common(ratios, policy)
            ratios = [common] * len(ratios)
            exact = [common * _number(size) for size in own]
            lengths = [_floor(value + 0.5) for value in exact]
    else:
        ratios = list(scales or [1.0] * len(named))
        spans = [ratio * (end - start) for ratio, start, end in zip(ratios, starts, ends, strict=True)]
        exact = [_number(size) * span for size, span in zip(own, spans, strict=True)]
        fractions = [_fraction(span) for span in spans]
        parts = zip(own, exact, fractions, strict=True)
        lengths = [_floor(value) if part is None else _scaled(size, *part) for size, value, part in parts]
    rows = zip(held, own, lengths, exact, ratios, starts, ends, fractions, strict=True)
    return [Axis(*row) for row in rows]


def _fraction(ratio: float) -> tuple[int, int] | None:
    """A scale that a user wrote, like 2 or 0.75, as a fraction; none of one that is itself a rounded quotient."""
    top, bottom = ratio.as_integer_ratio()
    return (top, bottom) if bottom <= LARGEST_DENOMINATOR else None


def _scaled(size: Length, top: int, bottom: int) -> Length:
    """`size` times a fraction, rounded down."""
    if isinstance(size, int):
        return size * top // bottom
    if top == bottom:
        return size
    if isinstance(size, Size) and bottom == 1:
        return size.times(top)
    return Unknown(lambda: ops.floor_divide(ops.multiply(size.as_tensor(), top), bottom))


def _number(size: Length) -> Any:
    """A size as a float, or as a float64 tensor."""
    return float(size) if isinstance(size, int) else ops.cast(size.as_tensor(), "float64")


def _floor(value: Any) -> Length:
    return math.floor(value) if isinstance(value, float) else Unknown(lambda: ops.cast(ops.floor(value), "int64"))


def _ratio(wanted: Length, size: Length) -> Any:
    if wanted == size:
        return 1.0
    if isinstance(wanted, int) and isinstance(size, int):
        return wanted / size
    return ops.divide(_number(wanted), _number(size))


def _common(ratios: list[Any], policy: str) -> Any:
    """The one ratio that keeps the aspect: the smallest or the largest."""
    if all(isinstance(ratio, float) for ratio in ratios):
        return min(ratios) if policy == "not_larger" else max(ratios)
    pick = ops.minimum if policy == "not_larger" else ops.maximum
    known = [ratio for ratio in ratios if isinstance(ratio, float)]
    result, *others = [ratio for ratio in ratios if not isinstance(ratio, float)]
    for ratio in (*others, *known):
        result = pick(result, ratio)
    return result


def _resized(x: KerasTensor, axis: Axis, at: Any, method: Method, scope: Scope | None) -> KerasTensor:
    """`x` along an axis of known size, at the coordinates `at`."""
    size = axis.size
    assert isinstance(size, int)
    if method.mode == "nearest":
        index = np.clip(NEAREST[method.nearest](at, np), 0, size - 1).astype(int).tolist()
        return _selected(x, index, axis.place, size)
    smaller = Method(**{**vars(method), "antialias": method.antialias and axis.scale < 1})
    return _weighted(x, matrix(at, size, axis.scale, smaller), axis.place, scope)


def _selected(x: KerasTensor, index: list[int], axis: int, size: int) -> KerasTensor:
    """Elements by index: a repetition where every element comes equally often, as in most upsampling."""
    times, rest = divmod(len(index), size)
    if rest == 0 and index == [i for i in range(size) for _ in range(times)]:
        return ops.repeat(x, times, axis)
    return ops.take(x, index, axis)


def _weighted(x: KerasTensor, weights: Any, axis: int, scope: Scope | None) -> KerasTensor:
    """Every result along `axis` a weighted sum: a product with a matrix that a layer holds."""
    assert scope is not None
    held = Constant(weights.T.astype(x.dtype), "resize", scope)
    return ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, -1), held.tensor), -1, axis)


def _resized_later(x: KerasTensor, axis: Axis, at: KerasTensor, method: Method, scope: Scope) -> KerasTensor:
    """`x` along an axis whose old or new size is known only when the model runs."""
    if method.mode == "nearest" and isinstance(axis.scale, float) and _repeats(axis, method):
        return ops.repeat(x, int(axis.scale), axis.place)
    last = ops.subtract(length(axis.size, scope), 1)
    exact = exactly(axis, method, scope)
    if method.mode == "nearest":
        found = NEAREST[method.nearest](at, ops) if exact is None else nearest(*exact, method.nearest)
        return ops.take(x, _within(found, last), axis.place)
    if exact is not None:
        return _blended(x, axis, *between(*exact, x.dtype), method, scope)
    if method.antialias:
        weights = _matrix_later(at, axis, last, method, scope)
        moved = ops.matmul(ops.moveaxis(x, axis.place, -1), ops.cast(ops.transpose(weights), x.dtype))
        return ops.moveaxis(moved, -1, axis.place)
    below = ops.floor(at)
    return _blended(x, axis, ops.cast(below, "int64"), at - below, method, scope)


def _blended(
    x: KerasTensor, axis: Axis, below: KerasTensor, part: KerasTensor, method: Method, scope: Scope
) -> KerasTensor:
    """Each result a weighted sum of the elements around it, `part` of the way from the one `below` to the next."""
    last = ops.subtract(length(axis.size, scope), 1)
    shape = [-1 if i == axis.place else 1 for i in range(len(x.shape))]
    terms, total = None, None
    for offset in (0, 1) if method.mode == "linear" else (-1, 0, 1, 2):
        place = ops.add(below, offset)
        weight = kernel(part - offset, method.mode, method.cubic_coeff_a, ops)
        inside = _within(place, last)
        if method.exclude_outside:
            weight = ops.where(ops.equal(inside, place), weight, ops.zeros_like(weight))
        total = weight if total is None else total + weight
        term = ops.multiply(ops.take(x, inside, axis.place), ops.reshape(ops.cast(weight, x.dtype), shape))
        terms = term if terms is None else ops.subtract(terms, ops.negative(term))
    if method.exclude_outside:
        terms = ops.divide(terms, ops.reshape(ops.cast(total, x.dtype), shape))
    return terms


def _matrix_later(at: KerasTensor, axis: Axis, last: KerasTensor, method: Method, scope: Scope) -> KerasTensor:
    """`matrix` worked out by tensors: what falls outside is added to the column of the edge, or left out."""
    squeeze = ops.minimum(ops.add(ops.cast(scope.zero, "float64"), axis.scale), 1.0)
    beyond = ops.add(ops.cast(ops.ceil(ops.divide(2.0, squeeze)), "int64"), 1)
    count = Unknown(lambda: ops.add(ops.add(last, 1), ops.multiply(beyond, 2)))
    sources = ops.subtract(places(count, scope), beyond)
    distance = ops.subtract(ops.expand_dims(ops.cast(sources, "float64"), 0), ops.expand_dims(at, 1))
    weights = kernel(distance * squeeze, method.mode, method.cubic_coeff_a, ops)
    inside = _within(sources, last)
    columns = ops.equal(ops.expand_dims(inside, 1), ops.expand_dims(places(axis.size, scope), 0))
    if method.exclude_outside:
        columns = ops.logical_and(columns, ops.expand_dims(ops.equal(inside, sources), 1))
    weights = ops.matmul(weights, ops.cast(columns, "float64"))
    return ops.divide(weights, ops.sum(weights, 1, keepdims=True))


def _within(place: Any, last: KerasTensor) -> KerasTensor:
    return ops.minimum(ops.maximum(ops.cast(place, "int64"), 0), last)


def _repeats(axis: Axis, method: Method) -> bool:
    """Whether this scale repeats every element equally often, whatever the size: what holds for 5 and 8 does."""
    if axis.scale != int(axis.scale) or axis.scale < 1 or method.coordinates == "align_corners":
        return False
    times = int(axis.scale)
    for size in (5, 8):
        tried = replace(axis, wanted=float(size * times))
        at = coordinates(np.arange(size * times, dtype=np.float64), size, size * times, tried, method.coordinates)
        index = np.clip(NEAREST[method.nearest](at, np), 0, size - 1).astype(int)
        if not (index == np.repeat(np.arange(size), times)).all():
            return False
    return True


@KERAS.op("Resize", since=10, layout="channels")
def resize_10(
    X: KerasTensor,
    scales: list[float],
    mode: str = "nearest",
    source_shape: list[Length] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Resize of opset 10: asymmetric coordinates, the nearest element below."""
    return resize(
        X,
        None,
        scales,
        coordinate_transformation_mode="asymmetric",
        mode=mode.replace("bi", ""),
        nearest_mode="floor",
        source_shape=source_shape,
        scope=scope,
    )


@KERAS.op("Upsample", since=7, layout="channels")
def upsample(
    X: KerasTensor,
    scales: list[float],
    mode: str = "nearest",
    source_shape: list[Length] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Upsample, the old Resize; `scales` is an attribute up to opset 8."""
    return resize_10(X, scales, mode, source_shape, scope)
