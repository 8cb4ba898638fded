"""Arithmetic on integers that torch stores but cannot compute with."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """`x` in a dtype that torch computes in: uint16, uint32 and uint64 become int64, which keeps their bits."""
    if x.dtype == torch.uint16 or x.dtype == torch.uint32 or x.dtype == torch.uint64:  # noqa: PLR1714 - TorchScript
        return x.to(torch.int64)
    return x


def divided(a: Tensor, b: Tensor) -> Tensor:
    """The quotient of two integer tensors, towards zero, in the dtype that `wide` computes in; uint64 by its bits."""
    if a.dtype != torch.uint64:
        return torch.div(wide(a), wide(b), rounding_mode="trunc")
    x, y = wide(a), wide(b)
    # half of a dividend fits int64: twice its quotient is right, or one too small
    half = (x >> 1) & 9223372036854775807
    quotient = torch.div(half, torch.where(y < 0, torch.ones_like(y), y), rounding_mode="trunc") << 1
    quotient = quotient + (ordered((x - quotient * y).to(torch.uint64)) >= ordered(b)).to(torch.int64)
    # a divisor beyond int64 fits once or not at all
    return torch.where(y < 0, (ordered(a) >= ordered(b)).to(torch.int64), quotient)


def wrapped(x: Tensor, bits: int, lowest: int) -> Tensor:
    """The lowest `bits` bits of each element, as an integer from `lowest` on: how ONNX casts to int4, uint4 ..."""
    return (((x.to(torch.int32) - lowest) & ((1 << bits) - 1)) + lowest).to(x.dtype)


def clamped(x: Tensor, bits: int, lowest: int) -> Tensor:
    """`x` within the integers of `bits` bits from `lowest` on: how ONNX quantises to int4, uint4 ..."""
    return torch.clamp(x, lowest, lowest + (1 << bits) - 1)


def ordered(x: Tensor) -> Tensor:
    """`x` in a dtype whose order torch knows: uint64 is shifted, so that its order is that of int64."""
    if x.dtype == torch.uint64:
        return x.to(torch.int64) + (-9223372036854775807 - 1)
    return wide(x)


def unordered(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Undo `ordered`."""
    if dtype == torch.uint64:
        return (x + (-9223372036854775807 - 1)).to(dtype)
    return x.to(dtype)
