"""Convolutions whose kernels look where they are told to."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.geometry import or_ones, or_zeros
from exporters.onnx_to_torch.table import TORCH


def _interpolated(image: Tensor, points: list[Tensor], sizes: list[int]) -> Tensor:
    """`image` (n, groups, channels, flattened axes of `sizes`) at points between its elements, 0 beyond its edges.

    `points` holds one tensor (n, groups, points) per axis; the result is (n, groups, channels, points).
    """
    result = torch.zeros(
        [image.shape[0], image.shape[1], image.shape[2], points[0].shape[2]], dtype=image.dtype, device=image.device
    )
    for corner in range(1 << len(sizes)):
        index = torch.zeros_like(points[0], dtype=torch.int64)
        weight = torch.ones_like(points[0])
        for i, size in enumerate(sizes):
            place = torch.floor(points[i]) + ((corner >> i) & 1)
            inside = ((place >= 0) & (place <= size - 1)).to(weight.dtype)
            weight = weight * (1.0 - torch.abs(points[i] - place)) * inside
            index = index * size + torch.clamp(place, 0, size - 1).to(torch.int64)
        picked = torch.gather(image, 3, index.unsqueeze(2).expand(result.shape))
        result = result + picked * weight.unsqueeze(2)
    return result


@TORCH.op("DeformConv", since=19)
def deform_conv(
    X: Tensor,
    W: Tensor,
    offset: Tensor,
    B: Tensor | None = None,
    mask: Tensor | None = None,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    offset_group: int = 1,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX DeformConv over any number of axes: each place of the kernel is moved by `offset`, weighted by `mask`."""
    rank = X.dim() - 2
    steps, spread, amounts = or_ones(strides, rank), or_ones(dilations, rank), or_zeros(pads, 2 * rank)
    kernel, sizes, places = list(W.shape[2:]), list(X.shape[2:]), list(offset.shape[2:])
    count, number = 1, 1
    for i in range(rank):
        count *= kernel[i]
        number *= places[i]
    batch = X.shape[0]
    moved = offset.reshape([batch, offset_group, count, rank, number])
    points: list[Tensor] = []
    for i in range(rank):
        inner = torch.arange(kernel[i], device=X.device) * spread[i] - amounts[i]
        outer = torch.arange(places[i], device=X.device) * steps[i]
        shape, room = [1] * (2 * rank), kernel + places
        shape[i] = kernel[i]
        base = inner.reshape(shape)
        shape[i], shape[rank + i] = 1, places[i]
        base = (base + outer.reshape(shape)).expand(room).reshape([count, number])
        points.append((moved[:, :, :, i] + base.to(X.dtype)).reshape([batch, offset_group, count * number]))
    channels = X.shape[1]
    columns = _interpolated(X.reshape([batch, offset_group, channels // offset_group, -1]), points, sizes)
    if mask is not None:
        columns = columns * mask.reshape([batch, offset_group, 1, count * number])
    columns = columns.reshape([batch, group, channels // group * count, number])
    kernels = W.reshape([group, W.shape[0] // group, -1])
    result = torch.matmul(kernels, columns).reshape([batch, W.shape[0]] + places)  # noqa: RUF005 - TorchScript
    return result if B is None else result + B.reshape([-1] + [1] * rank)
