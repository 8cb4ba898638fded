"""torchvision's `nms` and `roi_align` in plain PyTorch, for a machine where the package's own library does not load.

Written from the operators' definitions; slow, and meant for the small pictures of the benchmarks alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.torchvision_schemas import LIBRARY


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes that no better one overlaps by more than the threshold, best first."""
    order = scores.argsort(descending=True, stable=True)
    left, top, right, bottom = boxes[order].unbind(1)
    areas = (right - left) * (bottom - top)
    width = (torch.minimum(right[:, None], right) - torch.maximum(left[:, None], left)).clamp(min=0)
    height = (torch.minimum(bottom[:, None], bottom) - torch.maximum(top[:, None], top)).clamp(min=0)
    common = width * height
    overlaps = common / (areas[:, None] + areas - common) > iou_threshold
    kept = torch.ones(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if kept[index]:
            kept[index + 1 :] &= ~overlaps[index, index + 1 :]
    return order[kept]


def roi_align(
    features: Tensor, rois: Tensor, scale: float, height: int, width: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Each region's features on a grid of height x width cells, the mean of bilinear samples in each cell."""
    shift = 0.5 if aligned else 0.0
    results = []
    for roi in rois:
        left, top, right, bottom = (roi[1:] * scale - shift).unbind()
        wide, high = (
            (right - left, bottom - top) if aligned else ((right - left).clamp(min=1), (bottom - top).clamp(min=1))
        )
        down = sampling_ratio if sampling_ratio > 0 else max(1, int(torch.ceil(high / height)))
        across = sampling_ratio if sampling_ratio > 0 else max(1, int(torch.ceil(wide / width)))
        y = top + (torch.arange(height * down, dtype=rois.dtype) + 0.5) * high / (height * down)
        x = left + (torch.arange(width * across, dtype=rois.dtype) + 0.5) * wide / (width * across)
        sampled = _bilinear(features[int(roi[0])], y.to(features.dtype), x.to(features.dtype))
        results.append(sampled.unflatten(1, (height, down)).unflatten(3, (width, across)).mean((2, 4)))
    return torch.stack(results) if results else features.new_zeros(0, features.shape[1], height, width)


def _bilinear(picture: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(channels, len(y), len(x)); 0 for places more than a pixel outside."""
    rows, columns = picture.shape[1:]
    inside = ((y >= -1) & (y <= rows))[:, None] & ((x >= -1) & (x <= columns))
    y, x = y.clamp(0, rows - 1), x.clamp(0, columns - 1)
    above, before = y.floor().long(), x.floor().long()
    below, behind = (above + 1).clamp(max=rows - 1), (before + 1).clamp(max=columns - 1)
    down, across = (y - above)[:, None], x - before
    upper = picture[:, above][:, :, before] * (1 - across) + picture[:, above][:, :, behind] * across
    lower = picture[:, below][:, :, before] * (1 - across) + picture[:, below][:, :, behind] * across
    return (upper * (1 - down) + lower * down) * inside


LIBRARY.impl("_cuda_version", lambda: -1, "CompositeExplicitAutograd")
LIBRARY.impl("nms", nms, "CPU")
LIBRARY.impl("roi_align", roi_align, "CPU")
