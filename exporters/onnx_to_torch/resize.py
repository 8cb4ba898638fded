"""Resize and its forerunner Upsample: each axis is one small matrix, or a selection where the mode is nearest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


def _coordinates(
    size: int, length: int, wanted: float, scale: float, mode: str, start: float, end: float, device: torch.device
) -> Tensor:
    """Where each of `length` results lies in an axis of `size` elements, by ONNX's transformation mode.

    `wanted` is the length before it was rounded down: what ONNX calls the resized length, in formulas and in cases.
    """
    x = torch.arange(length, dtype=torch.float64, device=device)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return x * (float(size - 1) / (wanted - 1.0)) if wanted != 1.0 else x * 0.0
    if mode == "pytorch_half_pixel" and wanted <= 1.0:
        return x * 0.0
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if mode == "tf_crop_and_resize":
        if wanted != 1.0:
            return start * float(size - 1) + x * ((end - start) * float(size - 1) / (wanted - 1.0))
        return x * 0.0 + 0.5 * (start + end) * float(size - 1)
    if mode == "half_pixel_symmetric":
        center = size / 2.0
        return center * (1.0 - length / (scale * size)) + (x + 0.5) / scale - 0.5
    return (x + 0.5) / scale - 0.5


def _nearest(x: Tensor, mode: str) -> Tensor:
    if mode == "round_prefer_floor":
        return torch.ceil(x - 0.5)
    if mode == "round_prefer_ceil":
        return torch.floor(x + 0.5)
    return torch.floor(x) if mode == "floor" else torch.ceil(x)


def _kernel(distance: Tensor, mode: str, a: float) -> Tensor:
    """The weight of an element at `distance`: a triangle, or Keys' cubic with coefficient `a`."""
    d = torch.abs(distance)
    if mode == "linear":
        return torch.clamp(1.0 - d, min=0.0)
    near = ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    far = ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a
    return torch.where(d <= 1.0, near, torch.where(d < 2.0, far, torch.zeros_like(d)))


def _matrix(x: Tensor, size: int, scale: float, mode: str, a: float, exclude_outside: int, antialias: int) -> Tensor:
    """Weights (length, size); what falls outside goes to the edges, or is left out and the rest scaled up."""
    squeeze = min(scale, 1.0) if antialias == 1 else 1.0
    beyond = math.ceil(2.0 / squeeze) + 1
    places = torch.arange(-beyond, size + beyond, dtype=torch.float64, device=x.device)
    # positions outside count as many times as they lie within the kernel's reach of a result
    clamped = torch.clamp(x, -float(beyond - 1), float(size + beyond - 2)) if antialias == 0 else x
    weights = _kernel((places.unsqueeze(0) - clamped.unsqueeze(1)) * squeeze, mode, a)
    inside = weights[:, beyond : beyond + size]
    if exclude_outside == 0:
        before = weights[:, :beyond].sum(1, keepdim=True)
        after = weights[:, beyond + size :].sum(1, keepdim=True)
        inside = torch.cat([inside[:, :1] + before, inside[:, 1:]], 1)
        inside = torch.cat([inside[:, :-1], inside[:, -1:] + after], 1)
    return inside / inside.sum(1, keepdim=True)


def _along(
    data: Tensor,
    axis: int,
    length: int,
    wanted: float,
    scale: float,
    start: float,
    end: float,
    mode: str,
    transformation: str,
    nearest_mode: str,
    a: float,
    exclude_outside: int,
    extrapolation_value: float,
    antialias: int,
) -> Tensor:
    """`data` resized along one axis."""
    size = data.shape[axis]
    x = _coordinates(size, length, wanted, scale, transformation, start, end, data.device)
    if mode == "nearest":
        result = data.index_select(axis, torch.clamp(_nearest(x, nearest_mode), 0, size - 1).to(torch.int64))
    else:
        matrix = _matrix(x, size, scale, mode, a, exclude_outside, antialias).to(data.dtype)
        last = data.dim() - 1  # the older ONNX exporter takes no -1 here
        result = torch.matmul(data.movedim(axis, last), matrix.t()).movedim(last, axis)
    if transformation == "tf_crop_and_resize":
        outside = (x < 0) | (x > size - 1)
        shape = [1] * data.dim()
        shape[axis] = length
        value = torch.full([], extrapolation_value, dtype=data.dtype, device=data.device)
        result = torch.where(outside.reshape(shape), value, result)
    return result


