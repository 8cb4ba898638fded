"""Attention as ONNX Runtime's transformer optimiser fuses it: Attention, MultiHeadAttention, GroupQueryAttention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.table import TORCH


def _heads(x: Tensor, count: int) -> Tensor:
    """(batch, length, count * size) -> (batch, count, length, size)."""
    return x.reshape([x.shape[0], x.shape[1], count, -1]).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    """Undo `_heads`."""
    return x.transpose(1, 2).reshape([x.shape[0], x.shape[2], -1])


def _key_mask(mask: Tensor, batch: int, queries: int, keys: int) -> Tensor:
    """Which keys each query may look at, (batch, 1, 1 or queries, keys), from any of ONNX Runtime's forms of a mask.

    These are: the number of keys of each entry; those numbers and then where each entry begins; those, and then the
    running totals of lengths; 0 and 1 per key; per query and key; or a square of which the last queries are used.
    """
    places = torch.arange(keys, device=mask.device)
    if mask.dim() == 1:
        kept = places < mask[:batch].unsqueeze(1)
        if mask.shape[0] == 2 * batch:
            kept = kept & (places >= mask[batch:].unsqueeze(1))
        return kept.reshape([batch, 1, 1, keys])
    if mask.dim() == 2:
        return mask.to(torch.bool).reshape([mask.shape[0], 1, 1, keys])
    if mask.dim() == 3:
        return mask.to(torch.bool).unsqueeze(1)
    return mask.to(torch.bool)[:, :, keys - queries : keys, :keys]


def _causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """Which keys come no later than a query, the last query being in the place of the last key."""
    return torch.ones([queries, keys], dtype=torch.bool, device=device).tril(keys - queries)


def _attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    scale: float | None,
    filter_value: float,
    unidirectional: int,
) -> tuple[Tensor, Tensor]:
    """Attention of (batch, heads, length, size) tensors, and its scores before the softmax.

    What a mask shuts out counts as `filter_value` and not as nothing: where all is shut out, all counts alike.
    """
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None or scale == 0.0 else scale
    scores = torch.matmul(q, k.transpose(-1, -2)) * factor
    if bias is not None:
        scores = scores + bias
    if unidirectional == 1:
        kept = _causal(q.shape[2], k.shape[2], q.device)
        lowest = torch.full([], filter_value, dtype=q.dtype, device=q.device)
        scores = torch.where(kept, scores, lowest if mask is not None else lowest - float("inf"))
    if mask is not None:
        scores = scores + (~mask).to(q.dtype) * filter_value
    return torch.matmul(torch.softmax(scores, -1), v), scores


@TORCH.op("Attention", since=1, domain=DOMAIN, outputs=2)
def attention(
    input: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    mask_index: Tensor | None = None,
    past: Tensor | None = None,
    attention_bias: Tensor | None = None,
    past_sequence_length: Tensor | None = None,
    num_heads: int = 1,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: list[int] | None = None,
    rotary_embedding_dim: int = 0,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Tensor, Tensor]:
    """Attention with the projections of queries, keys and values; keys and values with the past before them."""
    projected = torch.matmul(input, weights)
    if bias is not None:
        projected = projected + bias
    third = projected.shape[-1] // 3
    sizes = [third, third, third] if qkv_hidden_sizes is None else qkv_hidden_sizes
    parts = torch.split(projected, sizes, -1)
    q, k, v = _heads(parts[0], num_heads), _heads(parts[1], num_heads), _heads(parts[2], num_heads)
    if past is not None:
        k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
    mask: Tensor | None = None
    if mask_index is not None:
        mask = _key_mask(mask_index, q.shape[0], q.shape[2], k.shape[2])
    y, _ = _attended(q, k, v, mask, attention_bias, scale, mask_filter_value, unidirectional)
    present = torch.stack([k, v]) if k.shape == v.shape else k
    return _joined(y), present


@TORCH.op("MultiHeadAttention", since=1, domain=DOMAIN, outputs=4)
def multi_head_attention(
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    bias: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    attention_bias: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    past_sequence_length: Tensor | None = None,
    cache_indirection: Tensor | None = None,
    num_heads: int = 1,
    mask_filter_value: float = -10000.0,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Attention of queries, keys and values given apart, or packed in one tensor of five axes."""
    if query.dim() == 5:
        q, k, v = [part.transpose(1, 2) for part in query.unbind(3)]
    elif key is None:
        raise AssertionError("MultiHeadAttention without keys")
    elif key.dim() == 5:
        q = _heads(query, num_heads)
        k, v = [part.transpose(1, 2) for part in key.unbind(3)]
    else:
        assert value is not None, "MultiHeadAttention without values"
        q = _heads(query, num_heads)
        k = key if key.dim() == 4 else _heads(key, num_heads)
        v = value if value.dim() == 4 else _heads(value, num_heads)
        if bias is not None:
            width = query.shape[2]
            q = q + _heads(bias[:width].reshape([1, 1, -1]), num_heads)
            if key.dim() == 3:
                k = k + _heads(bias[width : 2 * width].reshape([1, 1, -1]), num_heads)
                v = v + _heads(bias[2 * width :].reshape([1, 1, -1]), num_heads)
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    mask: Tensor | None = None
    if key_padding_mask is not None:
        mask = _key_mask(key_padding_mask, q.shape[0], q.shape[2], k.shape[2])
    y, scores = _attended(q, k, v, mask, attention_bias, scale, mask_filter_value, unidirectional)
    return _joined(y), k, v, scores


