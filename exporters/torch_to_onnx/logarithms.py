"""Logarithms and exponentials that keep their digits near 0, and do not overflow far from it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


@spells(aten.log_sigmoid.default, aten.log_sigmoid)
def log_sigmoid(x: Tensor) -> Tensor:
    return -functional.softplus(-x)


@spells(aten.logaddexp.default)
def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    # Equal ones may be infinite, and their difference then no number.
    return torch.where(a == b, a + math.log(2), torch.maximum(a, b) + functional.softplus(-(a - b).abs()))


@spells(aten.logaddexp2.default)
def logaddexp2(a: Tensor, b: Tensor) -> Any:
    return logaddexp(a * math.log(2), b * math.log(2)) / math.log(2)


@spells(aten.log1p.default)
def log1p(x: Tensor) -> Any:
    """W. Kahan's way: what is lost of x in 1 + x is lost of the divisor too."""
    if not x.dtype.is_floating_point:
        return NotImplemented
    more = x + 1
    found = more.log() * (x / (more - 1))
    return torch.where(more == 1, x, torch.where(more == torch.inf, more, found))


@spells(aten.expm1.default)
def expm1(x: Tensor) -> Any:
    """W. Kahan's way, the same turned around."""
    if not x.dtype.is_floating_point:
        return NotImplemented
    power = x.exp()
    less = power - 1
    found = less * (x / power.log())
    return torch.where(power == 1, x, torch.where((less == -1) | power.isinf(), less, found))
