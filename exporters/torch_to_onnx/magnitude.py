"""Signs, angles, lengths, distances and the inverse of the error function."""

from __future__ import annotations

import math
from typing import Any

import torch

from exporters.graph.inverse_error import FAR, NEAR
from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


@spells(aten.hypot.default)
def hypot(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.abs(), b.abs()
    longer, shorter = torch.maximum(a, b), torch.minimum(a, b)
    ratio = shorter / longer
    # Nothing to divide by where both are 0; and infinite ones have no ratio, not even beside what is no number.
    found = torch.where(longer == 0, longer, longer * (1 + ratio * ratio).sqrt())
    return torch.where(a.isinf() | b.isinf(), torch.full_like(longer, torch.inf), found)


@spells(aten.copysign.Tensor)
def copysign(a: Tensor, b: Tensor) -> Any:
    if not (a.dtype.is_floating_point and b.dtype.is_floating_point):
        return NotImplemented
    return torch.where(_is_negative(b), -a.abs(), a.abs())


def _is_negative(x: Tensor) -> Tensor:
    """Whether the sign says so, that of a zero too."""
    return (x < 0) | ((x == 0) & (1 / x < 0))


@spells(aten.signbit.default)
def signbit(x: Tensor) -> Any:
    return _is_negative(x) if x.dtype.is_floating_point else NotImplemented


@spells(aten.atan2.default)
def atan2(y: Tensor, x: Tensor) -> Any:
    """In the first quadrant, and mirrored from there: torch.onnx takes a zero for a negative number."""
    if not (y.dtype.is_floating_point and x.dtype.is_floating_point):
        return NotImplemented
    up, along = y.abs(), x.abs()
    angle = torch.where((up == 0) & ~x.isnan(), torch.zeros_like(up / along), (up / along).atan())
    angle = torch.where(up.isinf() & along.isinf(), torch.full_like(angle, math.pi / 4), angle)
    angle = torch.where(_is_negative(x), math.pi - angle, angle)
    return torch.where(_is_negative(y), -angle, angle)


@spells(aten.copysign.Scalar)
def copysign_scalar(a: Tensor, b: float) -> Any:
    if not a.dtype.is_floating_point:
        return NotImplemented
    return -a.abs() if math.copysign(1, b) < 0 else a.abs()


_REFINED = 2  # steps of Newton's, from 7 digits to all of float64


@spells(aten.erfinv.default, aten.special_erfinv.default)
def erfinv(y: Tensor) -> Tensor:
    w = -((1 - y) * (1 + y)).log()
    x = torch.where(w < 5, _polynomial(NEAR, w - 2.5), _polynomial(FAR, w.clamp(min=5).sqrt() - 3)) * y
    for _ in range(_REFINED):
        x = x - (x.erf() - y) * (math.sqrt(math.pi) / 2) * (x * x).exp()
    ends = torch.where(y.abs() == 1, y * torch.inf, torch.full_like(y, torch.nan))
    return torch.where(y.abs() < 1, x, ends)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    total = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


@spells(torch.cdist)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Any:
    del compute_mode
    apart = (x1.unsqueeze(-2) - x2.unsqueeze(-3)).abs()
    if p == 2:
        return apart.square().sum(-1).sqrt()
    if p == 0:
        return (apart != 0).to(apart.dtype).sum(-1)
    if p == math.inf:
        return apart.amax(-1)
    return apart.sum(-1) if p == 1 else apart.pow(p).sum(-1).pow(1 / p)
