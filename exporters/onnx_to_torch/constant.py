"""Tensors made from shapes and numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Constant", since=1)
def constant(
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    sparse_value: Tensor | None = None,
    value_string: str | None = None,
    value_strings: list[str] | None = None,
) -> Tensor:
    """ONNX Constant where it could not become an initializer: as an output of a graph or of a branch."""
    if value is not None:
        return value
    if value_float is not None:
        return torch.tensor(value_float, dtype=torch.float32)
    if value_floats is not None:
        return torch.tensor(value_floats, dtype=torch.float32)
    if value_int is not None:
        return torch.tensor(value_int)
    assert value_ints is not None, "PyTorch has neither sparse constants nor tensors of strings"
    return torch.tensor(value_ints)


@TORCH.op("ConstantOfShape", since=9)
def constant_of_shape(input: list[int], value: Tensor | None = None) -> Tensor:
    if value is None:
        return torch.zeros(input)
    return value.reshape([]).expand(input).clone()


@TORCH.op("Range", since=11)
def arange(start: Tensor, limit: Tensor, delta: Tensor, stash_type: int = 1) -> Tensor:
    """ONNX Range; narrow floats are counted in float32."""
    if start.is_floating_point():
        work = torch.float64 if start.dtype == torch.float64 else torch.float32
        first, step = start.to(work), delta.to(work)
        count = int(torch.ceil((limit.to(work) - first) / step).item())
        return (first + step * torch.arange(max(count, 0), dtype=work, device=start.device)).to(start.dtype)
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype, device=start.device)


@TORCH.op("EyeLike", since=9)
def eye_like(input: Tensor, dtype: torch.dtype | None = None, k: int = 0) -> Tensor:
    kind = input.dtype if dtype is None else dtype
    rows = torch.arange(input.shape[0], device=input.device).unsqueeze(1)
    columns = torch.arange(input.shape[1], device=input.device).unsqueeze(0)
    return (columns - rows == k).to(kind)
