"""Normalisations fused with the sums before them, and embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch.microsoft import DOMAIN
from exporters.onnx_to_torch.normalization import (
    group_normalization,
    layer_normalization,
    layer_normalization_with_statistics,
)
from exporters.onnx_to_torch.table import TORCH


def _summed(input: Tensor, skip: Tensor, bias: Tensor | None) -> Tensor:
    return input + skip if bias is None else input + skip + bias


@TORCH.op("LayerNormalization", since=1, domain=DOMAIN)
def layer_normalization_1(
    X: Tensor, Scale: Tensor, B: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """LayerNormalization as ONNX Runtime had it before opset 17."""
    return layer_normalization(X, Scale, B, axis, epsilon, stash_type)


@TORCH.op("LayerNormalization", since=1, domain=DOMAIN, outputs=3)
def layer_normalization_1_with_statistics(
    X: Tensor, Scale: Tensor, B: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    return layer_normalization_with_statistics(X, Scale, B, axis, epsilon, stash_type)


@TORCH.op("SimplifiedLayerNormalization", since=1, domain=DOMAIN, outputs=2)
def simplified_layer_normalization(
    X: Tensor, scale: Tensor, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Tensor, Tensor]:
    """RMS normalisation, with the inverse of the root."""
    first = axis + X.dim() if axis < 0 else axis
    axes = [place for place in range(first, X.dim())]  # noqa: C416 - TorchScript needs a list
    wide = X if X.dtype == torch.float64 else X.to(torch.float32)
    inverse = torch.rsqrt((wide * wide).mean(axes, keepdim=True) + epsilon)
    return (wide * inverse).to(X.dtype) * scale, inverse


@TORCH.op("SkipLayerNormalization", since=1, domain=DOMAIN, outputs=4)
def skip_layer_normalization(
    input: Tensor,
    skip: Tensor,
    gamma: Tensor,
    beta: Tensor | None = None,
    bias: Tensor | None = None,
    epsilon: float = 9.999999960041972e-13,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = _summed(input, skip, bias)
    y, mean, inverse = layer_normalization_with_statistics(total, gamma, beta, -1, epsilon, 1)
    return y, mean, inverse, total


@TORCH.op("SkipSimplifiedLayerNormalization", since=1, domain=DOMAIN, outputs=4)
def skip_simplified_layer_normalization(
    input: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None, epsilon: float = 9.999999960041972e-13
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    total = _summed(input, skip, bias)
    y, inverse = simplified_layer_normalization(total, gamma, -1, epsilon, 1)
    return y, torch.zeros_like(inverse), inverse, total


@TORCH.op("EmbedLayerNormalization", since=1, domain=DOMAIN, outputs=3)
def embed_layer_normalization(
    input_ids: Tensor,
    segment_ids: Tensor | None,
    word_embedding: Tensor,
    position_embedding: Tensor,
    segment_embedding: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    epsilon: float = 9.999999960041972e-13,
    mask_index_type: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of the embeddings of words, places and segments, normalised; and how many words each mask leaves."""
    total = nnf.embedding(input_ids, word_embedding)
    if position_ids is None:
        total = total + position_embedding[: input_ids.shape[1]]
    else:
        total = total + nnf.embedding(position_ids, position_embedding)
    if segment_ids is not None and segment_embedding is not None:
        total = total + nnf.embedding(segment_ids, segment_embedding)
    counts = torch.zeros([input_ids.shape[0]], dtype=torch.int32, device=input_ids.device)
    if mask is not None:
        counts = mask.sum(1).to(torch.int32)
    return layer_normalization(total, gamma, beta, -1, epsilon, 1), counts, total


@TORCH.op("GroupNorm", since=1, domain=DOMAIN)
def group_norm(
    X: Tensor,
    gamma: Tensor,
    beta: Tensor,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
) -> Tensor:
    """Group normalisation of images with their channels last, through SiLU where `activation` is 1."""
    images = X.movedim(-1, 1) if channels_last == 1 else X
    y = group_normalization(images, gamma.to(X.dtype), beta.to(X.dtype), groups, epsilon)
    y = nnf.silu(y) if activation == 1 else y
    return y.movedim(1, -1) if channels_last == 1 else y


@TORCH.op("SkipGroupNorm", since=1, domain=DOMAIN, outputs=2)
def skip_group_norm(
    X: Tensor,
    gamma: Tensor,
    beta: Tensor,
    skip: Tensor,
    bias: Tensor | None = None,
    activation: int = 0,
    groups: int = 1,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
) -> tuple[Tensor, Tensor]:
    added = skip if skip.dim() == X.dim() else skip.reshape([X.shape[0], 1, 1, X.shape[-1]])
    total = _summed(X, added, bias)
    return group_norm(total, gamma, beta, activation, groups, channels_last, epsilon), total
