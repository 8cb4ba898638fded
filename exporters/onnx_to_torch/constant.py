"""Tensors made from shapes and numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("ConstantOfShape", since=9)
def constant_of_shape(input: list[int], value: Tensor | None = None) -> Tensor:
    if value is None:
        return torch.zeros(input)
    return value.reshape([]).expand(input).clone()
