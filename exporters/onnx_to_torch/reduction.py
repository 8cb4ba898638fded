"""Reductions, and the positions of extremes; `axes` is an attribute in older opsets and an input in newer ones."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.integers import ordered, unordered, wide
from exporters.onnx_to_torch.table import TORCH


def _places(data: Tensor, axes: list[int] | None, noop_with_empty_axes: int) -> list[int]:
    """The axes to reduce, from the front: all of them where none is named, unless that is asked to mean none."""
    if axes is None or len(axes) == 0:
        count = data.dim() if noop_with_empty_axes == 0 else 0
        return [axis for axis in range(count)]  # noqa: C416 - TorchScript needs a list
    return [axis + data.dim() if axis < 0 else axis for axis in axes]


@TORCH.op("ReduceSum", since=1)
def reduce_sum(data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    if len(places) == 0:
        return data
    return wide(data).sum(places, keepdim=keepdims == 1).to(data.dtype)


@TORCH.op("ReduceMean", since=1)
def reduce_mean(
    data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    if len(places) == 0:
        return data
    if data.is_floating_point():
        return data.mean(places, keepdim=keepdims == 1)
    return data.to(torch.float64).mean(places, keepdim=keepdims == 1).to(data.dtype)


@TORCH.op("ReduceMax", since=1)
def reduce_max(data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    if len(places) == 0:
        return data
    if data.numel() == 0 and data.is_floating_point():  # the maximum of nothing
        return data.sum(places, keepdim=keepdims == 1) - float("inf")
    if data.dtype == torch.bool:  # of nothing, too
        return reduce_sum(data.to(torch.int32), axes, keepdims, noop_with_empty_axes) > 0
    return unordered(torch.amax(ordered(data), places, keepdim=keepdims == 1), data.dtype)


@TORCH.op("ReduceMin", since=1)
def reduce_min(data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    if len(places) == 0:
        return data
    if data.numel() == 0 and data.is_floating_point():  # the minimum of nothing
        return data.sum(places, keepdim=keepdims == 1) + float("inf")
    if data.dtype == torch.bool:  # of nothing, too
        return reduce_sum((~data).to(torch.int32), axes, keepdims, noop_with_empty_axes) == 0
    return unordered(torch.amin(ordered(data), places, keepdim=keepdims == 1), data.dtype)


@TORCH.op("ReduceProd", since=1)
def reduce_prod(
    data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    places.sort(reverse=True)
    result = wide(data)
    for axis in places:
        result = torch.prod(result, axis, keepdim=keepdims == 1)
    return result.to(data.dtype)


@TORCH.op("ReduceL1", since=1)
def reduce_l1(data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    return reduce_sum(torch.abs(data), axes, keepdims, noop_with_empty_axes)


@TORCH.op("ReduceSumSquare", since=1)
def reduce_sum_square(
    data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    return reduce_sum(data * data, axes, keepdims, noop_with_empty_axes)


@TORCH.op("ReduceL2", since=1)
def reduce_l2(data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    if data.is_floating_point():
        return torch.sqrt(reduce_sum_square(data, axes, keepdims, noop_with_empty_axes))
    return torch.sqrt(reduce_sum_square(data.to(torch.float64), axes, keepdims, noop_with_empty_axes)).to(data.dtype)


@TORCH.op("ReduceLogSum", since=1)
def reduce_log_sum(
    data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    return torch.log(reduce_sum(data, axes, keepdims, noop_with_empty_axes)).to(data.dtype)


@TORCH.op("ReduceLogSumExp", since=1)
def reduce_log_sum_exp(
    data: Tensor, axes: list[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Tensor:
    places = _places(data, axes, noop_with_empty_axes)
    if len(places) == 0:
        return data
    if not data.is_floating_point():
        return torch.logsumexp(data.to(torch.float64), places, keepdim=keepdims == 1).to(data.dtype)
    return torch.logsumexp(data, places, keepdim=keepdims == 1).to(data.dtype)


@TORCH.op("ArgMax", since=1)
def arg_max(data: Tensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """ONNX ArgMax: of equal extremes the first, or with `select_last_index` the last."""
    if select_last_index == 1:
        return data.shape[axis] - 1 - torch.argmax(ordered(data).flip([axis]), axis, keepdim=keepdims == 1)
    return torch.argmax(ordered(data), axis, keepdim=keepdims == 1)


@TORCH.op("ArgMin", since=1)
def arg_min(data: Tensor, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """ONNX ArgMin: of equal extremes the first, or with `select_last_index` the last."""
    if select_last_index == 1:
        return data.shape[axis] - 1 - torch.argmin(ordered(data).flip([axis]), axis, keepdim=keepdims == 1)
    return torch.argmin(ordered(data), axis, keepdim=keepdims == 1)


@TORCH.op("CumSum", since=11)
def cum_sum(x: Tensor, axis: int, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """ONNX CumSum: `exclusive` leaves an element out of its own sum, `reverse` sums from the end."""
    ahead = x.flip([axis]) if reverse == 1 else x
    total = torch.cumsum(wide(ahead), axis).to(x.dtype)
    if exclusive == 1:
        total = torch.cat([torch.zeros_like(total.narrow(axis, 0, 1)), total.narrow(axis, 0, x.shape[axis] - 1)], axis)
    return total.flip([axis]) if reverse == 1 else total


@TORCH.op("CumProd", since=26)
def cum_prod(x: Tensor, axis: int, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """ONNX CumProd: `exclusive` leaves an element out of its own product, `reverse` multiplies from the end."""
    ahead = x.flip([axis]) if reverse == 1 else x
    total = torch.cumprod(ahead, axis).to(x.dtype)
    if exclusive == 1:
        total = torch.cat([torch.ones_like(total.narrow(axis, 0, 1)), total.narrow(axis, 0, x.shape[axis] - 1)], axis)
    return total.flip([axis]) if reverse == 1 else total
