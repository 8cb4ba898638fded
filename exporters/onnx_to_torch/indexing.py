"""Gathering, scattering, sorting and selecting."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.integers import ordered, wide
from exporters.onnx_to_torch.shape import from_front
from exporters.onnx_to_torch.table import TORCH

# ONNX's names of a reduction -> torch's; TorchScript has no global dicts, hence a function


def _reduction(name: str) -> str:
    if name == "add":
        return "sum"
    if name == "mul":
        return "prod"
    return "amax" if name == "max" else "amin"


def _product(sizes: list[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _flat_index(indices: Tensor, sizes: list[int]) -> Tensor:
    """Rows of coordinates within `sizes` as positions in the flattened array."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=indices.device)
    for place, size in enumerate(sizes):
        flat = flat * size + from_front(indices.select(-1, place), size)
    return flat


@TORCH.op("GatherElements", since=11)
def gather_elements(data: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    return torch.gather(data, axis, from_front(indices, data.shape[axis]))


@TORCH.op("GatherND", since=11)
def gather_nd(data: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    """ONNX GatherND: the last axis of `indices` holds coordinates within `data`, after `batch_dims` shared axes."""
    depth = indices.shape[-1]
    batch = list(data.shape[:batch_dims])
    inner = list(data.shape[batch_dims : batch_dims + depth])
    rest = list(data.shape[batch_dims + depth :])
    outer = list(indices.shape[batch_dims:-1])
    flat = _flat_index(indices, inner).reshape([_product(batch), _product(outer)])
    table = data.reshape([_product(batch), _product(inner), _product(rest)])
    rows = torch.arange(table.shape[0], device=data.device).unsqueeze(1)
    return table[rows, flat].reshape(batch + outer + rest)


@TORCH.op("ScatterElements", since=11)
def scatter_elements(data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, reduction: str = "none") -> Tensor:
    places = from_front(indices, data.shape[axis])
    if reduction == "none":
        return torch.scatter(data, axis, places, updates)
    return torch.scatter_reduce(data, axis, places, updates, _reduction(reduction), include_self=True)


@TORCH.op("Scatter", since=9)
def scatter(data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0) -> Tensor:
    """ONNX Scatter, the old name of ScatterElements."""
    return scatter_elements(data, indices, updates, axis, "none")


@TORCH.op("ScatterND", since=11)
def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, reduction: str = "none") -> Tensor:
    """ONNX ScatterND: the last axis of `indices` holds coordinates within `data`."""
    depth = indices.shape[-1]
    inner = list(data.shape[:depth])
    width = _product(list(data.shape[depth:]))
    flat = _flat_index(indices, inner).reshape([-1, 1]).expand([-1, width])
    table = data.reshape([_product(inner), width])
    rows = updates.reshape([flat.shape[0], width])
    if reduction == "none":
        return torch.scatter(table, 0, flat, rows).reshape(data.shape)
    result = torch.scatter_reduce(table, 0, flat, rows, _reduction(reduction), include_self=True)
    return result.reshape(data.shape)


@TORCH.op("TensorScatter", since=24)
def tensor_scatter(
    past_cache: Tensor, update: Tensor, write_indices: Tensor | None = None, axis: int = -2, mode: str = "linear"
) -> Tensor:
    """ONNX TensorScatter: `update` written into the cache from each batch entry's own index on."""
    length = update.shape[axis]
    steps = torch.arange(length, device=update.device).unsqueeze(0)
    if write_indices is not None:
        steps = steps + write_indices.to(torch.int64).unsqueeze(1)
    if mode == "circular":
        steps = steps % past_cache.shape[axis]
    place = axis + update.dim() if axis < 0 else axis
    shape = [1] * update.dim()
    shape[0] = steps.shape[0]
    shape[place] = length
    return torch.scatter(past_cache, place, steps.reshape(shape).expand(update.shape), update)


@TORCH.op("NonZero", since=9)
def non_zero(X: Tensor) -> Tensor:
    """ONNX NonZero: one row per axis, one column per element found; a number alone is taken for a list of one."""
    return torch.nonzero(X.reshape([1]) if X.dim() == 0 else X).t()


@TORCH.op("Compress", since=9)
def compress(input: Tensor, condition: Tensor, axis: int | None = None) -> Tensor:
    """ONNX Compress: what `condition` marks, along `axis` or of the flattened input; it may be too short."""
    marked = torch.nonzero(condition).reshape([-1])
    if axis is None:
        return input.reshape([-1]).index_select(0, marked)
    return input.index_select(axis, marked)


@TORCH.op("TopK", since=11, outputs=2)
def top_k(X: Tensor, K: int, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    """ONNX TopK: of equal elements the one with the lower index comes first."""
    _, places = torch.sort(ordered(X), stable=True, dim=axis, descending=largest == 1)
    places = places.narrow(axis, 0, K)
    return torch.gather(wide(X), axis, places).to(X.dtype), places


@TORCH.op("TopK", since=1, outputs=2)
def top_k_1(X: Tensor, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    """ONNX TopK up to opset 9, whose k is an attribute."""
    return top_k(X, k, axis, 1, 1)


@TORCH.op("TopK", since=10, outputs=2)
def top_k_10(X: Tensor, K: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    return top_k(X, K, axis, 1, 1)


@TORCH.op("OneHot", since=9)
def one_hot(indices: Tensor, depth: int, values: Tensor, axis: int = -1) -> Tensor:
    """ONNX OneHot: `values` holds off and on; an index outside the depth is off everywhere."""
    place = axis + indices.dim() + 1 if axis < 0 else axis
    shape = [1] * (indices.dim() + 1)
    shape[place] = depth
    classes = torch.arange(depth, device=indices.device).reshape(shape)
    return torch.where(from_front(indices, depth).unsqueeze(place) == classes, values[1], values[0])


@TORCH.op("Unique", since=11, outputs=4)
def unique(X: Tensor, axis: int | None = None, sorted: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ONNX Unique: values, the index where each occurs first, the inverse, and the counts."""
    flat = X.reshape([-1]) if axis is None else X
    along = 0 if axis is None else axis
    values, inverse, counts = torch.unique(flat, sorted=True, return_inverse=True, return_counts=True, dim=along)
    order = torch.arange(flat.shape[along], device=X.device)
    first = torch.full([values.shape[along]], flat.shape[along], dtype=torch.int64, device=X.device)
    first = first.scatter_reduce(0, inverse, order, "amin")
    if sorted == 0:
        by_first = torch.argsort(first)
        values, first, counts = values.index_select(along, by_first), first[by_first], counts[by_first]
        inverse = torch.argsort(by_first)[inverse]
    return values, first, inverse, counts


@TORCH.op("ReverseSequence", since=10)
def reverse_sequence(input: Tensor, sequence_lens: Tensor, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    """ONNX ReverseSequence: the first `sequence_lens[b]` steps of each batch entry, backwards."""
    steps = torch.arange(input.shape[time_axis], device=input.device).unsqueeze(0)
    lengths = sequence_lens.to(torch.int64).unsqueeze(1)
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    if time_axis < batch_axis:
        places = places.t()
    shape = [1] * input.dim()
    shape[batch_axis] = input.shape[batch_axis]
    shape[time_axis] = input.shape[time_axis]
    return torch.gather(input, time_axis, places.reshape(shape).expand(input.shape))


@TORCH.op("Trilu", since=14)
def trilu(input: Tensor, k: int = 0, upper: int = 1) -> Tensor:
    return torch.triu(wide(input), k).to(input.dtype) if upper == 1 else torch.tril(wide(input), k).to(input.dtype)
