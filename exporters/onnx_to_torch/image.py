"""Operators on images and boxes: sampling, patches, regions, suppression."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.geometry import or_ones, or_zeros
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("GridSample", since=20)
def grid_sample(
    X: Tensor, grid: Tensor, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """ONNX GridSample of images and volumes; up to opset 19 the modes are called bilinear and bicubic."""
    name = "bilinear" if mode == "linear" else "bicubic" if mode == "cubic" else mode
    return nnf.grid_sample(X, grid.to(X.dtype), name, padding_mode, align_corners == 1)


@TORCH.op("GridSample", since=16)
def grid_sample_16(
    X: Tensor, grid: Tensor, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Tensor:
    return grid_sample(X, grid, align_corners, mode, padding_mode)


@TORCH.op("Col2Im", since=18)
def col2im(
    input: Tensor,
    image_shape: list[int],
    block_shape: list[int],
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX Col2Im over any number of axes: overlapping columns are added up."""
    rank = len(image_shape)
    spread, steps, amounts = or_ones(dilations, rank), or_ones(strides, rank), or_zeros(pads, 2 * rank)
    padded = [image_shape[i] + amounts[i] + amounts[i + rank] for i in range(rank)]
    blocks = 1
    for size in block_shape:
        blocks *= size
    # the flat position in the padded image of every (kernel place, block), built axis by axis
    flat = torch.zeros([1, 1], dtype=torch.int64, device=input.device)
    for i in range(rank):
        count = (padded[i] - ((block_shape[i] - 1) * spread[i] + 1)) // steps[i] + 1
        inner = torch.arange(block_shape[i], device=input.device) * spread[i]
        outer = torch.arange(count, device=input.device) * steps[i]
        place = inner.unsqueeze(1) + outer.unsqueeze(0)
        joint = flat.unsqueeze(1).unsqueeze(3) * padded[i] + place.unsqueeze(0).unsqueeze(2)
        flat = joint.reshape([flat.shape[0] * block_shape[i], flat.shape[1] * count])
    count = 1
    for size in padded:
        count *= size
    channels = input.shape[1] // blocks
    columns = input.reshape([input.shape[0], channels, -1])
    index = flat.reshape([1, 1, -1]).expand(columns.shape)
    image = torch.zeros([input.shape[0], channels, count], dtype=input.dtype, device=input.device)
    image = image.scatter_add(2, index, columns).reshape([input.shape[0], channels] + padded)  # noqa: RUF005 - TorchScript
    for i in range(rank):
        image = image.narrow(i + 2, amounts[i], image_shape[i])
    return image


