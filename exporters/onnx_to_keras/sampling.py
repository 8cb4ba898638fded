"""Operators that read an image at computed places: GridSample, RoiAlign, DeformConv and their like."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.convolution import amounts
from exporters.onnx_to_keras.operand import Constant, Length, Operand, Scope, length, places, size_of, tensor
from exporters.onnx_to_keras.reshape import reshaped
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


def pixels(x: KerasTensor, row: KerasTensor, where: list[KerasTensor], scope: Scope) -> KerasTensor:
    """Pixels of `x` (batch, *spatial, channels) at whole coordinates inside it; `row` is which image of the batch."""
    number = row
    for axis, coordinate in enumerate(where, 1):
        number = plus(ops.multiply(number, length(size_of(x, axis), scope)), coordinate)
    rows = ops.reshape(x, (-1, x.shape[-1]))
    return ops.take(rows, number, 0)


def batch_rows(like: KerasTensor, scope: Scope) -> KerasTensor:
    """The number of each image, in a shape that broadcasts to `like` (batch, ...)."""
    return ops.reshape(places(size_of(like, 0), scope), (-1, *([1] * (len(like.shape) - 1))))


CUBIC = -0.75


def _taps(fraction: KerasTensor, mode: str) -> list[tuple[int, KerasTensor]]:
    """The neighbours along one axis, counted from the one below, with their weights."""
    if mode == "linear":
        return [(0, ops.subtract(1.0, fraction)), (1, fraction)]
    near = [fraction, ops.subtract(1.0, fraction)]
    far = [ops.add(fraction, 1.0), ops.subtract(2.0, fraction)]
    inner, outer = [_near(d) for d in near], [_far(d) for d in far]
    return [(-1, outer[0]), (0, inner[0]), (1, inner[1]), (2, outer[1])]


def _near(d: KerasTensor) -> KerasTensor:
    slope = ops.subtract(ops.multiply(d, CUBIC + 2), CUBIC + 3)
    return ops.add(ops.multiply(ops.multiply(slope, d), d), 1.0)


def _far(d: KerasTensor) -> KerasTensor:
    slope = ops.subtract(ops.multiply(d, CUBIC), 5 * CUBIC)
    return ops.subtract(ops.multiply(ops.add(ops.multiply(slope, d), 8 * CUBIC), d), 4 * CUBIC)


def _inside(at: KerasTensor, size: KerasTensor, padding_mode: str, align_corners: int) -> KerasTensor:
    """A whole coordinate brought into the image; for zeros it is only clamped, and masked later."""
    if padding_mode != "reflection":
        return ops.minimum(ops.maximum(at, 0), ops.subtract(size, 1))
    if align_corners:  # the outermost pixels are the mirrors
        period = ops.maximum(ops.multiply(ops.subtract(size, 1), 2), 1)
        there = ops.mod(at, period)
        return ops.minimum(there, ops.subtract(period, there))
    period = ops.multiply(size, 2)
    there = ops.mod(at, period)
    return ops.minimum(there, ops.subtract(ops.subtract(period, 1), there))


@KERAS.op("GridSample", since=16, layout="channels")
def grid_sample(
    X: KerasTensor,
    grid: Operand,
    align_corners: int = 0,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX GridSample: `grid` (batch, *places, axes) holds coordinates from -1 to 1, the last spatial axis first."""
    assert scope is not None
    rank = len(X.shape) - 2
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    points = tensor(grid)
    sizes = [length(size_of(X, axis), scope) for axis in range(1, rank + 1)]
    at = []
    for axis, size in enumerate(sizes):
        unit = ops.take(points, rank - 1 - axis, -1)
        span = ops.cast(size, unit.dtype)
        scaled = ops.divide(ops.add(unit, 1.0), 2.0)
        if align_corners:
            at.append(ops.multiply(scaled, ops.subtract(span, 1.0)))
        else:
            at.append(ops.subtract(ops.multiply(scaled, span), 0.5))
    return interpolated(X, at, sizes, mode, padding_mode, align_corners, scope)


