"""RGB out of brightness and two colours of half the size, in libwebp's fixed point."""

from __future__ import annotations

import torch
from torch import Tensor


def _neighbours(plane: Tensor, axis: int) -> Tensor:
    """Twice as many elements along an axis: three parts of the nearer and one of the farther neighbour."""
    size = plane.shape[axis]
    before = torch.cat([plane.narrow(axis, 0, 1), plane.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([plane.narrow(axis, 1, size - 1), plane.narrow(axis, size - 1, 1)], axis)
    return torch.stack([3 * plane + before, 3 * plane + after], axis + 1).flatten(axis, axis + 1)


def to_rgb(luma: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(height, width, 3): the colours are made twice as large, smoothly, and cut to the size of `luma`."""
    height, width = luma.shape
    u = ((_neighbours(_neighbours(first, 0), 1) + 8) >> 4)[:height, :width]
    v = ((_neighbours(_neighbours(second, 0), 1) + 8) >> 4)[:height, :width]
    bright = (luma * 19077) >> 8
    red = bright + ((v * 26149) >> 8) - 14234
    green = bright - ((u * 6419) >> 8) - ((v * 13320) >> 8) + 8708
    blue = bright + ((u * 33050) >> 8) - 17685
    return torch.clamp(torch.stack([red, green, blue], -1) >> 6, 0, 255).to(torch.uint8)
