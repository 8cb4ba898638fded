"""The two inverse wavelet transforms (annex F): 5/3 of whole numbers, exact, and 9/7 of floats."""

from __future__ import annotations

import torch
from torch import Tensor


def _beside(values: Tensor, count: int, skipped: int) -> Tensor:
    """The sums of the two neighbours of `count` elements that lie between `values`, mirrored at both ends."""
    size = values.shape[1]
    wide = torch.cat([values[:, :1], values, values[:, size - 1 :]], 1)
    return wide[:, skipped : skipped + count] + wide[:, skipped + 1 : skipped + 1 + count]


def _rows(low: Tensor, high: Tensor, odd: int, reversible: bool) -> Tensor:
    """Rows out of their means and their differences; `odd` is 1 where a difference comes first."""
    few, many = high.shape[1], low.shape[1]
    if few + many == 1:
        if many == 1 or not reversible:
            return low if many == 1 else high
        return torch.div(high, 2, rounding_mode="trunc")
    if reversible:
        even = low - ((_beside(high, many, odd) + 2) >> 2)
        rest = high + (_beside(even, few, 1 - odd) >> 1)
    else:
        even, rest = low * 1.230174105, high * 1.625732422
        even = even - _beside(rest, many, odd) * 0.443506852
        rest = rest - _beside(even, few, 1 - odd) * 0.882911075
        even = even + _beside(rest, many, odd) * 0.052980118
        rest = rest + _beside(even, few, 1 - odd) * 1.586134342
    out = torch.empty([low.shape[0], few + many], dtype=low.dtype)
    out[:, odd::2] = even
    out[:, 1 - odd :: 2] = rest
    return out


def joined(bands: list[Tensor], left: int, top: int, reversible: bool) -> Tensor:
    """A resolution that starts at (left, top), out of the one below it and its three bands."""
    upper = _rows(bands[0], bands[1], left % 2, reversible)
    lower = _rows(bands[2], bands[3], left % 2, reversible)
    return _rows(upper.t(), lower.t(), top % 2, reversible).t()
