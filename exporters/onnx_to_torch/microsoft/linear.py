"""Products of matrices and convolutions that ONNX Runtime has fused with their neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.convolution import conv, conv_transpose, matmul_integer
from exporters.onnx_to_torch.linear import gemm
from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.microsoft.activation import activated
from exporters.onnx_to_torch.quantization import dynamic_quantize_linear
from exporters.onnx_to_torch.table import TORCH


def _turned(x: Tensor, swap: int, swap_batch: int) -> Tensor:
    """`x` with its first axis moved behind the batch, and its last two axes swapped, where asked."""
    if swap_batch == 1:
        x = x.movedim(0, -2)
    return x.transpose(-1, -2) if swap == 1 and x.dim() > 1 else x


@TORCH.op("FusedMatMul", since=1, domain=DOMAIN)
def fused_matmul(
    A: Tensor,
    B: Tensor,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Tensor:
    product = torch.matmul(_turned(A, transA, transBatchA), _turned(B, transB, transBatchB))
    return product if alpha == 1.0 else product * alpha


@TORCH.op("TransposeMatMul", since=1, domain=DOMAIN)
def transpose_matmul(A: Tensor, B: Tensor, alpha: float = 1.0, transA: int = 0, transB: int = 0) -> Tensor:
    return fused_matmul(A, B, alpha, transA, transB, 0, 0)


@TORCH.op("FusedGemm", since=1, domain=DOMAIN)
def fused_gemm(
    A: Tensor,
    B: Tensor,
    C: Tensor | None = None,
    activation: str | None = None,
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    result = gemm(A, B, C, alpha, beta, transA, transB)
    return activated(result, activation, activation_alpha, activation_beta)


@TORCH.op("FusedConv", since=1, domain=DOMAIN)
def fused_conv(
    X: Tensor,
    W: Tensor,
    B: Tensor | None = None,
    Z: Tensor | None = None,
    activation: str | None = None,
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """A convolution, plus `Z`, through an activation."""
    result = conv(X, W, B, auto_pad, dilations, group, kernel_shape, pads, strides)
    if Z is not None:
        result = result + Z
    first: float | None = None
    second: float | None = None
    if activation_params is not None:
        first = activation_params[0] if len(activation_params) > 0 else None
        second = activation_params[1] if len(activation_params) > 1 else None
    return activated(result, activation, first, second)


@TORCH.op("NhwcFusedConv", since=1, domain=DOMAIN)
def nhwc_fused_conv(
    X: Tensor,
    W: Tensor,
    B: Tensor | None = None,
    Z: Tensor | None = None,
    activation: str | None = None,
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """FusedConv whose images, and kernels, have their channels last."""
    more = None if Z is None else Z.movedim(-1, 1)
    images, kernels = X.movedim(-1, 1), W.movedim(-1, 1)
    result = fused_conv(
        images,
        kernels,
        B,
        more,
        activation,
        activation_params,
        auto_pad,
        dilations,
        group,
        kernel_shape,
        pads,
        strides,
    )
    return result.movedim(1, -1)


@TORCH.op("ConvTransposeWithDynamicPads", since=1, domain=DOMAIN)
def conv_transpose_with_dynamic_pads(
    X: Tensor,
    W: Tensor,
    Pads: list[int] | None = None,
    B: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    return conv_transpose(X, W, B, auto_pad, dilations, group, kernel_shape, output_padding, None, Pads, strides)


@TORCH.op("Inverse", since=1, domain=DOMAIN)
def inverse(X: Tensor) -> Tensor:
    return torch.inverse(X)


@TORCH.op("MatMulIntegerToFloat", since=1, domain=DOMAIN)
def matmul_integer_to_float(
    A: Tensor,
    B: Tensor,
    a_scale: Tensor,
    b_scale: Tensor,
    a_zero_point: Tensor | None = None,
    b_zero_point: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """A product of integers as floats; scales and zero points of `B` may be one per column."""
    product = matmul_integer(A, B, a_zero_point, b_zero_point).to(a_scale.dtype)
    columns = b_scale if b_scale.dim() < 2 else b_scale.unsqueeze(-2)
    result = product * (a_scale * columns)
    return result if bias is None else result + bias


@TORCH.op("DynamicQuantizeMatMul", since=1, domain=DOMAIN)
def dynamic_quantize_matmul(
    A: Tensor, B: Tensor, b_scale: Tensor, b_zero_point: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    integers, scale, point = dynamic_quantize_linear(A)
    return matmul_integer_to_float(integers, B, scale, b_scale, point, b_zero_point, bias)


def _unpacked(x: Tensor, bits: int) -> Tensor:
    """The integers of `bits` bits in the bytes of the last axis, the lowest bits first."""
    parts = [(x.to(torch.int32) >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return torch.stack(parts, -1).flatten(-2)


@TORCH.op("MatMulNBits", since=1, domain=DOMAIN)
def matmul_n_bits(
    A: Tensor,
    B: Tensor,
    scales: Tensor,
    zero_points: Tensor | None = None,
    g_idx: Tensor | None = None,
    bias: Tensor | None = None,
    K: int = 0,
    N: int = 0,
    accuracy_level: int = 0,
    bits: int = 4,
    block_size: int = 32,
    weight_prepacked: int = 0,
) -> Tensor:
    """A product with weights of two, four or eight bits, quantised in blocks along each of their N columns."""
    blocks = (K + block_size - 1) // block_size
    integers = _unpacked(B.reshape([N, blocks, -1]), bits).to(A.dtype)
    if zero_points is None:
        centered = integers - float(1 << (bits - 1))
    elif zero_points.is_floating_point():
        centered = integers - zero_points.reshape([N, blocks, 1]).to(A.dtype)
    else:
        points = _unpacked(zero_points.reshape([N, -1]), bits)[:, :blocks]
        centered = integers - points.unsqueeze(-1).to(A.dtype)
    weights = (centered * scales.reshape([N, blocks, 1]).to(A.dtype)).reshape([N, blocks * block_size])[:, :K]
    return torch.nn.functional.linear(A, weights, bias)