@KERAS.op("GridSample", since=20, layout="channels")
def grid_sample_20(
    X: KerasTensor,
    grid: Operand,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
    scope: Scope | None = None,
) -> KerasTensor:
    return grid_sample(X, grid, align_corners, mode, padding_mode, scope)


def interpolated(
    x: KerasTensor,
    at: list[KerasTensor],
    sizes: list[KerasTensor],
    mode: str,
    padding_mode: str,
    align_corners: int,
    scope: Scope,
) -> KerasTensor:
    """`x` (batch, *spatial, channels) at the coordinates `at`, one tensor (batch, *places) per spatial axis."""
    row = batch_rows(at[0], scope)
    if mode == "nearest":
        floors = [ops.cast(ops.round(value), "int64") for value in at]
        taps: list[list[tuple[int, Any]]] = [[(0, None)] for _ in at]
    else:
        bases = [ops.floor(value) for value in at]
        floors = [ops.cast(value, "int64") for value in bases]
        taps = [_taps(ops.subtract(value, base), mode) for value, base in zip(at, bases, strict=True)]
    total = None
    for corner in itertools.product(*taps):
        where, weight = [], None
        for floor, size, (offset, share) in zip(floors, sizes, corner, strict=True):
            place = ops.add(floor, offset) if offset else floor
            inner = _inside(place, size, padding_mode, align_corners)
            where.append(inner)
            if share is not None:
                weight = share if weight is None else ops.multiply(weight, share)
            if padding_mode == "zeros":
                own = ops.cast(ops.equal(inner, place), x.dtype)
                weight = own if weight is None else ops.multiply(weight, own)
        term = pixels(x, row, where, scope)
        if weight is not None:
            term = ops.multiply(term, ops.cast(ops.expand_dims(weight, -1), x.dtype))
        total = term if total is None else ops.subtract(total, ops.negative(term))
    return total


@KERAS.op("AffineGrid", since=20)
def affine_grid(
    theta: KerasTensor, size: list[Length], align_corners: int = 0, scope: Scope | None = None
) -> KerasTensor:
    """ONNX AffineGrid: the places (batch, *spatial, axes) to which `theta` moves a regular grid."""
    assert scope is not None
    spatial = size[2:]
    rank = len(spatial)
    lines = []
    for axis, count in enumerate(spatial):
        steps = ops.cast(places(count, scope), theta.dtype)
        total = ops.cast(length(count, scope), theta.dtype)
        if align_corners:
            line = ops.subtract(ops.divide(ops.multiply(steps, 2.0), ops.subtract(total, 1.0)), 1.0)
        else:
            line = ops.subtract(ops.divide(ops.add(ops.multiply(steps, 2.0), 1.0), total), 1.0)
        lines.append(ops.reshape(line, [-1 if i == axis else 1 for i in range(rank)]))
    blank = ops.zeros_like(lines[0])
    for line in lines[1:]:
        blank = plus(blank, ops.zeros_like(line))
    columns = [plus(blank, line) for line in lines[::-1]] + [ops.ones_like(blank)]
    points = ops.reshape(ops.stack(columns, -1), (-1, rank + 1))
    moved = ops.matmul(points, ops.transpose(theta, (0, 2, 1)))
    sizes = [size_of(moved, axis) for axis in range(3)]
    return reshaped(moved, [sizes[0], *spatial, rank], sizes, True, scope)