def _corners(boxes: Tensor, center_point_box: int) -> Tensor:
    """Boxes as (low, low, high, high), from two corners in any order or from a center and a size."""
    if center_point_box == 1:
        half = boxes[:, 2:] / 2
        return torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], 1)
    return torch.cat([torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box with many."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    common = torch.clamp(high - low, min=0.0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return common / ((box[2:] - box[:2]).prod(0) + areas - common)


@TORCH.op("NonMaxSuppression", since=10)
def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: int = 0,
    iou_threshold: float = 0.0,
    score_threshold: float | None = None,
    center_point_box: int = 0,
) -> Tensor:
    """ONNX NonMaxSuppression: rows of (batch, class, box), best first within a class."""
    found: list[Tensor] = [torch.zeros([0, 3], dtype=torch.int64, device=boxes.device)]
    for b in range(scores.shape[0]):
        corners = _corners(boxes[b], center_point_box)
        for c in range(scores.shape[1]):
            marks = scores[b, c]
            order = torch.argsort(marks, descending=True, stable=True)
            if score_threshold is not None:
                order = order[marks[order] > score_threshold]
            taken = 0
            while order.shape[0] > 0 and taken < max_output_boxes_per_class:
                best = order[:1]
                prefix = torch.tensor([[b, c]], dtype=torch.int64, device=boxes.device)
                found.append(torch.cat([prefix, best.unsqueeze(0)], 1))
                taken += 1
                rest = order[1:]
                # Two boxes without an area overlap by 0 / 0: such a one stays.
                order = rest[~(_overlap(corners[best].reshape([-1]), corners[rest]) > iou_threshold)]
    return torch.cat(found, 0)


def _bilinear(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """`image` (channels, height, width) at points within it: four neighbours each, (channels, 4, points)."""
    height, width = image.shape[1], image.shape[2]
    y, x = torch.clamp(y, 0.0, height - 1.0), torch.clamp(x, 0.0, width - 1.0)
    top, left = torch.floor(y), torch.floor(x)
    low_y, low_x = top.to(torch.int64), left.to(torch.int64)
    high_y, high_x = torch.clamp(low_y + 1, max=height - 1), torch.clamp(low_x + 1, max=width - 1)
    dy, dx = y - top, x - left
    return torch.stack(
        [
            image[:, low_y, low_x] * ((1 - dy) * (1 - dx)),
            image[:, low_y, high_x] * ((1 - dy) * dx),
            image[:, high_y, low_x] * (dy * (1 - dx)),
            image[:, high_y, high_x] * (dy * dx),
        ],
        1,
    )


@TORCH.op("RoiAlign", since=16)
def roi_align(
    X: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    """ONNX RoiAlign: each bin is the mean, or the largest of the weighted neighbours, of its sampling points.

    A box without an area has no such points, unless it is told how many there are: its bins are 0.
    """
    half = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    results: list[Tensor] = []
    for i in range(rois.shape[0]):
        box = rois[i] * spatial_scale - half
        width, height = box[2] - box[0], box[3] - box[1]
        if half == 0.0:
            width, height = torch.clamp(width, min=1.0), torch.clamp(height, min=1.0)
        rows = sampling_ratio if sampling_ratio > 0 else int(torch.ceil(height / output_height).item())
        columns = sampling_ratio if sampling_ratio > 0 else int(torch.ceil(width / output_width).item())
        if rows < 1 or columns < 1:
            results.append(torch.zeros([X.shape[1], output_height, output_width], dtype=X.dtype, device=X.device))
            continue
        ys = (torch.arange(output_height * rows, device=X.device).to(X.dtype) + 0.5) * (height / (output_height * rows))
        xs = torch.arange(output_width * columns, device=X.device).to(X.dtype) + 0.5
        xs = xs * (width / (output_width * columns)) + box[0]
        ys = ys + box[1]
        y = ys.unsqueeze(1).expand([ys.shape[0], xs.shape[0]]).reshape([-1])
        x = xs.unsqueeze(0).expand([ys.shape[0], xs.shape[0]]).reshape([-1])
        inside = (y >= -1.0) & (y <= X.shape[2]) & (x >= -1.0) & (x <= X.shape[3])
        parts = _bilinear(X[int(batch_indices[i].item())], y, x) * inside.to(X.dtype)
        bins = parts.reshape([X.shape[1], 4, output_height, rows, output_width, columns])
        if mode == "max":
            results.append(bins.amax([1, 3, 5]))
        else:
            results.append(bins.sum(1).mean([2, 4]))
    if len(results) == 0:
        return torch.zeros([0, X.shape[1], output_height, output_width], dtype=X.dtype, device=X.device)
    return torch.stack(results)


@TORCH.op("MaxRoiPool", since=1)
def max_roi_pool(X: Tensor, rois: Tensor, pooled_shape: list[int], spatial_scale: float = 1.0) -> Tensor:
    """ONNX MaxRoiPool: the largest element of each bin of a region (batch, left, top, right, bottom), ends included."""
    results: list[Tensor] = []
    for i in range(rois.shape[0]):
        box: list[float] = torch.floor(rois[i, 1:].to(torch.float64) * spatial_scale + 0.5).tolist()
        part = X[int(rois[i, 0].item())]
        part = _largest_of_bins(part, 1, box[1], box[3], pooled_shape[0])
        results.append(_largest_of_bins(part, 2, box[0], box[2], pooled_shape[1]))
    if len(results) == 0:
        return torch.zeros([0, X.shape[1]] + pooled_shape, dtype=X.dtype, device=X.device)  # noqa: RUF005 - TorchScript
    return torch.stack(results)


def _largest_of_bins(x: Tensor, axis: int, first: float, last: float, bins: int) -> Tensor:
    """The maxima of `bins` overlapping stretches of an axis from `first` to `last`; 0 where one is outside."""
    size = x.shape[axis]
    step = max(last - first + 1.0, 1.0) / bins
    found: list[Tensor] = []
    for i in range(bins):
        start = min(max(math.floor(i * step) + int(first), 0), size)
        end = min(max(math.ceil((i + 1) * step) + int(first), 0), size)
        part = x.narrow(axis, start, max(end - start, 0))
        found.append(part.amax([axis]) if end > start else torch.zeros_like(x.select(axis, 0)))
    return torch.stack(found, axis)


@TORCH.op("RoiAlign", since=10)
def roi_align_10(
    X: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    """ONNX RoiAlign up to opset 15, which did not shift coordinates by half a pixel."""
    return roi_align(
        X,
        rois,
        batch_indices,
        "output_half_pixel",
        mode,
        output_height,
        output_width,
        sampling_ratio,
        spatial_scale,
    )
