"""Random numbers: torch's own generator, whatever seed a graph may carry."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("RandomNormal", since=1)
def random_normal(
    shape: list[int],
    dtype: torch.dtype = torch.float32,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Tensor:
    return torch.randn(shape, dtype=dtype) * scale + mean


@TORCH.op("RandomNormalLike", since=1)
def random_normal_like(
    input: Tensor,
    dtype: torch.dtype | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Tensor:
    return torch.randn(input.shape, dtype=input.dtype if dtype is None else dtype, device=input.device) * scale + mean


@TORCH.op("RandomUniform", since=1)
def random_uniform(
    shape: list[int],
    dtype: torch.dtype = torch.float32,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> Tensor:
    return torch.rand(shape, dtype=dtype) * (high - low) + low


@TORCH.op("RandomUniformLike", since=1)
def random_uniform_like(
    input: Tensor,
    dtype: torch.dtype | None = None,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> Tensor:
    kind = input.dtype if dtype is None else dtype
    return torch.rand(input.shape, dtype=kind, device=input.device) * (high - low) + low


@TORCH.op("Bernoulli", since=15)
def bernoulli(input: Tensor, dtype: torch.dtype | None = None, seed: float | None = None) -> Tensor:
    return torch.bernoulli(input).to(input.dtype if dtype is None else dtype)


@TORCH.op("Multinomial", since=7)
def multinomial(
    input: Tensor, dtype: torch.dtype = torch.int32, sample_size: int = 1, seed: float | None = None
) -> Tensor:
    """ONNX Multinomial: draws by unnormalised log-probabilities."""
    return torch.multinomial(torch.softmax(input, 1), sample_size, replacement=True).to(dtype)
