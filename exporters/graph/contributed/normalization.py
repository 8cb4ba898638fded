"""Normalisations fused with the sums before them, and embeddings."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.contributed.quantized import real
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer

Three = tuple[Value, Value, Value]
Four = tuple[Value, Value | None, Value | None, Value]


def normalized(write: Writer, x: Value, scale: Value, bias: Value | None, axis: int, epsilon: float) -> Three:
    """ONNX's LayerNormalization with its mean and the inverse of its deviation, spelled out where there is none."""
    if write.has("LayerNormalization"):
        if not write.asks(1) and not write.asks(2):
            y = write.LayerNormalization(x, scale, bias, axis=axis, epsilon=epsilon)
            return y, y, y
        y, mean, inverse = write.several("LayerNormalization", 3, x, scale, bias, axis=axis, epsilon=epsilon)
        return y, mean, inverse
    axes = _axes(write, x, axis)
    mean = write.ReduceMean(x, axes=axes, keepdims=1)
    apart = write.Sub(x, mean)
    variance = write.ReduceMean(write.Mul(apart, apart), axes=axes, keepdims=1)
    root = write.Sqrt(write.Add(variance, write.like(scale, epsilon)))
    y = write.Mul(write.Div(apart, root), scale)
    return (y if bias is None else write.Add(y, bias)), mean, write.Reciprocal(root)


def _axes(write: Writer, x: Value, axis: int) -> list[int]:
    return list(range(axis, 0)) if axis < 0 else list(range(axis, write.rank(x)))


@REWRITTEN.op("LayerNormalization", since=1, domain=DOMAIN, outputs=3)
def layer_normalization(
    write: Writer,
    X: Value,
    Scale: Value,
    B: Value | None = None,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
) -> Three:
    """LayerNormalization as ONNX Runtime had it before opset 17."""
    return normalized(write, X, Scale, B, axis, epsilon)


def rms(write: Writer, x: Value, scale: Value, axis: int, epsilon: float) -> tuple[Value, Value]:
    """RMS normalisation x / sqrt(mean(x^2) + epsilon) * scale, and the inverse of the root.

    float16 is computed in float32.
    """
    if write.has("RMSNormalization") and not write.asks(1) and not write.asks(2):
        y = write.RMSNormalization(x, scale, axis=axis, epsilon=epsilon)
        return y, y
    if x.dtype is None and scale.dtype is None:
        raise NotKnown(f"the type of '{x.name}'")
    narrow = (x.dtype or scale.dtype) in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    wide = write.Cast(x, to=int(ir.DataType.FLOAT)) if narrow else x
    mean = write.ReduceMean(write.Mul(wide, wide), axes=_axes(write, x, axis), keepdims=1)
    small = write.constant(np.float32(epsilon)) if narrow else write.like(scale, epsilon)
    inverse = write.Reciprocal(write.Sqrt(write.Add(mean, small)))
    y = write.Mul(wide, inverse)
    y = write.Cast(y, to=int(scale.dtype or ir.DataType.FLOAT16)) if narrow else y
    return write.Mul(y, scale), inverse


@REWRITTEN.op("SimplifiedLayerNormalization", since=1, domain=DOMAIN, outputs=2)
def simplified_layer_normalization(
    write: Writer,
    X: Value,
    scale: Value,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
) -> tuple[Value, Value]:
    """RMS normalisation, with the inverse of the root."""
    return rms(write, X, scale, axis, epsilon)


def _summed(write: Writer, x: Value, skip: Value, bias: Value | None) -> Value:
    total = write.Add(x, skip)
    return total if bias is None else write.Add(total, bias)


@REWRITTEN.op("SkipLayerNormalization", since=1, domain=DOMAIN, outputs=4)
def skip_layer_normalization(
    write: Writer,
    input: Value,
    skip: Value,
    gamma: Value,
    beta: Value | None = None,
    bias: Value | None = None,
    epsilon: float = 9.999999960041972e-13,
) -> Four:
    """LayerNormalization of input + skip + bias along the last axis; the sum is the last output."""
    total = _summed(write, input, skip, bias)
    return *normalized(write, total, gamma, beta, -1, epsilon), total


@REWRITTEN.op("SkipSimplifiedLayerNormalization", since=1, domain=DOMAIN, outputs=4)
def skip_simplified_layer_normalization(
    write: Writer,
    input: Value,
    skip: Value,
    gamma: Value,
    bias: Value | None = None,
    epsilon: float = 9.999999960041972e-13,
) -> Four:
    """RMS normalisation of input + skip + bias; the third output is the inverse of the root, the last the sum."""
    total = _summed(write, input, skip, bias)
    total.type = input.type
    y, inverse = rms(write, total, gamma, -1, epsilon)
    return y, None, inverse, total


