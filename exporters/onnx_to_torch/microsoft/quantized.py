"""Operators on quantised tensors: each is computed on the numbers that the integers stand for, and rounded once."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.arithmetic import where
from exporters.onnx_to_torch.convolution import matmul_integer
from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.pooling import average_pool, max_pool
from exporters.onnx_to_torch.quantization import dequantize_linear, qlinear_conv, quantize_linear
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("QuantizeLinear", since=1, domain=DOMAIN)
def quantize_linear_1(x: Tensor, y_scale: Tensor, y_zero_point: Tensor | None = None, axis: int = 1) -> Tensor:
    return quantize_linear(x, y_scale, y_zero_point, axis)


@TORCH.op("DequantizeLinear", since=1, domain=DOMAIN)
def dequantize_linear_1(x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None = None, axis: int = 1) -> Tensor:
    return dequantize_linear(x, x_scale, x_zero_point, axis)


def _real(x: Tensor, scale: Tensor, point: Tensor | None) -> Tensor:
    """The numbers that the integers of a tensor with one scale stand for."""
    integers = x.to(torch.int32)
    if point is not None:
        integers = integers - point.reshape([]).to(torch.int32)
    return integers.to(scale.dtype) * scale.reshape([])


def _integers(x: Tensor, scale: Tensor, point: Tensor | None, like: Tensor) -> Tensor:
    """Undo `_real`; without a zero point the integers are of the type of `like`."""
    zero = torch.zeros([], dtype=like.dtype, device=like.device) if point is None else point.reshape([])
    return quantize_linear(x, scale.reshape([]), zero)


@TORCH.op("QLinearAdd", since=1, domain=DOMAIN)
def qlinear_add(
    A: Tensor,
    A_scale: Tensor,
    A_zero_point: Tensor | None,
    B: Tensor,
    B_scale: Tensor,
    B_zero_point: Tensor | None,
    C_scale: Tensor,
    C_zero_point: Tensor | None = None,
) -> Tensor:
    return _integers(_real(A, A_scale, A_zero_point) + _real(B, B_scale, B_zero_point), C_scale, C_zero_point, A)


@TORCH.op("QLinearMul", since=1, domain=DOMAIN)
def qlinear_mul(
    A: Tensor,
    A_scale: Tensor,
    A_zero_point: Tensor | None,
    B: Tensor,
    B_scale: Tensor,
    B_zero_point: Tensor | None,
    C_scale: Tensor,
    C_zero_point: Tensor | None = None,
) -> Tensor:
    return _integers(_real(A, A_scale, A_zero_point) * _real(B, B_scale, B_zero_point), C_scale, C_zero_point, A)


@TORCH.op("QLinearSigmoid", since=1, domain=DOMAIN)
def qlinear_sigmoid(
    X: Tensor, X_scale: Tensor, X_zero_point: Tensor | None, Y_scale: Tensor, Y_zero_point: Tensor | None = None
) -> Tensor:
    return _integers(torch.sigmoid(_real(X, X_scale, X_zero_point)), Y_scale, Y_zero_point, X)


@TORCH.op("QLinearLeakyRelu", since=1, domain=DOMAIN)
def qlinear_leaky_relu(
    X: Tensor,
    X_scale: Tensor,
    X_zero_point: Tensor | None,
    Y_scale: Tensor,
    Y_zero_point: Tensor | None = None,
    alpha: float = 0.009999999776482582,
) -> Tensor:
    y = torch.nn.functional.leaky_relu(_real(X, X_scale, X_zero_point), alpha)
    return _integers(y, Y_scale, Y_zero_point, X)


@TORCH.op("QLinearSoftmax", since=1, domain=DOMAIN)
def qlinear_softmax(
    X: Tensor,
    X_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor,
    opset: int,
    axis: int = -1,
) -> Tensor:
    """Softmax along `axis`, or up to opset 12 over all axes from there on."""
    x = _real(X, X_scale, x_zero_point)
    y = torch.softmax(x, axis) if opset >= 13 else torch.softmax(x.flatten(axis), -1).reshape(X.shape)
    return _integers(y, y_scale, y_zero_point, X)


@TORCH.op("QLinearReduceMean", since=1, domain=DOMAIN)
def qlinear_reduce_mean(
    data: Tensor,
    data_scale: Tensor,
    data_zero_point: Tensor | None,
    reduced_scale: Tensor,
    reduced_zero_point: Tensor | None = None,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    axes: list[int] = (),  # type: ignore[assignment]
    keepdims: int = 1,
) -> Tensor:
    mean = _real(data, data_scale, data_zero_point).mean(axes, keepdim=keepdims == 1)
    return _integers(mean, reduced_scale, reduced_zero_point, data)


@TORCH.op("QLinearWhere", since=1, domain=DOMAIN)
def qlinear_where(
    condition: Tensor,
    X: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    Y: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    z_scale: Tensor,
    z_zero_point: Tensor,
) -> Tensor:
    left = _integers(_real(X, x_scale, x_zero_point), z_scale, z_zero_point, X)
    right = _integers(_real(Y, y_scale, y_zero_point), z_scale, z_zero_point, X)
    return where(condition, left, right)


@TORCH.op("QLinearConcat", since=1, domain=DOMAIN)
def qlinear_concat(Y_scale: Tensor, Y_zero_point: Tensor, inputs: list[Tensor], axis: int) -> Tensor:
    """Joined tensors; `inputs` holds a tensor, its scale and its zero point in turn."""
    parts: list[Tensor] = []
    for i in range(len(inputs) // 3):
        numbers = _real(inputs[3 * i], inputs[3 * i + 1], inputs[3 * i + 2])
        parts.append(_integers(numbers, Y_scale, Y_zero_point, inputs[0]))
    return torch.cat(parts, axis)


@TORCH.op("QLinearAveragePool", since=1, domain=DOMAIN)
def qlinear_average_pool(
    X: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor | None,
    y_scale: Tensor,
    y_zero_point: Tensor | None = None,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    kernel_shape: list[int] = (),  # type: ignore[assignment]
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    images = X.movedim(-1, 1) if channels_last == 1 else X
    numbers = _real(images, x_scale, x_zero_point)
    y = average_pool(numbers, kernel_shape, auto_pad, ceil_mode, count_include_pad, None, pads, strides)
    y = _integers(y, y_scale, y_zero_point, X)
    return y.movedim(1, -1) if channels_last == 1 else y


@TORCH.op("QLinearGlobalAveragePool", since=1, domain=DOMAIN)
def qlinear_global_average_pool(
    X: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    y_scale: Tensor,
    y_zero_point: Tensor,
    channels_last: int = 0,
) -> Tensor:
    first = 1 if channels_last == 1 else 2
    axes = [first + i for i in range(X.dim() - 2)]
    return _integers(_real(X, x_scale, x_zero_point).mean(axes, keepdim=True), y_scale, y_zero_point, X)


@TORCH.op("QLinearConv", since=1, domain=DOMAIN)
def qlinear_conv_1(
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
    channels_last: int = 0,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    images = x.movedim(-1, 1) if channels_last == 1 else x
    y = qlinear_conv(
        images,
        x_scale,
        x_zero_point,
        w,
        w_scale,
        w_zero_point,
        y_scale,
        y_zero_point,
        B,
        auto_pad,
        dilations,
        group,
        kernel_shape,
        pads,
        strides,
    )
    return y.movedim(1, -1) if channels_last == 1 else y


@TORCH.op("QGemm", since=1, domain=DOMAIN)
def qgemm(
    A: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor,
    B: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor,
    C: Tensor | None = None,
    y_scale: Tensor | None = None,
    y_zero_point: Tensor | None = None,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """A product of quantised matrices with int32 added; floats where no output scale is given."""
    left = A.t() if transA == 1 else A
    right = B.t() if transB == 1 else B
    product = matmul_integer(left, right, a_zero_point, b_zero_point)
    if C is not None:
        product = product + C
    result = product.to(a_scale.dtype) * (alpha * a_scale * b_scale)
    return result if y_scale is None else _integers(result, y_scale, y_zero_point, A)


@TORCH.op("NhwcMaxPool", since=1, domain=DOMAIN)
def nhwc_max_pool(
    x: Tensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    return max_pool(x.movedim(-1, 1), kernel_shape, auto_pad, ceil_mode, dilations, pads, 0, strides).movedim(1, -1)
