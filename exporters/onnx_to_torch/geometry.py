"""Windows over spatial axes: what convolutions, pools and their relatives share."""

from __future__ import annotations

import torch
from torch import Tensor


def or_ones(values: list[int] | None, rank: int) -> list[int]:
    return [1] * rank if values is None else values


def or_zeros(values: list[int] | None, rank: int) -> list[int]:
    return [0] * rank if values is None else values


def padding(
    auto_pad: str,
    pads: list[int] | None,
    sizes: list[int],
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
) -> list[int]:
    """ONNX pads, all beginnings and then all ends, with `auto_pad` worked out for these sizes."""
    rank = len(sizes)
    if auto_pad == "NOTSET":
        return or_zeros(pads, 2 * rank)
    found = [0] * (2 * rank)
    if auto_pad != "VALID":
        for i in range(rank):
            steps = (sizes[i] + strides[i] - 1) // strides[i]
            total = max((steps - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - sizes[i], 0)
            smaller = total // 2
            found[i] = smaller if auto_pad == "SAME_UPPER" else total - smaller
            found[i + rank] = total - found[i]
    return found


def is_symmetric(pads: list[int]) -> bool:
    rank = len(pads) // 2
    return pads[:rank] == pads[rank:] and min(pads) >= 0


def pad_spatial(x: Tensor, pads: list[int], value: float) -> Tensor:
    """`x` padded on its last axes; negative amounts cut off."""
    rank = len(pads) // 2
    amounts: list[int] = []
    for i in range(rank - 1, -1, -1):
        amounts.append(pads[i])
        amounts.append(pads[i + rank])
    return torch.constant_pad_nd(x, amounts, value)


def windows(x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> Tensor:
    """All windows of an unpadded `x` (batch, channels, *spatial): (batch, channels, *places, *kernel)."""
    for i in range(len(kernel)):
        x = x.unfold(2 + i, (kernel[i] - 1) * dilations[i] + 1, strides[i])
    for i in range(len(kernel)):
        axis = 2 + len(kernel) + i
        x = torch.slice_copy(x, axis, 0, x.shape[axis], dilations[i])
    return x


def ceil_extension(
    sizes: list[int], pads: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """How much each axis must grow at its end for the windows that `ceil_mode` adds.

    A window that would start beyond the input and its padding at the beginning is left out.
    """
    rank = len(sizes)
    extra = [0] * rank
    for i in range(rank):
        reach = (kernel[i] - 1) * dilations[i] + 1
        room = sizes[i] + pads[i] + pads[i + rank] - reach
        steps = (room + strides[i] - 1) // strides[i] + 1
        if (steps - 1) * strides[i] >= sizes[i] + pads[i]:
            steps -= 1
        extra[i] = max((steps - 1) * strides[i] + reach - (sizes[i] + pads[i] + pads[i + rank]), 0)
    return extra
