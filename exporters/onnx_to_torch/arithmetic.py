"""Operators on two or more tensors that broadcast against each other: Add, Div, Pow, Max, Where ..."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.integers import divided, ordered, unordered, wide
from exporters.onnx_to_torch.table import TORCH


def _aligned(a: Tensor, b: Tensor, axis: int | None) -> Tensor:
    """`b` with its dimensions moved to start at `axis` of `a`: how opsets 1 to 6 broadcast."""
    start = a.dim() - b.dim() if axis is None else axis
    return b.reshape(list(b.shape) + [1] * (a.dim() - start - b.dim()))


@TORCH.op("Add", since=7)
def add(A: Tensor, B: Tensor) -> Tensor:
    return (wide(A) + wide(B)).to(A.dtype)


@TORCH.op("Sub", since=7)
def sub(A: Tensor, B: Tensor) -> Tensor:
    return (wide(A) - wide(B)).to(A.dtype)


@TORCH.op("Mul", since=7)
def mul(A: Tensor, B: Tensor) -> Tensor:
    return (wide(A) * wide(B)).to(A.dtype)


@TORCH.op("Div", since=7)
def div(A: Tensor, B: Tensor) -> Tensor:
    if A.is_floating_point():
        return A / B
    return divided(A, B).to(A.dtype)


@TORCH.op("Add", since=1)
def add_1(A: Tensor, B: Tensor, axis: int | None = None, broadcast: int = 0) -> Tensor:
    return add(A, _aligned(A, B, axis))


@TORCH.op("Sub", since=1)
def sub_1(A: Tensor, B: Tensor, axis: int | None = None, broadcast: int = 0) -> Tensor:
    return sub(A, _aligned(A, B, axis))


@TORCH.op("Mul", since=1)
def mul_1(A: Tensor, B: Tensor, axis: int | None = None, broadcast: int = 0) -> Tensor:
    return mul(A, _aligned(A, B, axis))


@TORCH.op("Div", since=1)
def div_1(A: Tensor, B: Tensor, axis: int | None = None, broadcast: int = 0) -> Tensor:
    return div(A, _aligned(A, B, axis))


@TORCH.op("Pow", since=7)
def power(X: Tensor, Y: Tensor) -> Tensor:
    """ONNX Pow: the result has the base's dtype, whatever the exponent's."""
    if not X.is_floating_point() and Y.is_floating_point():
        return torch.pow(X.to(torch.float64), Y).to(X.dtype)
    return torch.pow(wide(X), wide(Y)).to(X.dtype)


@TORCH.op("Pow", since=1)
def power_1(X: Tensor, Y: Tensor, axis: int | None = None, broadcast: int = 0) -> Tensor:
    return power(X, _aligned(X, Y, axis))


@TORCH.op("Mod", since=10)
def mod(A: Tensor, B: Tensor, fmod: int = 0) -> Tensor:
    """ONNX Mod: the sign of the divisor (as Python), or with `fmod` that of the dividend (as C)."""
    if A.dtype == torch.uint64:
        return (wide(A) - divided(A, B) * wide(B)).to(A.dtype)
    if fmod == 1:
        return torch.fmod(wide(A), wide(B)).to(A.dtype)
    return torch.remainder(wide(A), wide(B)).to(A.dtype)


@TORCH.op("PRelu", since=7)
def prelu(X: Tensor, slope: Tensor) -> Tensor:
    return torch.where(wide(X) < 0, wide(X) * wide(slope), wide(X)).to(X.dtype)


@TORCH.op("PRelu", since=1)
def prelu_1(X: Tensor, slope: Tensor) -> Tensor:
    """ONNX PRelu up to opset 6, whose slope is one number or one per channel."""
    return prelu(X, slope if slope.numel() == 1 else slope.reshape([-1] + [1] * (X.dim() - 2)))


@TORCH.op("Where", since=9)
def where(condition: Tensor, X: Tensor, Y: Tensor) -> Tensor:
    return torch.where(condition, wide(X), wide(Y)).to(X.dtype)


@TORCH.op("Max", since=1)
def maximum(data_0: list[Tensor]) -> Tensor:
    result = ordered(data_0[0])
    for other in data_0[1:]:
        result = torch.maximum(result, ordered(other))
    return unordered(result, data_0[0].dtype)


@TORCH.op("Min", since=1)
def minimum(data_0: list[Tensor]) -> Tensor:
    result = ordered(data_0[0])
    for other in data_0[1:]:
        result = torch.minimum(result, ordered(other))
    return unordered(result, data_0[0].dtype)


@TORCH.op("Sum", since=1)
def add_all(data_0: list[Tensor]) -> Tensor:
    result = data_0[0]
    for other in data_0[1:]:
        result = result + other
    return result


@TORCH.op("Mean", since=1)
def average(data_0: list[Tensor]) -> Tensor:
    return add_all(data_0) / len(data_0)


@TORCH.op("Clip", since=11)
def clip(input: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    """ONNX Clip: where `min` exceeds `max`, the result is `max`."""
    result = ordered(input)
    if min is not None:
        result = torch.maximum(result, ordered(min))
    if max is not None:
        result = torch.minimum(result, ordered(max))
    return unordered(result, input.dtype)


@TORCH.op("Clip", since=1)
def clip_1(input: Tensor, min: float = -3.4028234663852886e38, max: float = 3.4028234663852886e38) -> Tensor:
    """ONNX Clip up to opset 10, whose bounds are attributes."""
    return torch.clamp(input, min, max)
