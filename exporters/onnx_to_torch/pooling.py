"""Pools: torch's own where it has them, else a reduction over all windows."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.geometry import (
    ceil_extension,
    is_symmetric,
    or_ones,
    or_zeros,
    pad_spatial,
    padding,
    windows,
)
from exporters.onnx_to_torch.table import TORCH


def _grown(pads: list[int], extra: list[int]) -> list[int]:
    rank = len(extra)
    return pads[:rank] + [pads[i + rank] + extra[i] for i in range(rank)]


def _extension(
    ceil_mode: int, sizes: list[int], pads: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    return ceil_extension(sizes, pads, kernel, strides, dilations) if ceil_mode == 1 else [0] * len(sizes)


def _inner_axes(rank: int) -> list[int]:
    return [-i - 1 for i in range(rank)]


@TORCH.op("MaxPool", since=1)
def max_pool(
    X: Tensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Tensor:
    rank = X.dim() - 2
    steps, spread = or_ones(strides, rank), or_ones(dilations, rank)
    amounts = padding(auto_pad, pads, list(X.shape[2:]), kernel_shape, steps, spread)
    small = is_symmetric(amounts) and all([2 * amounts[i] <= kernel_shape[i] for i in range(rank)])
    x = X if X.is_floating_point() else X.to(torch.float64)
    if not small or ceil_mode == 1:
        extra = _extension(ceil_mode, list(X.shape[2:]), amounts, kernel_shape, steps, spread)
        x = pad_spatial(x, _grown(amounts, extra), float("-inf"))
        amounts = [0] * (2 * rank)
    if rank == 1:
        y = nnf.max_pool1d(x, kernel_shape, steps, amounts[:rank], spread)
    elif rank == 2:
        y = nnf.max_pool2d(x, kernel_shape, steps, amounts[:rank], spread)
    else:
        y = nnf.max_pool3d(x, kernel_shape, steps, amounts[:rank], spread)
    return y.to(X.dtype)


@TORCH.op("MaxPool", since=1, outputs=2)
def max_pool_with_indices(
    X: Tensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """ONNX MaxPool with the positions of the maxima in the flattened input (column-major if `storage_order`)."""
    rank = X.dim() - 2
    steps, spread = or_ones(strides, rank), or_ones(dilations, rank)
    amounts = padding(auto_pad, pads, list(X.shape[2:]), kernel_shape, steps, spread)
    extra = _extension(ceil_mode, list(X.shape[2:]), amounts, kernel_shape, steps, spread)
    amounts = _grown(amounts, extra)
    x = pad_spatial(X if X.is_floating_point() else X.to(torch.float64), amounts, float("-inf"))
    where = torch.zeros([1, 1] + [1] * rank, dtype=torch.int64, device=X.device)
    sizes = X.shape[2:]
    for i in range(rank):
        stride = 1
        for j in range(rank):
            if (j > i and storage_order == 0) or (j < i and storage_order == 1):
                stride *= sizes[j]
        shape = [1] * (rank + 2)
        shape[i + 2] = sizes[i]
        where = where + stride * torch.arange(sizes[i], device=X.device).reshape(shape)
    plane = torch.arange(X.shape[0] * X.shape[1], device=X.device) * where.numel()
    where = where + plane.reshape(list(X.shape[:2]) + [1] * rank)
    found = windows(x, kernel_shape, steps, spread).flatten(-rank)
    places = windows(pad_spatial(where, amounts, 0.0), kernel_shape, steps, spread).flatten(-rank)
    y, best = torch.max(found, -1, keepdim=True)
    return y.squeeze(-1).to(X.dtype), torch.gather(places, -1, best).squeeze(-1)


@TORCH.op("AveragePool", since=1)
def average_pool(
    X: Tensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX AveragePool: padding counts if `count_include_pad`, what `ceil_mode` adds beyond it never does."""
    rank = X.dim() - 2
    steps, spread = or_ones(strides, rank), or_ones(dilations, rank)
    amounts = padding(auto_pad, pads, list(X.shape[2:]), kernel_shape, steps, spread)
    small = is_symmetric(amounts) and all([2 * amounts[i] <= kernel_shape[i] for i in range(rank)])
    if small and ceil_mode == 0 and max(spread) == 1:
        half, counted = amounts[:rank], count_include_pad == 1
        if rank == 1:
            return nnf.avg_pool1d(X, kernel_shape, steps, half, False, counted)
        if rank == 2:
            return nnf.avg_pool2d(X, kernel_shape, steps, half, False, counted)
        return nnf.avg_pool3d(X, kernel_shape, steps, half, False, counted)
    extra = _extension(ceil_mode, list(X.shape[2:]), amounts, kernel_shape, steps, spread)
    weight = torch.ones_like(X[:1, :1])
    weight = pad_spatial(weight, amounts, float(count_include_pad))
    weight = pad_spatial(weight, [0] * rank + extra, 0.0)
    total = windows(pad_spatial(X, _grown(amounts, extra), 0.0), kernel_shape, steps, spread).sum(_inner_axes(rank))
    return total / windows(weight, kernel_shape, steps, spread).sum(_inner_axes(rank))


@TORCH.op("LpPool", since=2)
def lp_pool(
    X: Tensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    p: int = 2,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    rank = X.dim() - 2
    steps, spread = or_ones(strides, rank), or_ones(dilations, rank)
    amounts = padding(auto_pad, pads, list(X.shape[2:]), kernel_shape, steps, spread)
    extra = _extension(ceil_mode, list(X.shape[2:]), amounts, kernel_shape, steps, spread)
    found = windows(pad_spatial(X, _grown(amounts, extra), 0.0), kernel_shape, steps, spread)
    return torch.abs(found).pow(p).sum(_inner_axes(rank)).pow(1.0 / p)


@TORCH.op("GlobalAveragePool", since=1)
def global_average_pool(X: Tensor) -> Tensor:
    return X.mean(_inner_axes(X.dim() - 2), keepdim=True)


@TORCH.op("GlobalMaxPool", since=1)
def global_max_pool(X: Tensor) -> Tensor:
    return X.amax(_inner_axes(X.dim() - 2), keepdim=True)


@TORCH.op("GlobalLpPool", since=2)
def global_lp_pool(X: Tensor, p: int = 2) -> Tensor:
    return torch.abs(X).pow(p).sum(_inner_axes(X.dim() - 2), keepdim=True).pow(1.0 / p)


@TORCH.op("MaxUnpool", since=9)
def max_unpool(
    X: Tensor,
    I: Tensor,  # noqa: E741 - ONNX's own name
    output_shape: list[int] | None = None,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    kernel_shape: list[int] = (1,),  # type: ignore[assignment]
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ONNX MaxUnpool: every value back at the position that MaxPool took it from, zeros elsewhere."""
    rank = X.dim() - 2
    steps, amounts = or_ones(strides, rank), or_zeros(pads, 2 * rank)
    inferred = [(X.shape[i + 2] - 1) * steps[i] - amounts[i] - amounts[i + rank] + kernel_shape[i] for i in range(rank)]
    shape = list(X.shape[:2]) + inferred
    count = 1
    for size in shape:
        count *= size
    flat = torch.zeros([count], dtype=X.dtype, device=X.device).scatter(0, I.reshape([-1]), X.reshape([-1]))
    result = flat.reshape(shape)
    if output_shape is not None:
        result = pad_spatial(result, [0] * rank + [output_shape[i + 2] - inferred[i] for i in range(rank)], 0.0)
    return result
