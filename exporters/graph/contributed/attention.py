"""Attention as ONNX Runtime's transformer optimiser fuses it: Attention and MultiHeadAttention."""

from __future__ import annotations

from dataclasses import dataclass

from exporters.graph.contributed.heads import attended, causal, factor, heads, joined, keys_kept
from exporters.graph.contributed.linear import matmul_integer_to_float
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer, known_size

_PACKED = 5
_IN_HEADS = 4


@REWRITTEN.op("Attention", since=1, domain=DOMAIN, outputs=2)
def attention(
    write: Writer,
    input: Value,
    weights: Value,
    bias: Value | None = None,
    mask_index: Value | None = None,
    past: Value | None = None,
    attention_bias: Value | None = None,
    past_sequence_length: Value | None = None,
    num_heads: int = 1,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: list[int] | None = None,
    rotary_embedding_dim: int = 0,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Value, Value | None]:
    """Attention with the projections of queries, keys and values; keys and values with the past before them.

    `past` and the second output hold the keys and then the values: (2, batch, heads, length, size).
    """
    projected = write.MatMul(input, weights)
    projected = projected if bias is None else write.Add(projected, bias)
    widths = qkv_hidden_sizes or _thirds(weights)
    scores = Scores(scale, mask_filter_value, unidirectional)
    return _of_projected(write, projected, widths, num_heads, input, input, mask_index, past, attention_bias, scores)


@REWRITTEN.op("QAttention", since=1, domain=DOMAIN, outputs=2)
def q_attention(
    write: Writer,
    input: Value,
    weight: Value,
    bias: Value,
    input_scale: Value,
    weight_scale: Value,
    mask_index: Value | None = None,
    input_zero_point: Value | None = None,
    weight_zero_point: Value | None = None,
    past: Value | None = None,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    num_heads: int = 1,
    past_present_share_buffer: int = 0,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Value, Value | None]:
    """Attention whose projections are a product of integers."""
    projected = matmul_integer_to_float(
        write, input, weight, input_scale, weight_scale, input_zero_point, weight_zero_point, bias
    )
    scores = Scores(scale, mask_filter_value, unidirectional)
    return _of_projected(write, projected, _thirds(weight), num_heads, input, bias, mask_index, past, None, scores)


@dataclass(frozen=True)
class Scores:
    """How scores are made: their factor (None: by the size of a head), what is shut out, and whether what is later."""

    scale: float | None
    filter_value: float
    unidirectional: int


def _thirds(weights: Value) -> list[int]:
    width = known_size(weights, -1)
    if width is None:
        raise NotKnown(f"the size of '{weights.name}'")
    return [width // 3] * 3


def _of_projected(
    write: Writer,
    projected: Value,
    widths: list[int],
    count: int,
    x: Value,
    like: Value,
    mask: Value | None,
    past: Value | None,
    bias: Value | None,
    scores: Scores,
) -> tuple[Value, Value | None]:
    """Attention of queries, keys and values side by side; `x` has the batch, `like` the dtype."""
    parts = write.several("Split", 3, projected, split=widths, axis=-1)
    q, k, v = (heads(write, part, count, width // count) for part, width in zip(parts, widths, strict=True))
    if past is not None:
        k, v = (write.Concat(write.Gather(past, index), new, axis=2) for index, new in enumerate((k, v)))
    y, _ = _masked(write, q, k, v, x, like, mask, bias, widths[0] // count, scores)
    present = None
    if write.asks(1):
        present = write.Concat(write.Unsqueeze(k, axes=[0]), write.Unsqueeze(v, axes=[0]), axis=0)
    return joined(write, y, widths[2]), present


def _masked(
    write: Writer,
    q: Value,
    k: Value,
    v: Value,
    x: Value,
    like: Value,
    mask: Value | None,
    bias: Value | None,
    size: int | None,
    scores: Scores,
) -> tuple[Value, Value]:
    """Attention of queries, keys and values in heads of `size`; `x` has the batch, `like` the dtype."""
    queries = keys = x
    if mask is not None or scores.unidirectional:
        queries, keys = write.size(q, 2), write.size(k, 2)
    kept = None if mask is None else keys_kept(write, mask, x, queries, keys)
    return attended(
        write, q, k, v, like=like, scale=factor(size, scores.scale), bias=bias, mask=kept,
        later_shut=causal(write, queries, keys) if scores.unidirectional else None, filter_value=scores.filter_value,
    )  # fmt: skip


@REWRITTEN.op("MultiHeadAttention", since=1, domain=DOMAIN, outputs=4)
def multi_head_attention(
    write: Writer,
    query: Value,
    key: Value | None = None,
    value: Value | None = None,
    bias: Value | None = None,
    key_padding_mask: Value | None = None,
    attention_bias: Value | None = None,
    past_key: Value | None = None,
    past_value: Value | None = None,
    past_sequence_length: Value | None = None,
    cache_indirection: Value | None = None,
    num_heads: int = 1,
    mask_filter_value: float = -10000.0,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Value, Value, Value, Value]:
    """Attention of queries, keys and values given apart, or packed in one tensor of five axes."""
    q, k, v, size = _separate(write, query, key, value, bias, num_heads)
    if past_key is not None and past_value is not None:
        k, v = write.Concat(past_key, k, axis=2), write.Concat(past_value, v, axis=2)
    asked = Scores(scale, mask_filter_value, unidirectional)
    y, scores = _masked(write, q, k, v, query, query, key_padding_mask, attention_bias, size, asked)
    return joined(write, y), k, v, scores


def _separate(
    write: Writer, query: Value, key: Value | None, value: Value | None, bias: Value | None, count: int
) -> tuple[Value, Value, Value, int | None]:
    """Queries, keys and values, each (batch, heads, length, size), and that size."""
    if write.rank(query) == _PACKED:  # (batch, length, heads, 3, size)
        q, k, v = (write.Transpose(write.Gather(query, i, axis=3), perm=[0, 2, 1, 3]) for i in range(3))
        return q, k, v, known_size(query, 4)
    width = known_size(query, 2)
    size = None if width is None else width // count
    parts = _biases(write, bias, width)
    q = heads(write, _added(write, query, parts[0]), count, size)
    if key is None:
        raise NotKnown("keys")
    if write.rank(key) == _PACKED:  # (batch, length, heads, 2, size)
        k, v = (write.Transpose(write.Gather(key, i, axis=3), perm=[0, 2, 1, 3]) for i in range(2))
        return q, k, v, size
    if value is None:
        raise NotKnown("values")
    if write.rank(key) == _IN_HEADS:
        return q, key, value, size
    return (
        q, heads(write, _added(write, key, parts[1]), count, size), heads(write, _added(write, value, parts[2]), count),
        size,
    )  # fmt: skip


def _biases(write: Writer, bias: Value | None, width: int | None) -> list[Value | None]:
    if bias is None:
        return [None, None, None]
    total = known_size(bias, 0)
    if width is None or total is None:
        raise NotKnown("the size of a bias")
    return list(write.several("Split", 3, bias, split=[width, width, total - 2 * width], axis=0))


def _added(write: Writer, x: Value, bias: Value | None) -> Value:
    return x if bias is None else write.Add(x, bias)
