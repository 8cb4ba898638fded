"""Products of matrices and convolutions that ONNX Runtime has fused with their neighbours."""

from __future__ import annotations

import numpy as np

from exporters.graph.contributed.activation import activated
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, Known, NotKnown, Value, Writer


def _turned(write: Writer, x: Value, swap: int, swap_batch: int) -> Value:
    """`x` with its first axis moved behind the batch, and its last two axes swapped, where asked."""
    if not swap and not swap_batch:
        return x
    places = list(range(write.rank(x)))
    if swap_batch:
        places = [*places[1:-1], 0, places[-1]]
    if swap and len(places) > 1:
        places[-2:] = places[:-3:-1]
    return write.Transpose(x, perm=places)


@REWRITTEN.op("FusedMatMul", since=1, domain=DOMAIN)
def fused_matmul(
    write: Writer,
    A: Value,
    B: Value,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Value:
    """The product alpha * A' B', each turned as its attributes say."""
    product = write.MatMul(_turned(write, A, transA, transBatchA), _turned(write, B, transB, transBatchB))
    return product if alpha == 1.0 else write.Mul(product, write.like(A, alpha))


@REWRITTEN.op("TransposeMatMul", since=1, domain=DOMAIN)
def transpose_matmul(write: Writer, A: Value, B: Value, alpha: float = 1.0, transA: int = 0, transB: int = 0) -> Value:
    return fused_matmul(write, A, B, alpha, transA, transB)


@REWRITTEN.op("FusedGemm", since=1, domain=DOMAIN)
def fused_gemm(
    write: Writer,
    A: Value,
    B: Value,
    C: Value | None = None,
    activation: str | None = None,
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Value:
    """ONNX's Gemm through an activation."""
    result = write.Gemm(A, B, C, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return activated(write, result, activation, activation_alpha, activation_beta)


@REWRITTEN.op("FusedConv", since=1, domain=DOMAIN)
def fused_conv(
    write: Writer,
    X: Value,
    W: Value,
    B: Value | None = None,
    Z: Value | None = None,
    activation: str | None = None,
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    """A convolution, plus Z, through an activation."""
    result = write.Conv(
        X, W, B, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
        strides=strides,
    )  # fmt: skip
    result = result if Z is None else write.Add(result, Z)
    result.type = X.type
    return activated(write, result, activation, *(activation_params or [])[:2])


@REWRITTEN.op("NhwcFusedConv", since=1, domain=DOMAIN)
def nhwc_fused_conv(
    write: Writer,
    X: Value,
    W: Value,
    B: Value | None = None,
    Z: Value | None = None,
    activation: str | None = None,
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    """FusedConv whose images, and kernels, have their channels last."""
    images, kernels = write.channels_first(X), write.channels_first(W)
    images.type = X.type
    more = None if Z is None else write.channels_first(Z)
    result = fused_conv(
        write, images, kernels, B, more, activation, activation_params, auto_pad, dilations, group, kernel_shape, pads,
        strides,
    )  # fmt: skip
    return write.channels_last(result, write.rank(X))


@REWRITTEN.op("ConvTransposeWithDynamicPads", since=1, domain=DOMAIN)
def conv_transpose_with_dynamic_pads(
    write: Writer,
    X: Value,
    W: Value,
    Pads: Known | None = None,
    B: Value | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    """ONNX's ConvTranspose, its padding a constant input."""
    return write.ConvTranspose(
        X, W, B, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape,
        output_padding=output_padding, pads=None if Pads is None else [int(pad) for pad in Pads], strides=strides,
    )  # fmt: skip


@REWRITTEN.op("MatMulIntegerToFloat", since=1, domain=DOMAIN)
def matmul_integer_to_float(
    write: Writer,
    A: Value,
    B: Value,
    a_scale: Value,
    b_scale: Value,
    a_zero_point: Value | None = None,
    b_zero_point: Value | None = None,
    bias: Value | None = None,
) -> Value:
    """(A - zero point) (B - zero point) * a_scale * b_scale + bias; those of B may be one per column."""
    product = write.MatMulInteger(A, B, a_zero_point, b_zero_point)
    columns = write.Unsqueeze(b_scale, axes=[-2]) if write.rank(b_scale) > 1 else b_scale
    if a_scale.dtype is None and b_scale.dtype is None:
        raise NotKnown(f"the type of '{a_scale.name}'")
    result = write.Mul(write.Cast(product, to=_type(a_scale, b_scale)), write.Mul(a_scale, columns))
    return result if bias is None else write.Add(result, bias)


def _type(*values: Value) -> int:
    return next(int(value.dtype) for value in values if value.dtype is not None)


@REWRITTEN.op("DynamicQuantizeMatMul", since=1, domain=DOMAIN)
def dynamic_quantize_matmul(
    write: Writer,
    A: Value,
    B: Value,
    b_scale: Value,
    b_zero_point: Value | None = None,
    bias: Value | None = None,
) -> Value:
    """MatMulIntegerToFloat of what ONNX's DynamicQuantizeLinear makes of A."""
    integers, scale, point = write.several("DynamicQuantizeLinear", 3, A)
    return matmul_integer_to_float(write, integers, B, scale, b_scale, point, b_zero_point, bias)


def _unpacked(packed: Known, bits: int) -> Known:
    """The integers of `bits` bits in the bytes of the last axis, the lowest bits first."""
    parts = [(packed.astype(np.uint8) >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(*packed.shape[:-1], -1)


@REWRITTEN.op("MatMulNBits", since=1, domain=DOMAIN)
def matmul_n_bits(
    write: Writer,
    A: Value,
    B: Known,
    scales: Known,
    zero_points: Known | None = None,
    g_idx: Value | None = None,
    bias: Value | None = None,
    K: int = 0,
    N: int = 0,
    accuracy_level: int = 0,
    bits: int = 4,
    block_size: int = 32,
    weight_prepacked: int = 0,
) -> Value:
    """A (scale * (B - zero point))': weights of two, four or eight bits, in blocks along each of their N columns.

    The weights are unpacked here, into as many bytes as they have elements; their scales stay apart.
    """
    blocks = (K + block_size - 1) // block_size
    integers = _unpacked(B.reshape(N, blocks, -1), bits).astype(np.float32)
    centre = np.full((N, blocks, 1), 1 << (bits - 1), np.float32)
    if zero_points is not None and zero_points.dtype.kind == "f":
        centre = zero_points.reshape(N, blocks, 1).astype(np.float32)
    elif zero_points is not None:
        centre = _unpacked(zero_points.reshape(N, -1), bits)[:, :blocks, None].astype(np.float32)
    weights = ((integers - centre) * scales.reshape(N, blocks, 1).astype(np.float32)).reshape(N, -1)[:, :K]
    kind = scales.dtype if A.dtype is None else A.dtype.numpy()
    product = write.MatMul(A, write.weight(np.ascontiguousarray(weights.T.astype(kind))))
    return product if bias is None else write.Add(product, bias)
