"""Running products, extremes and log-sums: by doubling where the length is known, else by a mask of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from exporters.torch_to_onnx.logarithms import logaddexp
from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


def _doubled(x: Tensor, neutral: float, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`join` of everything up to each element of the last axis, in as many steps as its length has bits."""
    step = 1
    while step < x.shape[-1]:
        x = join(x, functional.pad(x[..., :-step], (step, 0), value=neutral))
        step *= 2
    return x


def _before(x: Tensor) -> Tensor:
    """(n, n): which elements of the last axis come no later than the one of the row."""
    places = torch.arange(x.shape[-1], device=x.device)
    return places.unsqueeze(0) <= places.unsqueeze(1)


def _pairs(x: Tensor, neutral: float) -> Tensor:
    """(..., n, n): in row i the elements up to i, and `neutral` behind them."""
    return torch.where(_before(x), x.unsqueeze(-2), torch.full((), neutral, dtype=x.dtype, device=x.device))


def _is_known(x: Tensor) -> bool:
    return isinstance(x.shape[-1], int)


@spells(aten.cumprod.default)
def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    wanted = dtype or (x.dtype if x.dtype.is_floating_point else torch.int64)
    moved = x.to(wanted).movedim(dim, -1)
    found = _doubled(moved, 1, torch.mul) if _is_known(moved) else _pairs(moved, 1).prod(-1).to(wanted)
    return found.movedim(-1, dim)


@spells(aten.logcumsumexp.default)
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    moved = x.movedim(dim, -1)
    if _is_known(moved):
        return _doubled(moved, -torch.inf, logaddexp).movedim(-1, dim)
    pairs = _pairs(moved, -torch.inf)
    largest = pairs.amax(-1, keepdim=True)
    safe = torch.where(largest.isfinite(), largest, torch.zeros_like(largest))
    found = (pairs - safe).exp().sum(-1).log() + safe.squeeze(-1)
    return found.movedim(-1, dim)


@spells(aten.cummax.default)
def cummax(x: Tensor, dim: int) -> Any:
    """Of equal elements the last one's index, as PyTorch has it."""
    return _running(x, dim, largest=True)


@spells(aten.cummin.default)
def cummin(x: Tensor, dim: int) -> Any:
    return _running(x, dim, largest=False)


def _running(x: Tensor, dim: int, *, largest: bool) -> Any:
    if not x.dtype.is_floating_point or x.dim() == 0:
        return NotImplemented
    moved = x.movedim(dim, -1)
    pairs = _pairs(moved, -torch.inf if largest else torch.inf)
    values = pairs.amax(-1) if largest else pairs.amin(-1)
    places = torch.arange(x.shape[dim], device=x.device)
    # what is no number stands for itself; what only fills up may be as large as a value
    reached = (pairs == values.unsqueeze(-1)) | pairs.isnan()
    indices = torch.where(reached & _before(moved), places, torch.full_like(places, -1)).amax(-1)
    return values.movedim(-1, dim), indices.movedim(-1, dim)
