"""Pad, Tile and friends."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Positions beyond the ends reflected at them, as often as it takes; the edge itself is not repeated."""
    # Periods are tensors: PyTorch's ONNX exporter divides by no size, and a condition on one would bound it.
    period = torch.clamp(torch.full([], 2 * (size - 1), dtype=torch.int64, device=index.device), min=1)
    folded = index % period
    return torch.where(folded >= size, period - folded, folded)


def padded_by_index(data: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    size = data.shape[axis]
    index = torch.arange(-before, size + after, device=data.device)
    if mode == "reflect":
        index = _mirrored(index, size)
    elif mode == "wrap":
        index = index % torch.full([], size, dtype=torch.int64, device=index.device)
    else:
        index = torch.clamp(index, 0, size - 1)
    return data.index_select(axis, index)


@TORCH.op("Pad", since=11)
def pad(
    data: Tensor,
    pads: list[int],
    constant_value: Tensor | None = None,
    axes: list[int] | None = None,
    mode: str = "constant",
) -> Tensor:
    """ONNX Pad: `pads` holds all beginnings, then all ends; negative ones cut off."""
    places = [axis for axis in range(data.dim())]  # noqa: C416 - TorchScript needs a list
    if axes is not None:
        places = [axis + data.dim() if axis < 0 else axis for axis in axes]
    if mode == "constant":
        amounts = [0] * (2 * data.dim())
        for i, axis in enumerate(places):
            amounts[2 * (data.dim() - 1 - axis)] = pads[i]
            amounts[2 * (data.dim() - 1 - axis) + 1] = pads[i + len(places)]
        if constant_value is not None:
            return torch.constant_pad_nd(data, amounts, constant_value.item())
        return torch.constant_pad_nd(data, amounts, 0)
    for i, axis in enumerate(places):
        if pads[i] != 0 or pads[i + len(places)] != 0:
            data = padded_by_index(data, axis, pads[i], pads[i + len(places)], mode)
    return data


@TORCH.op("Pad", since=2)
def pad_2(data: Tensor, pads: list[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """ONNX Pad up to opset 10, whose amounts and value are attributes."""
    return pad(data, pads, torch.full([], value, dtype=data.dtype), None, mode)


@TORCH.op("Pad", since=1)
def pad_1(data: Tensor, paddings: list[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """ONNX Pad of opset 1, where the amounts had another name."""
    return pad_2(data, paddings, mode, value)


@TORCH.op("Tile", since=6)
def tile(input: Tensor, repeats: list[int]) -> Tensor:
    return input.repeat(repeats)


@TORCH.op("Tile", since=1)
def tile_1(input: Tensor, tiles: int, axis: int) -> Tensor:
    """ONNX Tile up to opset 5: along one axis."""
    repeats = [1] * input.dim()
    repeats[axis] = tiles
    return input.repeat(repeats)