def nearest_along(
    x: Tensor, axis: int, length: int | None, scale: float | None, transformation: str, nearest_mode: str
) -> Tensor:
    """`x` with the nearest elements along one axis, to a length or by a scale."""
    size = x.shape[axis]
    if length is not None and (transformation == "half_pixel" or transformation == "asymmetric"):  # noqa: PLR1714 - TorchScript
        # multiplied before it is divided, so that what lies on the border of two elements does so here
        middle = 0.5 if transformation == "half_pixel" else 0.0
        places = (torch.arange(length, dtype=torch.float64, device=x.device) + middle) * size / length - middle
    elif length is not None:
        wanted, factor = 1.0 * length, 1.0 * length / size
        places = _coordinates(size, length, wanted, factor, transformation, 0.0, 1.0, x.device)
    else:
        assert scale is not None
        # In whole numbers where that does: PyTorch's exporter then sees how the new size depends on the old one.
        count = size * int(scale) if float(int(scale)) == scale else math.floor(size * scale)
        wanted = size * scale
        places = _coordinates(size, count, wanted, scale, transformation, 0.0, 1.0, x.device)
    return x.index_select(axis, torch.clamp(_nearest(places, nearest_mode), 0, size - 1).to(torch.int64))


@TORCH.op("Resize", since=11)
def resize(
    X: Tensor,
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
) -> Tensor:
    """ONNX Resize, by `scales` or by `sizes`, along `axes` or all of them."""
    places = [axis for axis in range(X.dim())]  # noqa: C416 - TorchScript needs a list
    if axes is not None:
        places = [axis + X.dim() if axis < 0 else axis for axis in axes]
    factors = [1.0] * len(places)
    lengths = [X.shape[axis] for axis in places]
    wanted = [1.0 * length for length in lengths]  # a product, unlike float(), keeps a size symbolic
    if sizes is not None and len(sizes) > 0:
        factors = [1.0 * sizes[i] / X.shape[axis] for i, axis in enumerate(places)]
        lengths = sizes
        wanted = [1.0 * length for length in sizes]
        if keep_aspect_ratio_policy != "stretch":
            common = min(factors) if keep_aspect_ratio_policy == "not_larger" else max(factors)
            factors = [common for _ in factors]
            wanted = [common * float(X.shape[axis]) for axis in places]
            lengths = [math.floor(length + 0.5) for length in wanted]
    elif scales is not None:
        factors = scales
        wanted = [X.shape[axis] * scales[i] for i, axis in enumerate(places)]
        lengths = [
            X.shape[axis] if scales[i] == 1.0 else math.floor(X.shape[axis] * scales[i])
            for i, axis in enumerate(places)
        ]
    result = X if X.is_floating_point() or mode == "nearest" else X.to(torch.float32)
    crops = coordinate_transformation_mode == "tf_crop_and_resize" and roi is not None and len(roi) > 0
    for i, axis in enumerate(places):
        if factors[i] != 1.0 or crops:
            start, end = 0.0, 1.0
            if crops and roi is not None:
                start, end = roi[i], roi[i + len(places)]
            result = _along(
                result,
                axis,
                lengths[i],
                wanted[i],
                factors[i],
                start,
                end,
                mode,
                coordinate_transformation_mode,
                nearest_mode,
                cubic_coeff_a,
                exclude_outside,
                extrapolation_value,
                antialias if factors[i] < 1.0 else 0,
            )
    return result.to(X.dtype)


@TORCH.op("Resize", since=10)
def resize_10(X: Tensor, scales: list[float], mode: str = "nearest") -> Tensor:
    """ONNX Resize of opset 10: asymmetric coordinates, the nearest element below."""
    return resize(
        X, None, scales, coordinate_transformation_mode="asymmetric", mode=mode.replace("bi", ""), nearest_mode="floor"
    )


@TORCH.op("Upsample", since=7)
def upsample(X: Tensor, scales: list[float], mode: str = "nearest") -> Tensor:
    """ONNX Upsample, the old Resize; `scales` is an attribute up to opset 8."""
    return resize_10(X, scales, mode)
