"""Normalisations."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


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
) -> Tensor:
    """ONNX BatchNormalization up to opset 8: `spatial=0` has one mean and variance per element."""
    if spatial == 0:
        return (X - mean) * torch.rsqrt(var + epsilon) * scale + B
    return nnf.batch_norm(X, mean, var, scale, B, False, 0.0, epsilon)


@TORCH.op("BatchNormalization", since=9)
def batch_normalization_9(
    X: Tensor,
    scale: Tensor,
    B: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
) -> Tensor:
    return nnf.batch_norm(X, mean, var, scale, B, False, 0.0, epsilon)


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
) -> Tensor:
    """ONNX BatchNormalization: by the statistics given, unless the graph itself asks for those of the batch."""
    if training_mode == 1:
        return nnf.batch_norm(X, None, None, scale.to(X.dtype), B.to(X.dtype), True, 0.0, epsilon)
    mean, var = input_mean.to(X.dtype), input_var.to(X.dtype)
    return nnf.batch_norm(X, mean, var, scale.to(X.dtype), B.to(X.dtype), False, 0.0, epsilon)


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
    axes = [axis for axis in range(X.dim()) if axis != 1]
    mean = X.mean(axes) * (1.0 - momentum) + input_mean * momentum
    var = X.var(axes, unbiased=False) * (1.0 - momentum) + input_var * momentum
    y = batch_normalization(X, scale, B, input_mean, input_var, epsilon, momentum, training_mode)
    return y, mean, var
