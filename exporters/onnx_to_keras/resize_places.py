"""Where the results of a Resize lie in what is resized: ONNX's transformation modes, one axis at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Length, Scope, length, places
from toolkit.errors import UnsupportedOperator


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: `place` is where it is held, `scale` may be a tensor, as the sizes may.

    `wanted` is the length before it is rounded down: what ONNX calls the resized length, in formulas and in cases.
    """

    place: int
    size: Length
    length: Length
    wanted: Any
    scale: Any
    start: float = 0.0  # the region of interest, for tf_crop_and_resize
    end: float = 1.0
    ratio: tuple[Length, Length] | None = None  # the scale as a fraction of integers, where it is one

    @property
    def is_known(self) -> bool:
        return isinstance(self.size, int) and isinstance(self.length, int)


@dataclass(frozen=True)
class Method:
    mode: str
    coordinates: str
    nearest: str
    cubic_coeff_a: float
    exclude_outside: int
    antialias: int


def coordinates(x: Any, size: Any, length: Any, axis: Axis, mode: str) -> Any:
    """Where results `x` = 0, 1, 2 ... lie in the axis, by ONNX's transformation mode; numbers or tensors alike."""
    scale, wanted = axis.scale, axis.wanted
    known = isinstance(wanted, float)
    alone = known and wanted == 1.0
    half = (x + 0.5) / scale
    steps = wanted - 1.0 if known else ops.where(ops.equal(wanted, 1.0), ops.ones_like(wanted), wanted - 1.0)
    table = {
        "half_pixel": lambda: half - 0.5,
        "pytorch_half_pixel": lambda: x * 0 if known and wanted <= 1.0 else _unless_alone(half - 0.5, x * 0, wanted),
        "asymmetric": lambda: x / scale,
        "align_corners": lambda: x * 0 if alone else x * ((size - 1) / steps),
        "tf_half_pixel_for_nn": lambda: half,
        "half_pixel_symmetric": lambda: half - 0.5 + size / 2 * (1 - length / (scale * size)),
        "tf_crop_and_resize": lambda: _cropped(x, size, steps, axis, alone),
    }
    if mode not in table:
        raise UnsupportedOperator(f"Resize with coordinate_transformation_mode '{mode}' has no Keras form")
    return table[mode]()


def _unless_alone(several: Any, alone: Any, wanted: Any) -> Any:
    """The first, but the second where the length, known only when the model runs, is 1."""
    return several if isinstance(wanted, float) else ops.where(wanted > 1.0, several, alone)


def _cropped(x: Any, size: Any, steps: Any, axis: Axis, alone: bool) -> Any:
    middle = x * 0 + 0.5 * (axis.start + axis.end) * (size - 1)
    if alone:
        return middle
    return _unless_alone(
        x * ((axis.end - axis.start) * (size - 1) / steps) + axis.start * (size - 1), middle, axis.wanted
    )


# Both NumPy and keras.ops have these functions.
NEAREST: dict[str, Any] = {
    "round_prefer_floor": lambda x, xp: xp.ceil(x - 0.5),
    "round_prefer_ceil": lambda x, xp: xp.floor(x + 0.5),
    "floor": lambda x, xp: xp.floor(x),
    "ceil": lambda x, xp: xp.ceil(x),
}


def in_axis(axis: Axis, method: Method, scope: Scope) -> Any:
    """Numbers where the sizes are known, else a tensor."""
    if isinstance(axis.length, int) and isinstance(axis.size, int):
        return coordinates(np.arange(axis.length, dtype=np.float64), axis.size, axis.length, axis, method.coordinates)
    size = axis.size if isinstance(axis.size, int) else ops.cast(axis.size.as_tensor(), "float64")
    count = axis.length if isinstance(axis.length, int) else ops.cast(axis.length.as_tensor(), "float64")
    return coordinates(ops.cast(places(axis.length, scope), "float64"), size, count, axis, method.coordinates)


def exactly(axis: Axis, method: Method, scope: Scope) -> tuple[KerasTensor, KerasTensor] | None:
    """Where results lie in the axis, as integers over an integer; None where the scale is no fraction.

    Up to one division nothing is rounded, and no float64 is needed, which LiteRT has not.
    """
    if method.antialias or axis.ratio is None or method.coordinates not in FRACTIONS:
        return None
    size, count = length(axis.size, scope), length(axis.length, scope)
    top, bottom = (length(each, scope) for each in axis.ratio)
    over, under = FRACTIONS[method.coordinates](places(axis.length, scope), size, count, top, bottom)
    return over, under


def between(over: KerasTensor, under: KerasTensor, dtype: str) -> tuple[KerasTensor, KerasTensor]:
    """The whole part of a fraction, and the rest of it as a float."""
    below = ops.floor_divide(over, under)
    rest = ops.subtract(over, ops.multiply(below, under))
    kind = "float64" if dtype == "float64" else "float32"
    return below, ops.divide(ops.cast(rest, kind), ops.cast(under, kind))


def nearest(over: KerasTensor, under: KerasTensor, mode: str) -> KerasTensor:
    """A fraction as an integer, rounded as ONNX's `nearest_mode` says."""
    twice = ops.multiply(over, 2)
    table = {
        "round_prefer_floor": lambda: _up(ops.subtract(twice, under), ops.multiply(under, 2)),
        "round_prefer_ceil": lambda: ops.floor_divide(ops.add(twice, under), ops.multiply(under, 2)),
        "floor": lambda: ops.floor_divide(over, under),
        "ceil": lambda: _up(over, under),
    }
    return table[mode]()


def _up(over: KerasTensor, under: KerasTensor) -> KerasTensor:
    return ops.negative(ops.floor_divide(ops.negative(over), under))


def _half_pixel(x: Any, size: Any, count: Any, top: Any, bottom: Any) -> tuple[Any, Any]:
    return ops.subtract(ops.multiply(ops.add(ops.multiply(x, 2), 1), bottom), top), ops.multiply(top, 2)


def _pytorch_half_pixel(x: Any, size: Any, count: Any, top: Any, bottom: Any) -> tuple[Any, Any]:
    over, under = _half_pixel(x, size, count, top, bottom)
    return ops.multiply(over, ops.cast(ops.greater(count, 1), "int64")), under


def _align_corners(x: Any, size: Any, count: Any, top: Any, bottom: Any) -> tuple[Any, Any]:
    steps = ops.maximum(ops.subtract(ops.multiply(size, top), bottom), 1)
    return ops.multiply(x, ops.multiply(ops.subtract(size, 1), bottom)), steps


# Coordinate modes as fractions of integers; the scale is `top` over `bottom`.
FRACTIONS: dict[str, Any] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": lambda x, _size, _count, top, bottom: (ops.multiply(x, bottom), top),
    "tf_half_pixel_for_nn": lambda x, _size, _count, top, bottom: (
        ops.multiply(ops.add(ops.multiply(x, 2), 1), bottom),
        ops.multiply(top, 2),
    ),
}