@REWRITTEN.op("EmbedLayerNormalization", since=1, domain=DOMAIN, outputs=3)
def embed_layer_normalization(
    write: Writer,
    input_ids: Value,
    segment_ids: Value | None,
    word_embedding: Value,
    position_embedding: Value,
    segment_embedding: Value | None,
    gamma: Value,
    beta: Value,
    mask: Value | None = None,
    position_ids: Value | None = None,
    mask_index_type: int = 0,
    epsilon: float = 9.999999960041972e-13,
) -> Three:
    """The sum of embedded words, places and segments, normalised; and how many words each mask leaves."""
    total = write.Gather(word_embedding, input_ids)
    if position_ids is None:
        total = write.Add(total, write.Slice(position_embedding, [0], write.sizes(input_ids, 1, 2), [0]))
    else:
        total = write.Add(total, write.Gather(position_embedding, position_ids))
    if segment_ids is not None and segment_embedding is not None:
        total = write.Add(total, write.Gather(segment_embedding, segment_ids))
    # one that has no mask counts nothing
    counted = mask
    if counted is None:
        counted = write.Mul(write.Cast(input_ids, to=int(ir.DataType.INT32)), np.array([0], np.int32))
    counts = write.Cast(write.ReduceSum(counted, axes=[1], keepdims=0), to=int(ir.DataType.INT32))
    return _first(write, total, gamma, beta, epsilon), counts, total


@REWRITTEN.op("QEmbedLayerNormalization", since=1, domain=DOMAIN, outputs=2)
def q_embed_layer_normalization(
    write: Writer,
    input_ids: Value,
    segment_ids: Value | None,
    word_embedding_quant: Value,
    position_embedding_quant: Value,
    segment_embedding: Value | None,
    gamma_quant: Value,
    beta_quant: Value,
    mask: Value | None,
    word_embedding_scale: Value,
    position_embedding_scale: Value,
    segment_embedding_scale: Value | None,
    gamma_scale: Value,
    beta_scale: Value,
    word_embedding_zero_point: Value,
    position_embedding_zero_point: Value,
    segment_embedding_zero_point: Value | None,
    gamma_zero_point: Value,
    beta_zero_point: Value,
    epsilon: float = 9.999999960041972e-13,
) -> tuple[Value, Value]:
    """EmbedLayerNormalization of what integers stand for."""
    segments = None
    if segment_embedding is not None and segment_embedding_scale is not None:
        segments = real(write, segment_embedding, segment_embedding_scale, segment_embedding_zero_point)
    y, counts, _ = embed_layer_normalization(
        write, input_ids, segment_ids,
        real(write, word_embedding_quant, word_embedding_scale, word_embedding_zero_point),
        real(write, position_embedding_quant, position_embedding_scale, position_embedding_zero_point), segments,
        real(write, gamma_quant, gamma_scale, gamma_zero_point), real(write, beta_quant, beta_scale, beta_zero_point),
        mask, epsilon=epsilon,
    )  # fmt: skip
    return y, counts


def _first(write: Writer, total: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
    """The normalised sum alone: this operator's other outputs are not a LayerNormalization's."""
    if write.has("LayerNormalization"):
        return write.LayerNormalization(total, gamma, beta, axis=-1, epsilon=epsilon)
    return normalized(write, total, gamma, beta, -1, epsilon)[0]


@REWRITTEN.op("GroupNorm", since=1, domain=DOMAIN)
def group_norm(
    write: Writer,
    X: Value,
    gamma: Value,
    beta: Value,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
) -> Value:
    """Group normalisation of images with their channels last, through SiLU where `activation` is 1."""
    rank = write.rank(X)
    images = write.channels_first(X) if channels_last else X
    flat = write.Reshape(images, [0, groups, -1])
    plain = write.InstanceNormalization(
        flat, write.like(X, np.ones(groups)), write.like(X, np.zeros(groups)), epsilon=epsilon
    )
    y = write.Reshape(plain, write.Shape(images))
    after = list(range(1, rank - 1))
    y = write.Add(write.Mul(y, write.Unsqueeze(gamma, axes=after)), write.Unsqueeze(beta, axes=after))
    y = write.Mul(y, write.Sigmoid(y)) if activation else y
    return write.channels_last(y, rank) if channels_last else y


@REWRITTEN.op("SkipGroupNorm", since=1, domain=DOMAIN, outputs=2)
def skip_group_norm(
    write: Writer,
    X: Value,
    gamma: Value,
    beta: Value,
    skip: Value,
    bias: Value | None = None,
    activation: int = 0,
    groups: int = 1,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
) -> tuple[Value, Value]:
    """GroupNorm of X + skip + bias, and that sum; `skip` may lack the two axes of the image, or have size 1 there."""
    added = write.Unsqueeze(skip, axes=[1, 2]) if write.rank(skip) < write.rank(X) else skip
    total = _summed(write, X, added, bias)
    total.shape, total.type = X.shape, X.type
    return group_norm(write, total, gamma, beta, activation, groups, channels_last, epsilon), total
