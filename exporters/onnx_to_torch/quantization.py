"""Quantised tensors: to integers and back, and the products that ONNX defines on them."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.convolution import conv_integer, matmul_integer
from exporters.onnx_to_torch.elementwise import converted
from exporters.onnx_to_torch.table import TORCH


def _along(values: Tensor, like: Tensor, axis: int, block_size: int) -> Tensor:
    """Scales or zero points shaped to broadcast: one for all, one per place on `axis`, or one per block."""
    if block_size > 0:
        return values.repeat_interleave(block_size, axis).narrow(axis, 0, like.shape[axis])
    if values.numel() == 1 and values.dim() <= 1:
        return values.reshape([])
    shape = [1] * like.dim()
    shape[axis] = values.shape[0]
    return values.reshape(shape)


def _lowest(dtype: torch.dtype) -> int:
    if dtype == torch.int8:
        return -128
    return -32768 if dtype == torch.int16 else 0


def _highest(dtype: torch.dtype) -> int:
    if dtype == torch.int8:
        return 127
    if dtype == torch.int16:
        return 32767
    return 255 if dtype == torch.uint8 else 65535


def _to_integers(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounded (halves to even) and clamped into the dtype's range."""
    return torch.clamp(torch.round(x), _lowest(dtype), _highest(dtype)).to(torch.int32).to(dtype)


@TORCH.op("QuantizeLinear", since=10)
def quantize_linear(
    x: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: torch.dtype | None = None,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    dtype = torch.uint8
    if output_dtype is not None:
        dtype = output_dtype
    if y_zero_point is not None:
        dtype = y_zero_point.dtype
    scaled = x.to(y_scale.dtype) / _along(y_scale, x, axis, block_size)
    if torch.empty([0], dtype=dtype).is_floating_point():  # TorchScript: a dtype is a number
        return converted(scaled, dtype, saturate)
    if y_zero_point is not None:
        point = _along(y_zero_point, x, axis, block_size).to(torch.int32)
        return _to_integers(torch.round(scaled.to(torch.float64)) + point, dtype)
    return _to_integers(scaled, dtype)


@TORCH.op("DequantizeLinear", since=10)
def dequantize_linear(
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: torch.dtype | None = None,
) -> Tensor:
    wide = x.to(torch.float32) if x.is_floating_point() else x.to(torch.int32)
    if x_zero_point is not None and not x.is_floating_point():
        wide = wide - _along(x_zero_point, x, axis, block_size).to(torch.int32)
    result = wide.to(x_scale.dtype) * _along(x_scale, x, axis, block_size)
    return result if output_dtype is None else result.to(output_dtype)


@TORCH.op("DynamicQuantizeLinear", since=11, outputs=3)
def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX DynamicQuantizeLinear: uint8 over a range that always holds 0."""
    low, high = torch.clamp(x.min(), max=0.0), torch.clamp(x.max(), min=0.0)
    scale = (high - low) / 255.0
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    point = _to_integers(torch.round(-low / scale), torch.uint8)
    return quantize_linear(x, scale, point), scale, point


def _rescaled(product: Tensor, factor: Tensor, point: Tensor) -> Tensor:
    """Integers times `factor`, in its precision as ONNX Runtime has it: what lies near a half is rounded alike."""
    scaled = torch.round(product.to(factor.dtype) * factor)
    return _to_integers(scaled.to(torch.float64) + point.to(torch.float64), point.dtype)


@TORCH.op("QLinearMatMul", since=10)
def qlinear_matmul(
    a: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
) -> Tensor:
    product = matmul_integer(a, b, a_zero_point, b_zero_point)
    return _rescaled(product, a_scale * b_scale / y_scale, y_zero_point)


@TORCH.op("QLinearConv", since=10)
def qlinear_conv(
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero_point: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    B: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX QLinearConv: scales and zero points of `w` may be one per output channel."""
    product = conv_integer(x, w, x_zero_point, w_zero_point, auto_pad, dilations, group, kernel_shape, pads, strides)
    channels = [1, -1] + [1] * (x.dim() - 2)
    if B is not None:
        product = product + B.reshape(channels)
    factor = x_scale * w_scale / y_scale
    return _rescaled(product, factor.reshape(channels) if factor.numel() > 1 else factor, y_zero_point)
