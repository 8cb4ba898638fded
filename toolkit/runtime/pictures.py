"""Carry out a declared pipeline in NumPy: the one implementation that feeds every runtime, so that all get equal bits.

Resizing follows torchvision's transforms v2 on float tensors, which with `antialias` are Pillow's filters without its
rounding: Pillow on 8-bit pictures, and torchvision on uint8 tensors, round to whole numbers between the two passes and
after them. "nearest" is Pillow's NEAREST and torchvision's NEAREST_EXACT. The shortest side becomes exactly what is
asked for, the other one is rounded down, and a crop that cannot lie exactly in the middle starts at the even pixel:
torchvision's conventions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline, Sides

Array = np.ndarray[Any, Any]

# The support of each filter in pixels of the result; Keys' coefficient, as PyTorch has it with and without antialias.
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
CUBIC = {True: -0.5, False: -0.75}


def apply(pipeline: Pipeline, pictures: Array, dtype: type = np.float32) -> Array:
    """Raw pictures, uint8 (batch, height, width, 3) -> the model's input.

    Raises BadInput where they are something else, or too small for the crop. Weights are computed in float64 and
    rounded; sums are float32, or what `dtype` says.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or 0 in pictures.shape[1:]:
        raise BadInput(
            f"it is {pictures.dtype}{list(pictures.shape)}, and a picture is uint8[batch, height, width, 3]",
            where=f"input '{pipeline.input or 'image'}'",
        )
    sides = (pictures.shape[1], pictures.shape[2])
    wanted = resized_sides(pipeline, sides)
    x: Array = pictures if pipeline.filter == "nearest" else pictures.astype(dtype)
    for axis, (size, length) in enumerate(zip(sides, wanted, strict=True), 1):
        x = _resize_axis(x, axis, size, length, pipeline)
    if pipeline.crop is not None:
        top, left = (_start(side, cut, pipeline) for side, cut in zip(wanted, pipeline.crop, strict=True))
        x = x[:, top : top + pipeline.crop[0], left : left + pipeline.crop[1]]
    if pipeline.channels == "bgr":
        x = x[..., ::-1]
    # Rounded to float32 first, in whatever type is computed: these are the numbers that a file holds.
    scale, mean, std = (_rounded(each, dtype) for each in (pipeline.scale, pipeline.mean, pipeline.std))
    x = (x.astype(dtype) * scale - mean) / std
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if pipeline.layout == "nchw" else x)


def _rounded(values: float | tuple[float, ...], dtype: type) -> Array:
    return np.asarray(values, np.float32).astype(dtype)


def resized_sides(pipeline: Pipeline, sides: Sides) -> Sides:
    """Height and width after the resize."""
    if pipeline.resize is None:
        return sides
    if isinstance(pipeline.resize, tuple):
        return pipeline.resize
    shortest = min(sides)
    height, width = (pipeline.resize * side // shortest for side in sides)
    return height, width


def _start(side: int, cut: int, pipeline: Pipeline) -> int:
    if side < cut:
        raise BadInput(
            f"the picture has {side} pixels where {cut} are cut out",
            where=f"input '{pipeline.input or 'image'}'",
            hint="Give larger pictures, or a pipeline that resizes first.",
        )
    return round((side - cut) / 2)


def _resize_axis(x: Array, axis: int, size: int, length: int, pipeline: Pipeline) -> Array:
    if size == length:
        return x
    if pipeline.filter == "nearest":
        chosen: Array = np.take(x, (2 * np.arange(length) + 1) * size // (2 * length), axis)
        return chosen
    matrix = weights(size, length, pipeline.filter, antialias=pipeline.antialias).astype(x.dtype)
    moved: Array = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return moved


def weights(size: int, length: int, name: str, *, antialias: bool) -> Array:
    """What each of `size` pixels adds to each of `length` results: (length, size), float64, every row's sum 1."""
    ratio = size / length
    widened = max(ratio, 1.0) if antialias else 1.0
    centers = (np.arange(length)[:, None] + 0.5) * ratio - 0.5
    if antialias:  # what lies outside counts for nothing, and the rest for more
        found = kernel((np.arange(size) - centers) / widened, name, CUBIC[True])
        shares: Array = found / found.sum(1, keepdims=True)
        return shares
    matrix = np.zeros((length, size))
    reach = int(_SUPPORT[name])
    for step in range(1 - reach, reach + 1):  # what lies outside is the pixel at the edge
        places = np.floor(centers[:, 0]) + step
        share = kernel(places - centers[:, 0], name, CUBIC[False])
        np.add.at(matrix, (np.arange(length), np.clip(places, 0, size - 1).astype(int)), share)
    return matrix


def kernel(distance: Array, name: str, a: float) -> Array:
    """The weight of a pixel at a distance: a triangle, or Keys' cubic with coefficient `a`."""
    d = np.abs(distance)
    if name == "bilinear":
        triangle: Array = np.maximum(0.0, 1.0 - d)
        return triangle
    near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    far = ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    weight: Array = np.where(d <= 1.0, near, np.where(d < 2.0, far, 0.0))
    return weight
