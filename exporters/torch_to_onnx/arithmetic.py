"""Remainders and whole quotients, which jump where a quotient is rounded, and extremes of what may be no number."""

from __future__ import annotations

from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


@spells(aten.remainder.Tensor, aten.remainder.Scalar)
def remainder(a: Tensor, b: Any) -> Any:
    """With the sign of the divisor. torch.onnx takes a quotient times the divisor away, and may take one too many."""
    if not _are_floats(a, b):
        return NotImplemented
    rest = torch.fmod(a, b)
    return torch.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def _are_floats(a: Any, b: Any) -> bool:
    return isinstance(a, Tensor) and all(x.dtype.is_floating_point for x in (a, b) if isinstance(x, Tensor))


@spells(aten.floor_divide.default, aten.floor_divide.Scalar)
def floor_divide(a: Tensor, b: Any) -> Any:
    """PyTorch's way: what is left of the dividend without its remainder is a multiple of the divisor."""
    if not _are_floats(a, b):
        return NotImplemented
    rest = torch.fmod(a, b)
    times = (a - rest) / b
    times = torch.where((rest != 0) & ((rest < 0) != (b < 0)), times - 1, times)
    whole = times.floor()
    found = torch.where(times - whole > 0.5, whole + 1, whole)
    return torch.where(torch.full_like(found, 1) * b == 0, a / b, found)


@spells(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div(a: Tensor, b: Any, *, rounding_mode: str | None = None) -> Any:
    return floor_divide(a, b) if rounding_mode == "floor" else NotImplemented


@spells(aten.fmax.default)
def fmax(a: Tensor, b: Tensor) -> Any:
    return _of_numbers(a, b, torch.maximum(a, b))


@spells(aten.fmin.default)
def fmin(a: Tensor, b: Tensor) -> Any:
    return _of_numbers(a, b, torch.minimum(a, b))


def _of_numbers(a: Tensor, b: Tensor, found: Tensor) -> Tensor:
    """What was found of both; where one of them is no number, the other one."""
    if not found.dtype.is_floating_point:
        return found
    return torch.where(a.isnan(), b.to(found.dtype), torch.where(b.isnan(), a.to(found.dtype), found))
