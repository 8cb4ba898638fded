"""Operators that no ONNX graph holds, but that stand for what a graph spells out (see `exporters.graph.patterns`)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.graph.operator_table import FUSED
from exporters.onnx_to_torch.table import TORCH

_is_scripting = torch.jit.is_scripting  # type: ignore[attr-defined]  # PyTorch left it out of its own list


@TORCH.op("ScaledDotProductAttention", since=1, domain=FUSED)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    scale: float = 1.0,
    empty_rows: str = "nan",
    mask_fits: int = 0,
    groups: int = 1,
    causal: int = 0,
) -> Tensor:
    """Attention in three or four dimensions; a mask is added, or, if boolean, True where a query may look.

    Args:
        query: (..., queries, features).
        key: (..., keys, features).
        value: (..., keys, values); keys' and values' heads are on the second of four axes.
        mask: broadcast to (..., queries, keys).
        scale: factor of the products.
        empty_rows: what a query that may look at nothing gets: "nan", "zero", or "mean" of all values.
        mask_fits: 1 where the mask is known not to make the scores larger.
        groups: how many heads of the query share one of the keys and values.
        causal: 1 where a query looks at no later key; then there is no mask.
    """
    if groups > 1 and query.shape[1] != groups * key.shape[1]:  # one head of the query stands for all
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        groups = 1
    if mask is None:
        return _attend(query, key, value, None, scale, groups, causal == 1)
    if mask.dim() < 2:  # a scalar, such as a bias of every score: PyTorch wants two dimensions at least
        mask = mask.reshape([1] * (2 - mask.dim()) + list(mask.shape))
    if mask_fits == 0 and not _fits(mask, query, key):
        return _spelled_out(query, key, value, mask, scale, empty_rows, groups)
    if mask.dtype != torch.bool:
        if empty_rows == "nan":
            mask = nan_where_empty(mask)
        return _attend(query, key, value, mask, scale, groups)
    if empty_rows == "zero":
        return _attend(query, key, value, mask, scale, groups)
    if empty_rows == "mean" and query.dtype not in (torch.float32, torch.float64):
        return _spelled_out(query, key, value, mask, scale, empty_rows, groups)
    return _attend(query, key, value, as_added(mask, query, empty_rows == "mean"), scale, groups)


def nan_where_empty(mask: Tensor) -> Tensor:
    """A mask that is added: PyTorch gives 0 where a whole row is -inf; the softmax of such a row is NaN."""
    return mask.masked_fill((mask == -math.inf).all(-1, keepdim=True), math.nan)


def as_added(mask: Tensor, query: Tensor, mean: bool) -> Tensor:
    """A boolean mask as one that is added; a query that may look at nothing gets the mean of all values, or NaN."""
    added = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask.logical_not(), -math.inf)
    empty = mask.any(-1, keepdim=True).logical_not()
    # Beside -1e30 every score is lost, so that all keys of the row weigh the same.
    return added.masked_fill(empty, -1e30 if mean else math.nan)


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, groups: int, causal: bool
) -> Tensor:
    """Attention in four dimensions of which `groups` heads of the query share one of the keys and values."""
    if not _is_scripting():  # noqa: SIM102 - TorchScript compiles nothing behind it
        if torch.onnx.is_in_onnx_export():  # the older exporter knows no shared heads
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
            return nnf.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale)
    return nnf.scaled_dot_product_attention(query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=True)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, groups: int, causal: bool = False
) -> Tensor:
    if query.dim() == 4:
        return nnf.scaled_dot_product_attention(
            query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=groups > 1
        )
    # In four dimensions PyTorch has its fast kernels: all heads of all samples become the heads of one.
    if mask is not None and mask.dim() == 3:
        mask = mask.unsqueeze(0)
    heads = nnf.scaled_dot_product_attention(
        query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0), mask, scale=scale
    )
    return heads.squeeze(0)


def _fits(mask: Tensor, query: Tensor, key: Tensor) -> bool:
    for axis in range(1, mask.dim() + 1):
        size = mask.shape[-axis]
        if size != 1 and size != (key.shape[-2] if axis == 1 else query.shape[-axis]):
            return False
    return True


def _spelled_out(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, empty_rows: str, groups: int
) -> Tensor:
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.matmul(query, key.transpose(-2, -1)) * scale
    if mask.dtype == torch.bool:
        far = -1e30 if scores.dtype in (torch.float32, torch.float64) else -6e4
        scores = torch.where(mask, scores, far if empty_rows == "mean" else -math.inf)
    else:
        scores = scores + mask
    weights = torch.softmax(scores, -1)
    if empty_rows == "zero":
        weights = torch.where(torch.isnan(weights), torch.zeros_like(weights), weights)
    return torch.matmul(weights, value)


@TORCH.op("Linear", since=1, domain=FUSED)
def linear(x: Tensor, weight: Tensor, bias: Tensor, transB: int = 0) -> Tensor:
    """A linear layer; unless `transB`, the weight is laid out as (inputs, outputs)."""
    return nnf.linear(x, weight if transB == 1 else weight.t(), bias)


@TORCH.op("RotateHalves", since=1, domain=FUSED)
def rotate_halves(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding: each element of the first half and its partner in the second one, turned by their angle."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return torch.addcmul(x * cosine, turned, sine)


@TORCH.op("RotatePairs", since=1, domain=FUSED)
def rotate_pairs(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding: each element and its neighbour, turned by their angle."""
    turned = torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    return torch.addcmul(x * cosine, turned, sine)


@TORCH.op("Places", since=1, domain=FUSED)
def places(x: Tensor, axis: int = 0) -> Tensor:
    """0, 1, 2 and so on, as many as `x` is long along the axis."""
    return torch.arange(x.shape[axis], device=x.device)
