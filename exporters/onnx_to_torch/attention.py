"""ONNX's Attention, with all that it may be asked for: caches, masks of every kind, windows, and its inner products."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.activation import softmax
from exporters.onnx_to_torch.table import TORCH


def _heads(x: Tensor, count: int | None) -> Tensor:
    """(batch, heads, length, size), of a tensor that may hold all heads side by side."""
    if x.dim() == 4:
        return x
    assert count is not None
    return x.reshape([x.shape[0], x.shape[1], count, x.shape[2] // count]).transpose(1, 2)


def _longer(mask: Tensor, length: int, broadcasts: bool) -> Tensor:
    """A mask for as many keys: no query looks at those that it does not tell of."""
    missing = length - mask.shape[-1]
    if missing <= 0 or (broadcasts and mask.shape[-1] == 1):
        return mask
    filler = torch.zeros([1], dtype=mask.dtype, device=mask.device)
    if mask.dtype != torch.bool:
        filler = filler - math.inf
    return torch.cat([mask, filler.expand(list(mask.shape[:-1]) + [missing])], -1)  # noqa: RUF005 - TorchScript


def _allowed(
    query: Tensor, keys: int, lengths: Tensor | None, past: int, causal: bool, left: int, right: int
) -> Tensor:
    """Which key each query may look at for its place, (queries, keys) or (batch, 1, queries, keys)."""
    rows = torch.arange(query.shape[2], device=query.device).unsqueeze(1)
    columns = torch.arange(keys, device=query.device).unsqueeze(0)
    distance = rows + past - columns  # how far the key lies behind the query
    allowed = torch.ones_like(distance, dtype=torch.bool)
    if lengths is not None:  # the queries are the last of as many valid keys
        valid = lengths.reshape([-1, 1, 1, 1])
        distance = rows + (valid - query.shape[2]) - columns
        allowed = (columns < valid).expand(distance.shape)
    if causal:
        allowed = allowed & (distance >= 0)
    if left >= 0:
        allowed = allowed & (distance <= left)
    if right >= 0:
        allowed = allowed & (-distance <= right)
    return allowed


def _added(allowed: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(allowed, dtype=like.dtype).masked_fill(allowed.logical_not(), -math.inf)


def _bias(
    query: Tensor,
    keys: int,
    mask: Tensor | None,
    lengths: Tensor | None,
    past: int,
    causal: bool,
    left: int,
    right: int,
) -> Tensor | None:
    """What is added to the scores."""
    bias: Tensor | None = None
    if mask is not None:
        bias = _added(mask, query) if mask.dtype == torch.bool else mask
        if bias.dim() < 2:
            bias = bias.unsqueeze(0)
    if causal or lengths is not None or left >= 0 or right >= 0:
        placed = _added(_allowed(query, keys, lengths, past, causal, left, right), query)
        bias = placed if bias is None else bias + placed
    return bias


def _attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float | None, softcap: float,
    precision: torch.dtype | None, mode: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The result, and the scores as `mode` wants them, computed step by step as ONNX defines them."""
    factor = math.sqrt(1.0 / math.sqrt(query.shape[3]) if scale is None else scale)
    root = torch.full([], factor, dtype=query.dtype, device=query.device)  # rounded before it multiplies
    scores = torch.matmul(query * root, (key * root).transpose(2, 3))
    shown = scores
    if softcap > 0.0:
        scores = torch.tanh(scores / softcap) * softcap
        if mode == 1:
            shown = scores
    if bias is not None:
        scores = scores + bias
    if mode == 2:
        shown = scores
    weights = softmax(scores if precision is None else scores.to(precision), -1)
    if bias is not None:
        empty = (bias == -math.inf).all(-1, keepdim=True)
        weights = weights.masked_fill(empty, 0.0)
    weights = weights.to(query.dtype)
    if mode == 3:
        shown = weights
    return torch.matmul(weights, value), shown


def _attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, past_key: Tensor | None, past_value: Tensor | None,
    lengths: Tensor | None, causal: bool, kv_num_heads: int | None, left: int, q_num_heads: int | None,
    mode: int, right: int, scale: float | None, softcap: float, precision: torch.dtype | None, broadcasts: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """ONNX Attention: the result, all keys and values with those of the past, and the scores; without, if `mode` < 0.

    A query that may look at no key gets zeros. A mask of one key is one for all where it `broadcasts`.
    """
    query, key, value = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    past = 0
    if past_key is not None and past_value is not None:
        past = past_key.shape[2]
        key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
    bias: Tensor | None = None
    if mask is not None:
        bias = _longer(mask, key.shape[2], broadcasts)
    bias = _bias(query, key.shape[2], bias, lengths, past, causal, left, right)
    keys, values = key, value
    if query.shape[1] > key.shape[1]:
        shared = query.shape[1] // key.shape[1]
        keys, values = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    wide = query.dtype == torch.float32 or query.dtype == torch.float64  # noqa: PLR1714 - TorchScript's exporter
    if mode < 0 and softcap <= 0.0 and precision is None and wide:
        y, scores = nnf.scaled_dot_product_attention(query, keys, values, bias, scale=scale), query
    else:
        y, scores = _attend(query, keys, values, bias, scale, softcap, precision, mode)
    if q.dim() == 3:
        y = y.transpose(1, 2).reshape([y.shape[0], y.shape[2], y.shape[1] * y.shape[3]])
    return y, key, value, scores


@TORCH.op("Attention", since=23, outputs=3)
def attention_23(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX Attention of opset 23, where a mask tells of all keys."""
    y, keys, values, _ = _attention(
        Q, K, V, attn_mask, past_key, past_value, None, is_causal == 1, kv_num_heads,
        -1, q_num_heads, -1, -1, scale, softcap, softmax_precision, True,
    )  # fmt: skip
    return y, keys, values


@TORCH.op("Attention", since=23, outputs=4)
def attention_23_with_scores(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _attention(
        Q, K, V, attn_mask, past_key, past_value, None, is_causal == 1, kv_num_heads,
        -1, q_num_heads, qk_matmul_output_mode, -1, scale, softcap, softmax_precision, True,
    )  # fmt: skip


@TORCH.op("Attention", since=24, outputs=3)
def attention_24(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX Attention of opset 24, where samples may have fewer keys than there is room for."""
    y, keys, values, _ = _attention(
        Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen, is_causal == 1, kv_num_heads,
        -1, q_num_heads, -1, -1, scale, softcap, softmax_precision, False,
    )  # fmt: skip
    return y, keys, values


@TORCH.op("Attention", since=24, outputs=4)
def attention_24_with_scores(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _attention(
        Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen, is_causal == 1, kv_num_heads,
        -1, q_num_heads, qk_matmul_output_mode, -1, scale, softcap, softmax_precision, False,
    )  # fmt: skip


@TORCH.op("Attention", since=25, outputs=3)
def attention_25(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX Attention, with windows around each query."""
    y, keys, values, _ = _attention(
        Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen, is_causal == 1, kv_num_heads,
        left_window_size, q_num_heads, -1, right_window_size, scale, softcap, softmax_precision, False,
    )  # fmt: skip
    return y, keys, values


@TORCH.op("Attention", since=25, outputs=4)
def attention_25_with_scores(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _attention(
        Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen, is_causal == 1, kv_num_heads,
        left_window_size, q_num_heads, qk_matmul_output_mode, right_window_size, scale, softcap, softmax_precision,
        False,
    )  # fmt: skip
