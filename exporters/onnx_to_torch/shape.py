"""Shapes, and operators that only move data."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


def from_front(places: Tensor, size: int) -> Tensor:
    """Indices along an axis of this size, the negative ones counted from the front."""
    whole = places.to(torch.int64)
    return torch.where(whole < 0, whole + size, whole)


def broadcast_size(have: int, want: int) -> int:
    """A size after ONNX Expand: where 1 is wanted, what is there stays."""
    return have if want == 1 else want


@TORCH.op("Shape", since=1)
def shape(data: Tensor, start: int = 0, end: int | None = None) -> Tensor:
    sizes = data.shape[start:] if end is None else data.shape[start:end]
    return torch.tensor(sizes, dtype=torch.int64, device=data.device)


@TORCH.op("Size", since=1)
def size(data: Tensor) -> Tensor:
    return torch.tensor(data.numel(), dtype=torch.int64, device=data.device)


@TORCH.op("Reshape", since=5)
def reshape(data: Tensor, shape: list[int], allowzero: int = 0) -> Tensor:
    """ONNX Reshape: 0 keeps the source's size at that place, unless `allowzero`."""
    sizes = [
        data.shape[axis] if size == 0 and allowzero == 0 and axis < data.dim() else size
        for axis, size in enumerate(shape)
    ]
    return data.reshape(sizes)


@TORCH.op("Reshape", since=1)
def reshape_1(data: Tensor, shape: list[int]) -> Tensor:
    """ONNX Reshape up to opset 4, whose shape is an attribute."""
    return reshape(data, shape, 0)


@TORCH.op("Flatten", since=1)
def flatten(input: Tensor, axis: int = 1) -> Tensor:
    """ONNX Flatten: a matrix whose rows are the dimensions before `axis`."""
    split = axis + input.dim() if axis < 0 else axis
    rows = 1
    for size in input.shape[:split]:
        rows *= size
    columns = 1
    for size in input.shape[split:]:
        columns *= size
    return input.reshape([rows, columns])


@TORCH.op("Transpose", since=1)
def transpose(data: Tensor, perm: list[int] | None = None) -> Tensor:
    if perm is None:
        return data.permute([axis for axis in range(data.dim() - 1, -1, -1)])  # noqa: C416 - TorchScript needs a list
    return data.permute(perm)


@TORCH.op("Squeeze", since=1)
def squeeze(data: Tensor, axes: list[int] | None = None) -> Tensor:
    """ONNX Squeeze; `axes` is an attribute up to opset 12 and an input from 13 on."""
    if axes is None:
        return data.squeeze()
    return data.squeeze(axes)


@TORCH.op("Unsqueeze", since=1)
def unsqueeze(data: Tensor, axes: list[int]) -> Tensor:
    """ONNX Unsqueeze; `axes` count in the result, and are an attribute up to opset 12."""
    rank = data.dim() + len(axes)
    places = [axis + rank if axis < 0 else axis for axis in axes]
    places.sort()
    for axis in places:
        data = data.unsqueeze(axis)
    return data


@TORCH.op("Concat", since=1)
def concat(inputs: list[Tensor], axis: int = 1) -> Tensor:
    return torch.cat(inputs, axis)


@TORCH.op("Slice", since=10)
def take_slice(
    data: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    """ONNX Slice: bounds are clamped; a negative step walks backwards."""
    for i, start in enumerate(starts):
        axis = i if axes is None else axes[i]
        step = 1 if steps is None else steps[i]
        if step > 0:
            data = torch.ops.aten.slice(data, axis, start, ends[i], step)
        else:
            size = data.shape[axis]
            first = start + size if start < 0 else start
            last = ends[i] + size if ends[i] < 0 else ends[i]
            backwards = torch.arange(min(max(first, -1), size - 1), min(max(last, -1), size - 1), step)
            data = data.index_select(axis, backwards.to(data.device))
    return data


@TORCH.op("Slice", since=1)
def take_slice_1(data: Tensor, starts: list[int], ends: list[int], axes: list[int] | None = None) -> Tensor:
    """ONNX Slice up to opset 9, whose bounds are attributes."""
    return take_slice(data, starts, ends, axes, None)


@TORCH.op("Gather", since=1)
def gather(data: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """ONNX Gather: whole slices; the shape of `indices` takes the place of `axis`."""
    place = axis + data.dim() if axis < 0 else axis
    flat = from_front(indices.reshape([-1]), data.shape[place])
    picked = data.index_select(place, flat)
    return picked.reshape(data.shape[:place] + indices.shape + data.shape[place + 1 :])


@TORCH.op("Expand", since=8)
def expand(input: Tensor, shape: list[int]) -> Tensor:
    """ONNX Expand: both shapes broadcast; the result may have sizes of `input` where `shape` says 1."""
    rank = max(input.dim(), len(shape))
    sizes = [1] * (rank - len(shape)) + shape
    own = [1] * (rank - input.dim()) + list(input.shape)
    return input.expand([have if want == 1 else want for have, want in zip(own, sizes)])  # noqa: B905 - TorchScript


@TORCH.op("Split", since=1, outputs=None)
def split(
    input: Tensor,
    split: list[int] | None = None,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int = 1,
) -> list[Tensor]:
    """ONNX Split: without sizes into `outputs` equal parts, the last one smaller where they do not fit."""
    if split is not None:
        return list(torch.split(input, split, axis))
    size = input.shape[axis]
    part = (size + outputs - 1) // outputs
    sizes = [min(part, size - part * i) for i in range(outputs)]
    return list(torch.split(input, sizes, axis))


def _blocks(x: Tensor, block: int) -> list[int]:
    return [x.shape[0], x.shape[1] // (block * block), block, block, x.shape[2], x.shape[3]]


@TORCH.op("DepthToSpace", since=1)
def depth_to_space(input: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """ONNX DepthToSpace: channels are (block, block, depth) in mode DCR, (depth, block, block) in mode CRD."""
    n, c, b, _, h, w = _blocks(input, blocksize)
    if mode == "CRD":
        parts = input.reshape([n, c, b, b, h, w]).permute([0, 1, 4, 2, 5, 3])
    else:
        parts = input.reshape([n, b, b, c, h, w]).permute([0, 3, 4, 1, 5, 2])
    return parts.reshape([n, c, h * b, w * b])


@TORCH.op("SpaceToDepth", since=1)
def space_to_depth(input: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """ONNX SpaceToDepth, the inverse of DepthToSpace."""
    n, c, height, width = input.shape
    h, w = height // blocksize, width // blocksize
    parts = input.reshape([n, c, h, blocksize, w, blocksize])
    order = [0, 1, 3, 5, 2, 4] if mode == "CRD" else [0, 3, 5, 1, 2, 4]
    return parts.permute(order).reshape([n, c * blocksize * blocksize, h, w])