@KERAS.op("RoiAlign", since=10)
def roi_align_10(
    X: KerasTensor,
    rois: KerasTensor,
    batch_indices: KerasTensor,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX RoiAlign up to opset 15, whose pixels have their centres at whole coordinates."""
    return roi_align(
        X, rois, batch_indices, "output_half_pixel", mode, output_height, output_width, sampling_ratio, spatial_scale,
        scope,
    )  # fmt: skip


@KERAS.op("RoiAlign", since=16)
def roi_align(
    X: KerasTensor,
    rois: KerasTensor,
    batch_indices: KerasTensor,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX RoiAlign: every bin of a region is the mean, or the maximum, of a grid of samples."""
    assert scope is not None
    if sampling_ratio <= 0:
        raise UnsupportedOperator("RoiAlign with as many samples as each region asks for has no Keras form")
    x = ops.transpose(X, (0, 2, 3, 1))
    half = coordinate_transformation_mode == "half_pixel"
    row = ops.reshape(ops.cast(batch_indices, "int64"), (-1, 1, 1))
    axes = []
    for axis, bins in ((1, output_height), (0, output_width)):
        start, end = (_column(rois, index, spatial_scale, half) for index in (axis, axis + 2))
        span = ops.subtract(end, start)
        span = span if half else ops.maximum(span, 1.0)
        parts = (np.arange(bins * sampling_ratio) + 0.5) / (bins * sampling_ratio)
        line = Constant(parts.astype(X.dtype)[None], "bins", scope).tensor
        axes.append(plus(ops.multiply(span, line), start))  # (regions, bins * samples)
    (low_y, high_y, part_y, in_y), (low_x, high_x, part_x, in_x) = (
        _clamped(at, length(size_of(x, i), scope)) for i, at in enumerate(axes, 1)
    )
    valid = ops.logical_and(ops.expand_dims(in_y, 2), ops.expand_dims(in_x, 1))
    terms = []
    for y, share_y in ((low_y, ops.subtract(1.0, part_y)), (high_y, part_y)):
        for at, share_x in ((low_x, ops.subtract(1.0, part_x)), (high_x, part_x)):
            weight = ops.multiply(ops.expand_dims(share_y, 2), ops.expand_dims(share_x, 1))
            weight = ops.where(valid, weight, ops.zeros_like(weight))
            found = pixels(x, row, [ops.expand_dims(y, 2), ops.expand_dims(at, 1)], scope)
            terms.append(ops.multiply(found, ops.expand_dims(weight, -1)))
    join = ops.maximum if mode == "max" else lambda a, b: ops.subtract(a, ops.negative(b))
    samples = terms[0]
    for term in terms[1:]:
        samples = join(samples, term)
    shape = (-1, output_height, sampling_ratio, output_width, sampling_ratio, X.shape[1])
    reduce = ops.max if mode == "max" else ops.mean
    return ops.transpose(reduce(ops.reshape(samples, shape), (2, 4)), (0, 3, 1, 2))


def _column(rois: KerasTensor, index: int, scale: float, half: bool) -> KerasTensor:
    value = ops.multiply(rois[(slice(None), slice(index, index + 1))], scale)
    return ops.subtract(value, 0.5) if half else value


def _clamped(at: KerasTensor, size: KerasTensor) -> tuple[KerasTensor, KerasTensor, KerasTensor, KerasTensor]:
    """Both neighbours along an axis, how far the sample is from the first, and whether it is in reach of the image."""
    span = ops.cast(size, at.dtype)
    reached = ops.logical_and(ops.greater_equal(at, -1.0), ops.less_equal(at, span))
    inner = ops.minimum(ops.maximum(at, 0.0), ops.subtract(span, 1.0))
    low = ops.floor(inner)
    high = ops.minimum(ops.add(low, 1.0), ops.subtract(span, 1.0))
    return ops.cast(low, "int64"), ops.cast(high, "int64"), ops.subtract(inner, low), reached


@KERAS.op("DeformConv", since=19)
def deform_conv(
    X: KerasTensor,
    W: Operand,
    offset: KerasTensor,
    B: Operand | None = None,
    mask: KerasTensor | None = None,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    offset_group: int = 1,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX DeformConv over two spatial axes: a convolution whose samples are moved by `offset`, weighted by `mask`."""
    assert scope is not None
    weight = tensor(W)
    outputs, inner, *kernel = weight.shape
    rank, count = len(kernel), int(np.prod(kernel))
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    around = amounts("NOTSET", pads, X.shape[2:], kernel, steps, spread)
    out = offset.shape[2:]
    channels = X.shape[1]
    if rank != 2 or None in (*out, channels):
        raise UnsupportedOperator("DeformConv of unknown sizes, or over other than two axes, has no Keras form")
    # (batch * groups, kernel places, *out, axis)
    moved = ops.reshape(offset, (-1, count, rank, *out))
    where = []
    for axis in range(rank):
        place = np.unravel_index(np.arange(count), kernel)[axis] * spread[axis]
        first = (np.arange(out[axis]) * steps[axis] - around[axis][0]).reshape(
            [-1 if i == axis else 1 for i in range(rank)]
        )
        regular = (place.reshape(-1, 1, 1) + first[None] + np.zeros((1, *out)))[None].astype(X.dtype)
        where.append(plus(moved[(slice(None), slice(None), axis)], Constant(regular, "places", scope).tensor))
    x = ops.reshape(X, (-1, channels // offset_group, *X.shape[2:])) if None not in X.shape[2:] else None
    if x is None:
        raise UnsupportedOperator("DeformConv of unknown sizes has no Keras form")
    x = ops.transpose(x, (0, 2, 3, 1))
    sizes = [length(size_of(x, axis), scope) for axis in (1, 2)]
    samples = interpolated(x, where, sizes, "linear", "zeros", 1, scope)  # (batch * groups, places, *out, channels)
    if mask is not None:
        samples = ops.multiply(samples, ops.expand_dims(ops.reshape(mask, (-1, count, *out)), -1))
    # (batch, groups of W, channels within one, kernel places, *out)
    samples = ops.transpose(samples, (0, 4, 1, 2, 3))
    samples = ops.reshape(samples, (-1, group, inner * count, out[0] * out[1]))
    kernels = ops.reshape(weight, (1, group, outputs // group, inner * count))
    y = ops.reshape(ops.matmul(kernels, samples), (-1, outputs, *out))
    return y if B is None else plus(y, ops.reshape(tensor(B), (1, -1, 1, 1)))


@KERAS.op("Col2Im", since=18)
def col2im(
    input: KerasTensor,
    image_shape: list[int],
    block_shape: list[int],
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX Col2Im: blocks put back into an image; where they overlap, their elements are added up."""
    rank, count = len(image_shape), int(np.prod(block_shape))
    spread, steps, around = dilations or [1] * rank, strides or [1] * rank, pads or [0] * (2 * rank)
    grown = [size + around[i] + around[i + rank] for i, size in enumerate(image_shape)]
    columns = [
        (size - (k - 1) * d - 1) // s + 1 for size, k, d, s in zip(grown, block_shape, spread, steps, strict=True)
    ]
    channels = input.shape[1] // count
    number: Any = 0
    for i in range(rank):
        inner = np.unravel_index(np.arange(count), block_shape)[i][:, None] * spread[i]
        outer = np.unravel_index(np.arange(int(np.prod(columns))), columns)[i][None] * steps[i]
        number = number * grown[i] + inner + outer
    x = ops.reshape(input, (-1, channels, number.size))
    assert scope is not None
    places_of = Constant(number.reshape(-1).astype(np.int32), "places", scope).tensor
    total = ops.segment_sum(ops.transpose(x, (2, 0, 1)), places_of, int(np.prod(grown)))
    image = ops.transpose(total, (1, 2, 0))
    image = ops.reshape(image, (-1, channels, *grown))
    cut = tuple(slice(around[i], grown[i] - around[i + rank]) for i in range(rank))
    return image[(slice(None), slice(None), *cut)]
