"""Arithmetic on integers that torch stores but cannot compute with."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """`x` in a dtype that torch computes in: uint16, uint32 and uint64 become int64, which keeps their bits."""
    if x.dtype == torch.uint16 or x.dtype == torch.uint32 or x.dtype == torch.uint64:  # noqa: PLR1714 - TorchScript
        return x.to(torch.int64)
    return x


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
