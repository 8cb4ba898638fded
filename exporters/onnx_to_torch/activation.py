"""Activations, and the softmax family."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Relu", since=1)
def relu(X: Tensor) -> Tensor:
    return torch.relu(X)


@TORCH.op("Sigmoid", since=1)
def sigmoid(X: Tensor) -> Tensor:
    return torch.sigmoid(X)


@TORCH.op("Tanh", since=1)
def tanh(input: Tensor) -> Tensor:
    return torch.tanh(input)


@TORCH.op("LeakyRelu", since=1)
def leaky_relu(X: Tensor, alpha: float = 0.01) -> Tensor:
    return nnf.leaky_relu(X, alpha)


@TORCH.op("Elu", since=1)
def elu(X: Tensor, alpha: float = 1.0) -> Tensor:
    return torch.where(X < 0, alpha * torch.expm1(X), X)


@TORCH.op("Celu", since=12)
def celu(X: Tensor, alpha: float = 1.0) -> Tensor:
    return nnf.celu(X, alpha)


@TORCH.op("Selu", since=6)
def selu(X: Tensor, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Tensor:
    return gamma * torch.where(X > 0, X, alpha * torch.expm1(X))


@TORCH.op("Selu", since=1)
def selu_1(X: Tensor, alpha: float = 1.6732, gamma: float = 1.0507) -> Tensor:
    """ONNX Selu up to opset 5, whose default constants are rounded."""
    return selu(X, alpha, gamma)


@TORCH.op("Gelu", since=20)
def gelu(X: Tensor, approximate: str = "none") -> Tensor:
    return nnf.gelu(X, approximate=approximate)


@TORCH.op("Softplus", since=1)
def softplus(X: Tensor) -> Tensor:
    return torch.logaddexp(X, torch.zeros_like(X))


@TORCH.op("Softsign", since=1)
def softsign(input: Tensor) -> Tensor:
    return nnf.softsign(input)


@TORCH.op("HardSigmoid", since=1)
def hard_sigmoid(X: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return torch.clamp(alpha * X + beta, 0.0, 1.0)


@TORCH.op("HardSwish", since=14)
def hard_swish(X: Tensor) -> Tensor:
    return nnf.hardswish(X)


@TORCH.op("Mish", since=18)
def mish(X: Tensor) -> Tensor:
    return nnf.mish(X)


@TORCH.op("Swish", since=24)
def swish(X: Tensor, alpha: float = 1.0) -> Tensor:
    return X * torch.sigmoid(alpha * X)


@TORCH.op("ThresholdedRelu", since=10)
def thresholded_relu(X: Tensor, alpha: float = 1.0) -> Tensor:
    return torch.where(alpha < X, X, torch.zeros_like(X))


@TORCH.op("Shrink", since=9)
def shrink(input: Tensor, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """ONNX Shrink: moved by `bias` towards zero outside `lambd`, zero within."""
    zero = torch.zeros_like(input)
    below = torch.where(input < -lambd, (input + bias).to(input.dtype), zero)
    return torch.where(input > lambd, (input - bias).to(input.dtype), below)


def _as_matrix(x: Tensor, axis: int) -> Tensor:
    """The dimensions before and from `axis` each rolled into one: how opsets below 13 take a softmax."""
    split = axis + x.dim() if axis < 0 else axis
    rows = 1
    for size in x.shape[:split]:
        rows *= size
    return x.reshape([rows, -1]) if rows > 0 else x.reshape([0, 1])


@TORCH.op("Softmax", since=13)
def softmax(input: Tensor, axis: int = -1) -> Tensor:
    """ONNX Softmax; in half precision its steps are rounded one by one, as its function body defines them."""
    if input.dtype == torch.float16 and input.numel() > 0:
        powers = torch.exp(input - input.amax([axis], keepdim=True))
        return powers / powers.sum([axis], keepdim=True)
    return torch.softmax(input, axis)


@TORCH.op("Softmax", since=1)
def softmax_1(input: Tensor, axis: int = 1) -> Tensor:
    """ONNX Softmax up to opset 12: over all dimensions from `axis` on."""
    return torch.softmax(_as_matrix(input, axis), 1).reshape(input.shape)


@TORCH.op("LogSoftmax", since=13)
def log_softmax(input: Tensor, axis: int = -1) -> Tensor:
    return torch.log_softmax(input, axis)


@TORCH.op("LogSoftmax", since=1)
def log_softmax_1(input: Tensor, axis: int = 1) -> Tensor:
    """ONNX LogSoftmax up to opset 12: over all dimensions from `axis` on."""
    return torch.log_softmax(_as_matrix(input, axis), 1).reshape(input.shape)


@TORCH.op("Hardmax", since=13)
def hardmax(input: Tensor, axis: int = -1) -> Tensor:
    return torch.zeros_like(input).scatter(axis, torch.argmax(input, axis, keepdim=True), 1.0)


@TORCH.op("Hardmax", since=1)
def hardmax_1(input: Tensor, axis: int = 1) -> Tensor:
    """ONNX Hardmax up to opset 12: over all dimensions from `axis` on."""
    return hardmax(_as_matrix(input, axis), 1).reshape(input.shape)
