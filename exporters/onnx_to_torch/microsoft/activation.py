"""Activations, and what ONNX Runtime fuses with them."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.table import TORCH


def activated(x: Tensor, name: str | None, alpha: float | None, beta: float | None) -> Tensor:
    """`x` after the activation that a fused operator names; one without parameters has ONNX's defaults."""
    if name is None or name == "":
        return x
    if name == "Relu":
        return torch.relu(x)
    if name == "Sigmoid":
        return torch.sigmoid(x)
    if name == "Tanh":
        return torch.tanh(x)
    if name == "LeakyRelu":
        return nnf.leaky_relu(x, 0.01 if alpha is None else alpha)
    if name == "HardSigmoid":
        return torch.clamp((0.2 if alpha is None else alpha) * x + (0.5 if beta is None else beta), 0.0, 1.0)
    if name == "Elu":
        return nnf.elu(x, 1.0 if alpha is None else alpha)
    assert name == "Clip", "a fused operator with an activation that ONNX Runtime does not fuse"
    return torch.clamp(x, alpha, beta)


@TORCH.op("Gelu", since=1, domain=DOMAIN)
def gelu(X: Tensor) -> Tensor:
    return nnf.gelu(X)


@TORCH.op("BiasGelu", since=1, domain=DOMAIN)
def bias_gelu(A: Tensor, B: Tensor) -> Tensor:
    return nnf.gelu(A + B)


@TORCH.op("FastGelu", since=1, domain=DOMAIN)
def fast_gelu(X: Tensor, bias: Tensor | None = None) -> Tensor:
    return nnf.gelu(X if bias is None else X + bias, approximate="tanh")


@TORCH.op("QuickGelu", since=1, domain=DOMAIN)
def quick_gelu(X: Tensor, alpha: float = 1.7020000219345093) -> Tensor:
    return X * torch.sigmoid(alpha * X)


@TORCH.op("BiasSplitGelu", since=1, domain=DOMAIN)
def bias_split_gelu(X: Tensor, bias: Tensor) -> Tensor:
    """The first half of the last axis, times the GELU of the second half."""
    left, right = (X + bias).chunk(2, -1)
    return left * nnf.gelu(right)


@TORCH.op("BiasAdd", since=1, domain=DOMAIN)
def bias_add(X: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    return X + bias + skip


@TORCH.op("BiasSoftmax", since=1, domain=DOMAIN)
def bias_softmax(data: Tensor, bias: Tensor, is_inner_broadcast: int, axis: int = 1) -> Tensor:
    """Softmax of `data + bias` over all axes from `axis` on; `bias` lacks the axes before, or those in between."""
    if is_inner_broadcast == 0:
        return torch.softmax((data + bias).flatten(axis), -1).reshape(data.shape)
    missing = data.dim() - bias.dim()
    shape = [1] * missing + list(bias.shape)
    return torch.softmax((data + bias.reshape(shape)).flatten(axis), -1).reshape(data.shape)
