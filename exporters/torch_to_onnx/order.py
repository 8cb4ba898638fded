"""Order statistics: by sorting, or by counting what is smaller."""

from __future__ import annotations

from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


@spells(aten.median.dim)
def median(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The lower one of two medians; not a number where one of the elements is none."""
    values, indices = _at(x, (x.shape[dim] - 1) // 2, dim, keepdim=keepdim)
    return torch.where(x.isnan().any(dim, keepdim), values + torch.nan, values) if _floats(x) else values, indices


@spells(aten.median.default)
def median_of_all(x: Tensor) -> Any:
    return median(x.reshape(-1), 0)[0]


@spells(aten.kthvalue.default)
def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _at(x, k - 1, dim, keepdim=keepdim)


def _at(x: Tensor, place: Any, dim: int, *, keepdim: bool) -> tuple[Tensor, Tensor]:
    values, indices = x.sort(dim)
    found = values.narrow(dim, place, 1), indices.narrow(dim, place, 1)
    return found if keepdim else (found[0].squeeze(dim), found[1].squeeze(dim))


def _floats(x: Tensor) -> bool:
    return x.dtype.is_floating_point


@spells(aten.mode.default)
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The most frequent element, the smallest of several; the index is its last one's."""
    moved = x.movedim(dim, -1)
    ordered = moved.sort(-1)[0]
    often = (ordered.unsqueeze(-1) == ordered.unsqueeze(-2)).sum(-1)
    values = ordered.gather(-1, often.argmax(-1, keepdim=True))
    places = torch.arange(x.shape[dim], device=x.device)
    indices = torch.where(moved == values, places, torch.full_like(places, -1)).amax(-1, keepdim=True)
    found = values.movedim(-1, dim), indices.movedim(-1, dim)
    return found if keepdim else (found[0].squeeze(dim), found[1].squeeze(dim))


@spells(aten.searchsorted.Tensor)
def searchsorted(
    ordered: Tensor,
    values: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """How many elements of the ordered ones come before each value: all before what is no number."""
    if sorter is not None:
        ordered = ordered.gather(-1, sorter)
    ordered, wanted = ordered.unsqueeze(-2), values.unsqueeze(-1)
    behind = ordered > wanted if right or side == "right" else ordered >= wanted
    return behind.logical_not().sum(-1).to(torch.int32 if out_int32 else torch.int64)


@spells(aten.histc.default)
def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:  # noqa: A002 - PyTorch's names
    flat = x.reshape(-1)
    low, high = (
        (flat.amin(), flat.amax()) if min == max else (torch.full_like(flat[0], min), torch.full_like(flat[0], max))
    )
    # All alike: PyTorch widens the range by 1 on both sides.
    low, high = torch.where(low == high, low - 1, low), torch.where(low == high, high + 1, high)
    place = ((flat - low) / (high - low) * bins).floor().clamp(max=bins - 1)
    inside = (flat >= low) & (flat <= high)
    held = (place.unsqueeze(1) == torch.arange(bins, device=x.device)) & inside.unsqueeze(1)
    return held.to(x.dtype).sum(0)
