"""Resize and its forerunner Upsample: each axis is a selection, or a small matrix of weights, worked out beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Scope
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


def coordinates(size: int, length: int, scale: float, mode: str) -> Any:
    """Where each of `length` results lies in an axis of `size` elements, by ONNX's transformation mode."""
    x = np.arange(length, dtype=np.float64)
    half = (x + 0.5) / scale
    table = {
        "half_pixel": lambda: half - 0.5,
        "pytorch_half_pixel": lambda: half - 0.5 if length > 1 else x * 0,
        "asymmetric": lambda: x / scale,
        "align_corners": lambda: x * ((size - 1) / (length - 1)) if length > 1 else x * 0,
        "tf_half_pixel_for_nn": lambda: half,
        "half_pixel_symmetric": lambda: size / 2 * (1 - length / (scale * size)) + half - 0.5,
    }
    if mode not in table:
        raise UnsupportedOperator(f"Resize with coordinate_transformation_mode '{mode}' has no Keras form")
    return table[mode]()


NEAREST: dict[str, Any] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def kernel(distance: Any, mode: str, a: float) -> Any:
    """The weight of an element at `distance`: a triangle, or Keys' cubic with coefficient `a`."""
    d = np.abs(distance)
    if mode == "linear":
        return np.clip(1 - d, 0, None)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def matrix(x: Any, size: int, scale: float, mode: str, a: float, exclude_outside: int, antialias: int) -> Any:
    """Weights (length, size); what falls outside goes to the edges, or is left out and the rest scaled up."""
    squeeze = min(scale, 1.0) if antialias else 1.0
    beyond = math.ceil(2 / squeeze) + 1
    places = np.arange(-beyond, size + beyond)
    x = x if antialias else np.clip(x, -(beyond - 1), size + beyond - 2)
    weights = kernel((places[None] - x[:, None]) * squeeze, mode, a)
    inside = weights[:, beyond : beyond + size].copy()
    if not exclude_outside:
        inside[:, 0] += weights[:, :beyond].sum(1)
        inside[:, -1] += weights[:, beyond + size :].sum(1)
    return inside / inside.sum(1, keepdims=True)


@KERAS.op("Resize", since=11, layout="channels")
def resize(
    X: KerasTensor,
    roi: list[float] | None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> KerasTensor:
    """ONNX Resize of axes whose sizes are known, by `scales` or by `sizes`."""
    rank = len(X.shape)
    places = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    held = {axis: (0 if axis == 0 else rank - 1 if axis == 1 else axis - 1) if rank > 2 else axis for axis in places}
    shape = [X.shape[held[axis]] for axis in places]
    factors = list(scales) if scales else [1.0] * len(places)
    lengths = [None if size is None else math.floor(size * factor) for size, factor in zip(shape, factors, strict=True)]
    if sizes:
        factors = [1.0 if size is None else wanted / size for wanted, size in zip(sizes, shape, strict=True)]
        lengths = list(sizes)
        if keep_aspect_ratio_policy != "stretch":
            common = min(factors) if keep_aspect_ratio_policy == "not_larger" else max(factors)
            factors = [common] * len(factors)
            lengths = [math.floor(common * size + 0.5) for size in shape]
    x = X if mode == "nearest" or "float" in X.dtype else ops.cast(X, "float32")
    for axis, size, length, factor in zip(places, shape, lengths, factors, strict=True):
        if factor == 1.0:
            continue
        if size is None or length is None:
            raise UnsupportedOperator("Resize of an axis of unknown size has no Keras form")
        at = coordinates(size, length, factor, coordinate_transformation_mode)
        if mode == "nearest":
            index = np.clip(NEAREST[nearest_mode](at), 0, size - 1).astype(int).tolist()
            x = _selected(x, index, held[axis], size)
        else:
            weights = matrix(at, size, factor, mode, cubic_coeff_a, exclude_outside, antialias and factor < 1)
            x = _weighted(x, weights, held[axis])
    return ops.cast(x, X.dtype)


def _selected(x: KerasTensor, index: list[int], axis: int, size: int) -> KerasTensor:
    """Elements by index: a repetition where every element comes equally often, as in most upsampling."""
    times, rest = divmod(len(index), size)
    if rest == 0 and index == [i for i in range(size) for _ in range(times)]:
        return ops.repeat(x, times, axis)
    return ops.take(x, index, axis)


def _weighted(x: KerasTensor, weights: Any, axis: int) -> KerasTensor:
    """Every result along `axis` a weighted sum: a product with a matrix that a layer holds."""
    scope = Scope(x, None)
    held = Constant(weights.T.astype(x.dtype), f"resize_{x.name}_{axis}", scope)
    return ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, -1), held.tensor), -1, axis)


@KERAS.op("Resize", since=10, layout="channels")
def resize_10(X: KerasTensor, scales: list[float], mode: str = "nearest") -> KerasTensor:
    """ONNX Resize of opset 10: asymmetric coordinates, the nearest element below."""
    return resize(
        X, None, scales, coordinate_transformation_mode="asymmetric", mode=mode.replace("bi", ""), nearest_mode="floor"
    )


@KERAS.op("Upsample", since=7, layout="channels")
def upsample(X: KerasTensor, scales: list[float], mode: str = "nearest") -> KerasTensor:
    """ONNX Upsample, the old Resize; `scales` is an attribute up to opset 8."""
    return resize_10(X, scales, mode)