def _rotated(x: Tensor, places: Tensor, cos_cache: Tensor, sin_cache: Tensor, interleaved: int) -> Tensor:
    """(batch, heads, length, size) turned by the angles of `places` (batch, length), in its first elements alone."""
    half = cos_cache.shape[-1]
    cosine, sine = cos_cache[places].unsqueeze(1), sin_cache[places].unsqueeze(1)
    turned, rest = x[..., : 2 * half], x[..., 2 * half :]
    if interleaved == 1:
        first, second = turned[..., 0::2], turned[..., 1::2]
        pairs = torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1).flatten(-2)
        return torch.cat([pairs, rest], -1)
    first, second = turned[..., :half], turned[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine, rest], -1)


@TORCH.op("RotaryEmbedding", since=1, domain=DOMAIN)
def rotary_embedding(
    input: Tensor,
    position_ids: Tensor,
    cos_cache: Tensor,
    sin_cache: Tensor,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Tensor:
    """Rotary embedding of (batch, length, hidden) or (batch, heads, length, size); one place stands for the first."""
    x = input
    if input.dim() == 3:
        heads = num_heads
        if heads == 0:
            heads = input.shape[2] // (2 * cos_cache.shape[1])
        x = _heads(input, heads)
    places = position_ids
    if position_ids.numel() == 1:
        places = position_ids.reshape([1, 1]) + torch.arange(x.shape[2], device=x.device).unsqueeze(0)
    y = _rotated(x, places.expand([x.shape[0], x.shape[2]]), cos_cache, sin_cache, interleaved)
    return _joined(y) if input.dim() == 3 else y


@TORCH.op("GroupQueryAttention", since=1, domain=DOMAIN, outputs=3)
def group_query_attention(
    query: Tensor,
    key: Tensor | None,
    value: Tensor | None,
    past_key: Tensor | None,
    past_value: Tensor | None,
    seqlens_k: Tensor,
    total_sequence_length: int,
    cos_cache: Tensor | None = None,
    sin_cache: Tensor | None = None,
    position_ids: Tensor | None = None,
    attention_bias: Tensor | None = None,
    head_sink: Tensor | None = None,
    k_scale: Tensor | None = None,
    v_scale: Tensor | None = None,
    q_norm_weight: Tensor | None = None,
    k_norm_weight: Tensor | None = None,
    num_heads: int = 1,
    kv_num_heads: int = 1,
    causal: int = 1,
    do_rotary: int = 0,
    k_quant_type: str = "NONE",
    kv_cache_bit_width: int = 0,
    local_window_size: int = -1,
    qk_norm_epsilon: float = 9.999999974752427e-07,
    qk_output: int = 0,
    rotary_interleaved: int = 0,
    scale: float | None = None,
    sliding_window_cache: int = 0,
    smooth_softmax: int = -1,
    softcap: float = 0.0,
    v_quant_type: str = "NONE",
) -> tuple[Tensor, Tensor, Tensor]:
    """Causal attention of several query heads per key head, with keys and values kept from call to call.

    `seqlens_k` holds, per entry, how many keys there are with the new ones, less one; what an entry's cache holds
    beyond them is neither read nor kept in order.
    """
    if key is None or value is None:
        size = query.shape[2] // (num_heads + 2 * kv_num_heads)
        parts = torch.split(query, [num_heads * size, kv_num_heads * size, kv_num_heads * size], 2)
        q, k, v = _heads(parts[0], num_heads), _heads(parts[1], kv_num_heads), _heads(parts[2], kv_num_heads)
    else:
        q, k, v = _heads(query, num_heads), _heads(key, kv_num_heads), _heads(value, kv_num_heads)
    length = q.shape[2]
    totals = seqlens_k.reshape([-1]).to(torch.int64) + 1
    first = torch.zeros_like(totals)  # where each entry's new keys go
    if past_key is not None and length != total_sequence_length:
        first = torch.clamp(totals - length, min=0)
    places = first.unsqueeze(1) + torch.arange(length, device=q.device).unsqueeze(0)
    if do_rotary == 1:
        assert cos_cache is not None, "GroupQueryAttention without cosines"
        assert sin_cache is not None, "GroupQueryAttention without sines"
        angles = places if position_ids is None else position_ids.to(torch.int64).expand(places.shape)
        q = _rotated(q, angles, cos_cache, sin_cache, rotary_interleaved)
        k = _rotated(k, angles, cos_cache, sin_cache, rotary_interleaved)
    if past_key is not None and past_value is not None:
        room = max(total_sequence_length, past_key.shape[2])
        index = places.reshape([k.shape[0], 1, length, 1])
        k = _kept(past_key, k, index, room)
        v = _kept(past_value, v, index, room)
    keys = k.shape[2]
    groups = num_heads // kv_num_heads
    columns = torch.arange(keys, device=q.device)
    shut = columns >= totals.reshape([-1, 1, 1])
    if causal == 1:
        shut = shut | (columns > places.unsqueeze(2))
    if local_window_size > 0:
        shut = shut | (columns <= places.unsqueeze(2) - local_window_size)
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None or scale == 0.0 else scale
    scores = torch.matmul(q, k.repeat_interleave(groups, 1).transpose(-1, -2)) * factor
    if softcap > 0.0:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_bias is not None:
        scores = scores + attention_bias
    scores = scores.masked_fill(shut.unsqueeze(1), float("-inf"))
    y = torch.matmul(torch.softmax(scores, -1), v.repeat_interleave(groups, 1))
    return _joined(y), k, v


def _kept(past: Tensor, new: Tensor, index: Tensor, room: int) -> Tensor:
    """The cache with the new elements at their places, grown to `room` of them."""
    grown = torch.constant_pad_nd(past, [0, 0, 0, room - past.shape[2]], 0.0)
    return grown.scatter(2, index.expand(new.shape), new)
