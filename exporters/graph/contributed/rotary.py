"""Rotary embeddings, and the attention of decoders that uses them and keeps its keys and values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.contributed.heads import at_least, counted, factor, heads, joined
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer, known_size

_FLAT = 3
_LAST = np.iinfo(np.int64).max


def _rotated(write: Writer, x: Value, places: Value, cosines: Value, sines: Value, interleaved: int) -> Value:
    """(batch, heads, length, size) turned by the angles of `places` (batch, length), in its first elements alone.

    A pair (a, b) becomes (a cos - b sin, a sin + b cos): neighbours, or elements of the two halves.
    """
    half = known_size(cosines, -1)
    if half is None:
        raise NotKnown(f"the size of '{cosines.name}'")
    cos, sin = (write.Unsqueeze(write.Gather(cache, places), axes=[1]) for cache in (cosines, sines))
    if interleaved:
        a, b = (write.Slice(x, [first], [2 * half], [3], [2]) for first in (0, 1))
    else:
        a, b = (write.Slice(x, [first], [first + half], [3]) for first in (0, half))
    left = write.Sub(write.Mul(a, cos), write.Mul(b, sin))
    right = write.Add(write.Mul(a, sin), write.Mul(b, cos))
    rest = write.Slice(x, [2 * half], [_LAST], [3])
    if not interleaved:
        return write.Concat(left, right, rest, axis=-1)
    pairs = write.Concat(write.Unsqueeze(left, axes=[4]), write.Unsqueeze(right, axes=[4]), axis=-1)
    return write.Concat(write.Reshape(pairs, [0, 0, 0, 2 * half]), rest, axis=-1)


@REWRITTEN.op("RotaryEmbedding", since=1, domain=DOMAIN)
def rotary_embedding(
    write: Writer,
    input: Value,
    position_ids: Value,
    cos_cache: Value,
    sin_cache: Value,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Value:
    """Rotary embedding of (batch, length, hidden) or (batch, heads, length, size); one place stands for the first."""
    flat = write.rank(input) == _FLAT
    x = input
    if flat:
        width, half = known_size(input, 2), known_size(cos_cache, 1)
        if not num_heads and (width is None or half is None):
            raise NotKnown("the number of heads")
        x = heads(write, input, num_heads or (width or 0) // (2 * (half or 1)))
    places = position_ids
    if write.rank(position_ids) == 1:
        places = write.Add(write.Unsqueeze(position_ids, axes=[0]), counted(write, write.size(x, 2)))
    y = _rotated(write, x, places, cos_cache, sin_cache, interleaved)
    return joined(write, y, known_size(input, 2)) if flat else y


@REWRITTEN.op("GroupQueryAttention", since=1, domain=DOMAIN, outputs=3)
def group_query_attention(
    write: Writer,
    query: Value,
    key: Value | None,
    value: Value | None,
    past_key: Value | None,
    past_value: Value | None,
    seqlens_k: Value,
    total_sequence_length: Value,
    cos_cache: Value | None = None,
    sin_cache: Value | None = None,
    position_ids: Value | None = None,
    attention_bias: Value | None = None,
    head_sink: Value | None = None,
    k_scale: Value | None = None,
    v_scale: Value | None = None,
    q_norm_weight: Value | None = None,
    k_norm_weight: Value | None = None,
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
) -> tuple[Value, Value, Value]:
    """Causal attention of several query heads per key head, with keys and values kept from call to call.

    `seqlens_k` holds, per entry, how many keys there are with the new ones, less one; what an entry's cache holds
    beyond them is neither read nor kept in order.
    """
    q, k, v, size = _projections(write, query, key, value, num_heads, kv_num_heads)
    whole = int(ir.DataType.INT64)
    totals = write.Add(write.Cast(write.Reshape(seqlens_k, [-1, 1]), to=whole), [1])
    length = write.size(q, 2)
    total = write.scalar(write.Cast(total_sequence_length, to=whole))
    places = counted(write, length)  # where each entry's new keys go, (entries or 1, length)
    if past_key is not None:
        behind = write.Max(write.Sub(totals, length), write.constant(np.zeros([1, 1], np.int64)))
        behind = write.Where(write.Equal(length, total), write.constant(np.int64(0)), behind)
        places = write.Add(behind, places)
    else:
        places = write.Add(write.Mul(totals, np.zeros([1, 1], np.int64)), places)
    if do_rotary:
        if cos_cache is None or sin_cache is None:
            raise NotKnown("cosines and sines")
        angles = places if position_ids is None else position_ids
        q, k = (_rotated(write, x, angles, cos_cache, sin_cache, rotary_interleaved) for x in (q, k))
    if past_key is not None and past_value is not None:
        k, v = (_kept(write, past, new, places, total) for past, new in ((past_key, k), (past_value, v)))
    shut = _shut(write, counted(write, write.size(k, 2)), totals, places, causal, local_window_size)
    groups = num_heads // kv_num_heads
    keys, values = (_repeated(write, x, kv_num_heads, groups, size) for x in (k, v))
    scaled = write.Mul(q, write.like(query, factor(size, scale)))
    scores = write.MatMul(scaled, write.Transpose(keys, perm=[0, 1, 3, 2]))
    if softcap > 0:
        cap = write.like(query, softcap)
        scores = write.Mul(cap, write.Tanh(write.Div(scores, cap)))
    scores = scores if attention_bias is None else write.Add(scores, attention_bias)
    scores = write.Where(write.Unsqueeze(shut, axes=[1]), write.like(query, -np.inf), scores)
    y = joined(write, write.MatMul(write.Softmax(scores, axis=-1), values), num_heads * size)
    return y, k, v


def _projections(
    write: Writer, query: Value, key: Value | None, value: Value | None, count: int, shared: int
) -> tuple[Value, Value, Value, int]:
    """Queries, keys and values in heads, and the size of a head."""
    width = known_size(query, 2)
    if width is None:
        raise NotKnown(f"the width of '{query.name}'")
    if key is None or value is None:  # all three side by side
        size = width // (count + 2 * shared)
        query, key, value = write.several("Split", 3, query, split=[count * size, shared * size, shared * size], axis=2)
    else:
        size = width // count
    return heads(write, query, count, size), heads(write, key, shared, size), heads(write, value, shared, size), size


def _kept(write: Writer, past: Value, new: Value, places: Value, total: Value) -> Value:
    """The cache with the new elements at their places, grown to `total` of them where it holds fewer."""
    more = write.Max(write.Sub(total, write.size(past, 2)), write.constant(np.int64(0)))
    pads = write.Concat([0, 0, 0, 0, 0, 0], write.Unsqueeze(more, axes=[0]), [0], axis=0)
    index = write.Expand(write.Unsqueeze(places, axes=[1, 3]), write.Shape(new))
    return write.ScatterElements(write.Pad(past, pads), index, new, axis=2)


def _shut(write: Writer, columns: Value, totals: Value, places: Value, causal: int, window: int) -> Value:
    """Which keys a query may not look at, (entries, length, keys): those that are not there, later ones, far ones."""
    shut = at_least(write, columns, write.Unsqueeze(totals, axes=[2]))
    rows = write.Unsqueeze(places, axes=[2])
    if causal:
        shut = write.Or(shut, write.Less(rows, columns))
    if window > 0:
        shut = write.Or(shut, at_least(write, write.Sub(rows, [window]), columns))
    return shut


def _repeated(write: Writer, x: Value, count: int, times: int, size: int) -> Value:
    """Each of `count` heads `times` in a row."""
    if times == 1:
        return x
    copies = write.Concat(*[write.Unsqueeze(x, axes=[2])] * times, axis=2)
    return write.Reshape(copies, [0, count * times, -1, size])
