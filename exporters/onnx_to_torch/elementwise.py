"""Operators on one tensor, element by element, that are no activations."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.graph.kinds import TENSOR
from exporters.onnx_to_torch.integers import wide
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Abs", since=1)
def absolute(X: Tensor) -> Tensor:
    if X.is_floating_point() or X.is_signed():
        return torch.abs(X)
    return X


@TORCH.op("Neg", since=1)
def neg(X: Tensor) -> Tensor:
    return torch.neg(X)


@TORCH.op("Sqrt", since=1)
def sqrt(X: Tensor) -> Tensor:
    return torch.sqrt(X)


@TORCH.op("Reciprocal", since=1)
def reciprocal(X: Tensor) -> Tensor:
    return torch.reciprocal(X)


@TORCH.op("Exp", since=1)
def exp(input: Tensor) -> Tensor:
    return torch.exp(input)


@TORCH.op("Log", since=1)
def log(input: Tensor) -> Tensor:
    return torch.log(input)


@TORCH.op("Erf", since=9)
def erf(input: Tensor) -> Tensor:
    return torch.erf(input.to(torch.float64)).to(input.dtype) if not input.is_floating_point() else torch.erf(input)


@TORCH.op("Ceil", since=1)
def ceil(X: Tensor) -> Tensor:
    return torch.ceil(X)


@TORCH.op("Floor", since=1)
def floor(X: Tensor) -> Tensor:
    return torch.floor(X)


@TORCH.op("Round", since=11)
def round_half_even(X: Tensor) -> Tensor:
    """ONNX Round: halves go to the even neighbour, as in torch."""
    return torch.round(X)


@TORCH.op("Sign", since=9)
def sign(input: Tensor) -> Tensor:
    return torch.sign(wide(input)).to(input.dtype)


@TORCH.op("Sin", since=7)
def sin(input: Tensor) -> Tensor:
    return torch.sin(input)


@TORCH.op("Cos", since=7)
def cos(input: Tensor) -> Tensor:
    return torch.cos(input)


@TORCH.op("Tan", since=7)
def tan(input: Tensor) -> Tensor:
    return torch.tan(input)


@TORCH.op("Asin", since=7)
def asin(input: Tensor) -> Tensor:
    return torch.asin(input)


@TORCH.op("Acos", since=7)
def acos(input: Tensor) -> Tensor:
    return torch.acos(input)


@TORCH.op("Atan", since=7)
def atan(input: Tensor) -> Tensor:
    return torch.atan(input)


@TORCH.op("Sinh", since=9)
def sinh(input: Tensor) -> Tensor:
    return torch.sinh(input)


@TORCH.op("Cosh", since=9)
def cosh(input: Tensor) -> Tensor:
    return torch.cosh(input)


@TORCH.op("Asinh", since=9)
def asinh(input: Tensor) -> Tensor:
    return torch.asinh(input)


@TORCH.op("Acosh", since=9)
def acosh(input: Tensor) -> Tensor:
    return torch.acosh(input)


@TORCH.op("Atanh", since=9)
def atanh(input: Tensor) -> Tensor:
    return torch.atanh(input)


@TORCH.op("Identity", since=1, of=TENSOR)
def identity(input: Tensor) -> Tensor:
    return input


@TORCH.op("Dropout", since=1)
def dropout_1(data: Tensor, ratio: float = 0.5, is_test: int = 0, training: bool = False) -> Tensor:
    """ONNX Dropout up to opset 11: the identity, until the module is trained."""
    return torch.nn.functional.dropout(data, ratio, training)


@TORCH.op("Dropout", since=1, outputs=2)
def dropout_1_with_mask(
    data: Tensor, ratio: float = 0.5, is_test: int = 0, training: bool = False
) -> tuple[Tensor, Tensor]:
    return dropout_with_mask(data, ratio, False, None, training)


@TORCH.op("Dropout", since=12)
def dropout(
    data: Tensor,
    ratio: float = 0.5,
    training_mode: bool = False,
    seed: int | None = None,
    training: bool = False,
) -> Tensor:
    """ONNX Dropout: the identity, unless the graph itself asks for training mode, or the module is trained."""
    return torch.nn.functional.dropout(data, ratio, training_mode or training)


@TORCH.op("Dropout", since=12, outputs=2)
def dropout_with_mask(
    data: Tensor,
    ratio: float = 0.5,
    training_mode: bool = False,
    seed: int | None = None,
    training: bool = False,
) -> tuple[Tensor, Tensor]:
    kept = torch.ones_like(data, dtype=torch.bool)
    if training_mode or training:
        kept = torch.rand_like(data) >= ratio
        return torch.where(kept, data / (1.0 - ratio), torch.zeros_like(data)), kept
    return data, kept


def _largest(dtype: torch.dtype) -> float:
    """The largest number of a float8 type, 0 for all other types."""
    if dtype == torch.float8_e4m3fn:
        return 448.0
    if dtype == torch.float8_e4m3fnuz:
        return 240.0
    return 57344.0 if dtype == torch.float8_e5m2 or dtype == torch.float8_e5m2fnuz else 0.0  # noqa: PLR1714 - TorchScript


def _exponents(x: Tensor, saturate: int, round_mode: str) -> Tensor:
    """The powers of two next to `x`, in the float8 type that holds nothing else: the exponent bits of a float32."""
    bits = torch.view_copy(x.to(torch.float32), dtype=torch.int32)
    exponent = (bits >> 23) & 255
    if round_mode == "up":
        more = (bits & 8388607) > 0
    elif round_mode == "nearest":  # halves go up, but for those of numbers below the smallest
        more = ((bits & 8388607) > 4194304) | (((bits & 8388607) == 4194304) & (exponent > 0))
    else:
        more = torch.zeros_like(bits, dtype=torch.bool)
    if saturate == 1:
        more = more & (exponent != 254)
    exponent = torch.where(exponent == 255, exponent, exponent + more.to(torch.int32))
    return torch.view_copy(exponent.to(torch.uint8), dtype=torch.float8_e8m0fnu)


def converted(x: Tensor, dtype: torch.dtype, saturate: int, round_mode: str = "up") -> Tensor:
    """`x` as `dtype`; beyond the range of a float8 type lies its largest number, or else infinity or NaN."""
    if dtype == torch.float8_e8m0fnu and x.dtype != dtype:
        return _exponents(x, saturate, round_mode)
    largest = _largest(dtype)
    if largest == 0.0 or x.dtype == dtype:
        return x.to(dtype)
    if saturate == 1:
        return torch.clamp(x.to(torch.float32), -largest, largest).to(dtype)
    if dtype == torch.float8_e4m3fn:  # torch saturates this one by itself; 464 is halfway to the next step
        x = torch.where(torch.abs(x) > 464.0, torch.full_like(x, float("nan")), x)
    return x.to(dtype)


@TORCH.op("Cast", since=6)
def cast(input: Tensor, to: torch.dtype, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """ONNX Cast. To float32, the builder calls `cast_like` with a weight, so that `module.double()` is followed."""
    return converted(input, to, saturate, round_mode)


@TORCH.op("BitCast", since=26)
def bit_cast(input: Tensor, to: torch.dtype) -> Tensor:
    # a copy: TorchScript, which takes a dtype for a number, would read `view(to)` as a shape
    return torch.view_copy(input, dtype=to)


@TORCH.op("CastLike", since=15)
def cast_like(input: Tensor, target_type: Tensor, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return converted(input, target_type.dtype, saturate, round_mode)


def as_float4(x: Tensor) -> Tensor:
    """`x` rounded to a float of four bits (ties to even, the largest is 6), held in a float8 type that has them all."""
    wide = x.to(torch.float64)
    size = torch.abs(wide)
    step = torch.where(size < 2.0, 0.5, torch.where(size < 4.0, 1.0, 2.0))
    rounded = torch.clamp(torch.round(size / step) * step, max=6.0)
    rounded = torch.where(torch.isnan(wide), torch.zeros_like(rounded), rounded)
    return torch.copysign(rounded, wide).to(torch.float32).to(torch.float8_e4m3fn)
