"""Convolutions over one, two or three spatial axes."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.geometry import is_symmetric, or_ones, or_zeros, pad_spatial, padding
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Conv", since=1)
def conv(
    X: Tensor,
    W: Tensor,
    B: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    rank = X.dim() - 2
    steps = or_ones(strides, rank)
    spread = or_ones(dilations, rank)
    amounts = padding(auto_pad, pads, list(X.shape[2:]), list(W.shape[2:]), steps, spread)
    if not is_symmetric(amounts):
        X = pad_spatial(X, amounts, 0.0)
        amounts = [0] * (2 * rank)
    return torch.convolution(X, W, B, steps, amounts[:rank], spread, False, [0] * rank, group)


@TORCH.op("ConvTranspose", since=1)
def conv_transpose(
    X: Tensor,
    W: Tensor,
    B: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX ConvTranspose: `output_shape` or SAME padding decide how much of the full result is cut off."""
    rank = X.dim() - 2
    steps = or_ones(strides, rank)
    spread = or_ones(dilations, rank)
    more = or_zeros(output_padding, rank)
    full = [steps[i] * (X.shape[i + 2] - 1) + (W.shape[i + 2] - 1) * spread[i] + 1 + more[i] for i in range(rank)]
    amounts = or_zeros(pads, 2 * rank)
    if output_shape is not None or (auto_pad != "NOTSET" and auto_pad != "VALID"):  # noqa: PLR1714 - TorchScript
        for i in range(rank):
            wanted = X.shape[i + 2] * steps[i] if output_shape is None else output_shape[i - rank]
            total = full[i] - wanted if output_shape is not None else max(full[i] - wanted, 0)
            amounts[i] = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            amounts[i + rank] = total - amounts[i]
    if is_symmetric(amounts) and max(more) < max(steps + spread):
        return torch.convolution(X, W, B, steps, amounts[:rank], spread, True, more, group)
    whole = torch.convolution(X, W, None, steps, [0] * rank, spread, True, [0] * rank, group)
    cut = [-amounts[i] if i < rank else more[i - rank] - amounts[i] for i in range(2 * rank)]
    whole = pad_spatial(whole, cut, 0.0)
    return whole if B is None else whole + B.reshape([-1] + [1] * rank)


@TORCH.op("CausalConvWithState", since=27, outputs=2)
def causal_conv_with_state(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    past_state: Tensor | None = None,
    activation: str = "none",
) -> tuple[Tensor, Tensor]:
    """ONNX CausalConvWithState: each channel with its own kernel over what came before; and what comes before next."""
    reach = weight.shape[2] - 1
    padded = torch.constant_pad_nd(input, [reach, 0], 0.0) if past_state is None else torch.cat([past_state, input], 2)
    y = torch.conv1d(padded, weight, bias, groups=input.shape[1])
    if activation != "none":
        wide = y if y.dtype == torch.float64 else y.to(torch.float32)
        y = torch.nn.functional.silu(wide).to(y.dtype)
    return y, padded[:, :, padded.shape[2] - reach :]


def _centered(x: Tensor, zero_point: Tensor | None, axis: int) -> Tensor:
    """Integers less their zero point, in float64, which holds every sum of their products exactly."""
    wide = x.to(torch.float64)
    if zero_point is None:
        return wide
    if zero_point.dim() == 1 and zero_point.numel() > 1:
        shape = [1] * x.dim()
        shape[axis] = -1
        return wide - zero_point.to(torch.float64).reshape(shape)
    return wide - zero_point.to(torch.float64).reshape([])


@TORCH.op("ConvInteger", since=10)
def conv_integer(
    x: Tensor,
    w: Tensor,
    x_zero_point: Tensor | None = None,
    w_zero_point: Tensor | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    left, right = _centered(x, x_zero_point, 1), _centered(w, w_zero_point, 0)
    return conv(left, right, None, auto_pad, dilations, group, kernel_shape, pads, strides).to(torch.int32)


@TORCH.op("MatMulInteger", since=10)
def matmul_integer(
    A: Tensor, B: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None
) -> Tensor:
    """ONNX MatMulInteger: zero points are scalars, one per row of `A`, or one per column of `B`."""
    left, right = _centered(A, a_zero_point, -2), _centered(B, b_zero_point, -1)
    return torch.matmul(left, right).to(torch.int32)
