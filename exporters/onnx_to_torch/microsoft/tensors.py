"""Operators that select, sample or arrange: earlier or other forms of those that ONNX has today."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.constant import arange
from exporters.onnx_to_torch.image import grid_sample_16
from exporters.onnx_to_torch.indexing import gather_nd, trilu, unique
from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.padding import pad
from exporters.onnx_to_torch.resize import _along
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Pad", since=1, domain=DOMAIN)
def pad_1(data: Tensor, pads: list[int], value: Tensor | None = None, mode: str = "constant") -> Tensor:
    return pad(data, pads, value, None, mode)


@TORCH.op("Unique", since=1, domain=DOMAIN, outputs=3)
def unique_1(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The elements in the order in which they come first, where each element is among them, and the counts."""
    values, _, inverse, counts = unique(x, None, 0)
    return values, inverse, counts


@TORCH.op("ExpandDims", since=1, domain=DOMAIN)
def expand_dims(X: Tensor, axis: int) -> Tensor:
    return X.unsqueeze(axis)


@TORCH.op("Trilu", since=1, domain=DOMAIN)
def trilu_1(X: Tensor, k: int = 0, upper: int = 1) -> Tensor:
    return trilu(X, k, upper)


@TORCH.op("Range", since=1, domain=DOMAIN)
def range_1(start: Tensor, limit: Tensor, delta: Tensor | None = None) -> Tensor:
    return arange(start.reshape([]), limit.reshape([]), torch.ones_like(start) if delta is None else delta.reshape([]))


@TORCH.op("GatherND", since=1, domain=DOMAIN)
def gather_nd_1(data: Tensor, indices: Tensor) -> Tensor:
    return gather_nd(data, indices, 0)


@TORCH.op("GridSample", since=1, domain=DOMAIN)
def grid_sample_1(
    X: Tensor, Grid: Tensor, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Tensor:
    return grid_sample_16(X, Grid, align_corners, mode, padding_mode)


@TORCH.op("CDist", since=1, domain=DOMAIN)
def cdist(A: Tensor, B: Tensor, metric: str = "sqeuclidean") -> Tensor:
    """Distances of all rows of one matrix to all rows of another."""
    apart = A.unsqueeze(1) - B.unsqueeze(0)
    squares = (apart * apart).sum(-1)
    return torch.sqrt(squares) if metric == "euclidean" else squares


@TORCH.op("ComplexMul", since=1, domain=DOMAIN)
def complex_mul(A: Tensor, B: Tensor) -> Tensor:
    """Products of complex numbers, each held in the last axis as two."""
    return torch.view_as_real(torch.view_as_complex(A.contiguous()) * torch.view_as_complex(B.contiguous()))


@TORCH.op("NGramRepeatBlock", since=1, domain=DOMAIN)
def ngram_repeat_block(input_ids: Tensor, scores: Tensor, ngram_size: int) -> Tensor:
    """Scores of the next token, minus infinity for each that would complete an n-gram seen before."""
    result = scores.clone()
    length = input_ids.shape[1]
    if length + 1 > ngram_size and length >= ngram_size:
        grams = input_ids.unfold(1, ngram_size, 1)  # (batch, places, n)
        last = input_ids[:, length - ngram_size + 1 :].unsqueeze(1)
        seen = (grams[:, :, :-1] == last).all(-1)
        for b in range(input_ids.shape[0]):
            result[b, grams[b, :, -1][seen[b]]] = float("-inf")
    return result


@TORCH.op("CropAndResize", since=1, domain=DOMAIN)
def crop_and_resize(
    X: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    crop_size: list[int],
    extrapolation_value: float = 0.0,
    mode: str = "bilinear",
) -> Tensor:
    """Boxes (top, left, bottom, right) of images, in parts of their size, each resized to `crop_size`."""
    results: list[Tensor] = []
    name = "linear" if mode == "bilinear" else mode
    for i in range(rois.shape[0]):
        part = X[int(batch_indices[i].item())]
        box: list[float] = rois[i].to(torch.float64).tolist()
        for axis in range(2):
            wanted = float(crop_size[axis])
            scale = wanted / part.shape[axis + 1]
            part = _along(
                part,
                axis + 1,
                crop_size[axis],
                wanted,
                scale,
                box[axis],
                box[axis + 2],
                name,
                "tf_crop_and_resize",
                "round_prefer_ceil",
                -0.75,
                0,
                extrapolation_value,
                0,
            )
        results.append(part)
    if len(results) == 0:
        return torch.zeros([0, X.shape[1]] + crop_size, dtype=X.dtype, device=X.device)  # noqa: RUF005 - TorchScript
    return torch.stack(results)
