"""Comparisons, logic and bits."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.integers import ordered, wide
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Equal", since=7)
def equal(A: Tensor, B: Tensor) -> Tensor:
    return wide(A) == wide(B)


@TORCH.op("Greater", since=7)
def greater(A: Tensor, B: Tensor) -> Tensor:
    return ordered(A) > ordered(B)


@TORCH.op("GreaterOrEqual", since=12)
def greater_or_equal(A: Tensor, B: Tensor) -> Tensor:
    return ordered(A) >= ordered(B)


@TORCH.op("Less", since=7)
def less(A: Tensor, B: Tensor) -> Tensor:
    return ordered(A) < ordered(B)


@TORCH.op("LessOrEqual", since=12)
def less_or_equal(A: Tensor, B: Tensor) -> Tensor:
    return ordered(A) <= ordered(B)


@TORCH.op("And", since=7)
def logical_and(A: Tensor, B: Tensor) -> Tensor:
    return torch.logical_and(A, B)


@TORCH.op("Or", since=7)
def logical_or(A: Tensor, B: Tensor) -> Tensor:
    return torch.logical_or(A, B)


@TORCH.op("Xor", since=7)
def logical_xor(A: Tensor, B: Tensor) -> Tensor:
    return torch.logical_xor(A, B)


@TORCH.op("Not", since=1)
def logical_not(X: Tensor) -> Tensor:
    return torch.logical_not(X)


@TORCH.op("BitwiseAnd", since=18)
def bitwise_and(A: Tensor, B: Tensor) -> Tensor:
    return torch.bitwise_and(wide(A), wide(B)).to(A.dtype)


@TORCH.op("BitwiseOr", since=18)
def bitwise_or(A: Tensor, B: Tensor) -> Tensor:
    return torch.bitwise_or(wide(A), wide(B)).to(A.dtype)


@TORCH.op("BitwiseXor", since=18)
def bitwise_xor(A: Tensor, B: Tensor) -> Tensor:
    return torch.bitwise_xor(wide(A), wide(B)).to(A.dtype)


@TORCH.op("BitwiseNot", since=18)
def bitwise_not(X: Tensor) -> Tensor:
    return torch.bitwise_not(wide(X)).to(X.dtype)


@TORCH.op("BitShift", since=11)
def bit_shift(X: Tensor, Y: Tensor, direction: str) -> Tensor:
    if direction == "LEFT":
        return torch.bitwise_left_shift(wide(X), wide(Y)).to(X.dtype)
    # int64 carries the sign of a large uint64 along: mask the bits that come in from the left
    shifted = torch.bitwise_right_shift(wide(X), wide(Y))
    if X.dtype == torch.uint64:
        ones = torch.full_like(shifted, -1)
        kept = torch.where(wide(Y) == 0, ones, ~(ones << torch.clamp(64 - wide(Y), 0, 63)))
        shifted = shifted & kept
    return shifted.to(X.dtype)


@TORCH.op("IsNaN", since=9)
def is_nan(X: Tensor) -> Tensor:
    return torch.isnan(X)


@TORCH.op("IsInf", since=10)
def is_inf(X: Tensor, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    negative = torch.isneginf(X) if detect_negative == 1 else torch.zeros_like(X, dtype=torch.bool)
    return negative | torch.isposinf(X) if detect_positive == 1 else negative
