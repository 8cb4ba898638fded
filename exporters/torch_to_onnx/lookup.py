"""Bags of embeddings: their rows looked up together, and joined."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor


@spells(functional.embedding_bag)
def embedding_bag(
    ids: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """`ids` (bags, length), or (n,) with the places where bags begin in `offsets`."""
    del norm_type, scale_grad_by_freq, sparse
    if max_norm is not None:
        return NotImplemented
    if ids.dim() == 1:
        if offsets is None:
            return NotImplemented
        held = _held(ids, offsets[:-1] if include_last_offset else offsets)
        rows = functional.embedding(ids, weight).unsqueeze(0)
    else:
        held, rows = torch.ones_like(ids, dtype=torch.bool), functional.embedding(ids, weight)
    if padding_idx is not None:
        held = held & (ids != padding_idx % weight.shape[0])
    if mode == "max":
        lowest = torch.full((), -torch.inf, dtype=weight.dtype, device=weight.device)
        largest = torch.where(held.unsqueeze(-1), rows, lowest).amax(-2)
        return torch.where(held.any(-1, keepdim=True), largest, torch.zeros_like(largest))
    share = held.to(weight.dtype)
    if per_sample_weights is not None:
        share = share * per_sample_weights
    total = (rows * share.unsqueeze(-1)).sum(-2)
    return total if mode == "sum" else total / held.sum(-1, keepdim=True).clamp(min=1)


def _held(ids: Tensor, offsets: Tensor) -> Tensor:
    """(bags, n): whether an id belongs to a bag; each begins at its offset and ends where the next one begins."""
    places = torch.arange(ids.shape[0], device=ids.device)
    bag = (places.unsqueeze(1) >= offsets.unsqueeze(0)).sum(1) - 1
    return torch.arange(offsets.shape[0], device=ids.device).unsqueeze(1) == bag.unsqueeze(0)
