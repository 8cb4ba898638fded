"""Normalisations."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("BatchNormalization", since=1)
def batch_normalization_1(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> Tensor:
    """ONNX BatchNormalization up to opset 6: by the statistics of the batch, unless `is_test`."""
    if is_test == 0:
        axes, kept = [0], [1] + list(X.shape[1:])  # noqa: RUF005 - TorchScript
        if spatial == 1:
            axes, kept = [0] + [axis for axis in range(2, X.dim())], [1, -1] + [1] * (X.dim() - 2)  # noqa: C416 - TorchScript
        center = X - X.mean(axes, keepdim=True)
        normal = center * torch.rsqrt((center * center).mean(axes, keepdim=True) + epsilon)
        return normal * scale.reshape(kept) + B.reshape(kept)
    return batch_normalization_7(X, scale, B, mean, var, epsilon, momentum, spatial)


@TORCH.op("BatchNormalization", since=7)
def batch_normalization_7(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training: bool = False,
) -> Tensor:
    """ONNX BatchNormalization up to opset 8: `spatial=0` has one mean and variance per element."""
    if spatial == 0:
        return (X - mean) * torch.rsqrt(var + epsilon) * scale + B
    return nnf.batch_norm(X, mean, var, scale, B, training, 1.0 - momentum, epsilon)


@TORCH.op("BatchNormalization", since=9)
def batch_normalization_9(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training: bool = False,
) -> Tensor:
    return nnf.batch_norm(X, mean, var, scale, B, training, 1.0 - momentum, epsilon)


@TORCH.op("BatchNormalization", since=14)
def batch_normalization(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    input_mean: Tensor,
    input_var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    training: bool = False,
) -> Tensor:
    """ONNX BatchNormalization: by the statistics given, unless the graph itself asks for those of the batch.

    While the module is `training`, those of the batch serve too, and the given ones follow them, as in PyTorch.
    """
    if training_mode == 1:
        return nnf.batch_norm(X, None, None, scale.to(X.dtype), B.to(X.dtype), True, 0.0, epsilon)
    mean, var = input_mean.to(X.dtype), input_var.to(X.dtype)
    return nnf.batch_norm(X, mean, var, scale.to(X.dtype), B.to(X.dtype), training, 1.0 - momentum, epsilon)


@TORCH.op("BatchNormalization", since=14, outputs=3)
def batch_normalization_training(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    input_mean: Tensor,
    input_var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX BatchNormalization in training mode, with the running statistics after this batch."""
    axes = [0]
    for axis in range(2, X.dim()):
        axes.append(axis)  # noqa: PERF402 - TorchScript
    mean = X.mean(axes) * (1.0 - momentum) + input_mean * momentum
    var = X.var(axes, unbiased=False) * (1.0 - momentum) + input_var * momentum
    y = batch_normalization(X, scale, B, input_mean, input_var, epsilon, momentum, training_mode)
    return y, mean, var


@TORCH.op("InstanceNormalization", since=1)
def instance_normalization(input: Tensor, scale: Tensor, B: Tensor, epsilon: float = 1e-5) -> Tensor:
    return nnf.instance_norm(input, None, None, scale, B, True, 0.0, epsilon)


@TORCH.op("GroupNormalization", since=21)
def group_normalization(
    X: Tensor, scale: Tensor, bias: Tensor, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """ONNX GroupNormalization: one scale and bias per channel.

    Of a tensor that lies with its channels last, PyTorch (2.13, CPU) takes the variance as mean(x^2) - mean(x)^2, and
    is wrong by up to 2 million roundings where the mean is large.
    """
    return nnf.group_norm(X.contiguous(), num_groups, scale, bias, epsilon)


@TORCH.op("GroupNormalization", since=18)
def group_normalization_18(X: Tensor, scale: Tensor, bias: Tensor, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """ONNX GroupNormalization up to opset 20: one scale and bias per group."""
    members = X.shape[1] // num_groups
    gamma, beta = scale.repeat_interleave(members), bias.repeat_interleave(members)
    return group_normalization(X, gamma, beta, num_groups, epsilon)


@TORCH.op("LayerNormalization", since=17)
def layer_normalization(
    X: Tensor, Scale: Tensor, B: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """ONNX LayerNormalization over all axes from `axis` on; narrow floats are normalised in float32."""
    first = axis + X.dim() if axis < 0 else axis
    if Scale.shape == X.shape[first:] and (B is None or B.shape == Scale.shape):
        return nnf.layer_norm(X, X.shape[first:], Scale, B, epsilon)
    y = nnf.layer_norm(X, X.shape[first:], None, None, epsilon) * Scale
    return y if B is None else y + B


@TORCH.op("LayerNormalization", since=17, outputs=3)
def layer_normalization_with_statistics(
    X: Tensor, Scale: Tensor, B: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX LayerNormalization, with the mean and the inverse of the standard deviation."""
    first = axis + X.dim() if axis < 0 else axis
    axes = [place for place in range(first, X.dim())]  # noqa: C416 - TorchScript needs a list
    stash = X if X.dtype == torch.float64 else X.to(torch.float32)
    mean = stash.mean(axes, keepdim=True)
    inverse = torch.rsqrt(stash.var(axes, unbiased=False, keepdim=True) + epsilon)
    return layer_normalization(X, Scale, B, axis, epsilon, stash_type), mean, inverse


@TORCH.op("RMSNormalization", since=23)
def rms_normalization(X: Tensor, scale: Tensor, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Tensor:
    first = axis + X.dim() if axis < 0 else axis
    axes = [place for place in range(first, X.dim())]  # noqa: C416 - TorchScript needs a list
    return rms_normalized(X, scale, axes, epsilon)


def rms_normalized(x: Tensor, scale: Tensor, axes: list[int], epsilon: float) -> Tensor:
    """`x` by the root of the mean of its squares along `axes`; narrow floats are normalised in float32."""
    stash = x if x.dtype == torch.float64 else x.to(torch.float32)
    normal = stash * torch.rsqrt((stash * stash).mean(axes, keepdim=True) + epsilon)
    return normal.to(x.dtype) * scale


@TORCH.op("LpNormalization", since=1)
def lp_normalization(input: Tensor, axis: int = -1, p: int = 2) -> Tensor:
    """ONNX LpNormalization: where the norm is 0, the result is 0."""
    norm = input.abs().pow(p).sum([axis], keepdim=True).pow(1.0 / p)
    return torch.where(norm == 0, torch.zeros_like(input), input / norm)


@TORCH.op("LRN", since=1)
def local_response_normalization(
    X: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """ONNX LRN: over `size` neighbouring channels, of an even number one more after than before."""
    before = (size - 1) // 2
    squares = torch.constant_pad_nd((X * X).movedim(1, -1), [before, size - 1 - before], 0.0)
    total = squares.unfold(-1, size, 1).sum([-1]).movedim(-1, 1)
    return X / (bias + alpha / size * total).pow(beta)


@TORCH.op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(
    X: Tensor,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    axes: list[int] = (0, 2, 3),  # type: ignore[assignment]
) -> Tensor:
    center = X - X.mean(axes, keepdim=True)
    return center / (torch.sqrt((center * center).mean(axes, keepdim=True)) + 1e-9)
