"""Tensors made Python numbers where an operator needs them so, and results taken apart."""

from __future__ import annotations

import torch
from torch import Tensor


def infinity() -> float:
    """For TorchScript, which cannot read such numbers where fx writes them."""
    return float("inf")


def minus_infinity() -> float:
    return float("-inf")


def not_a_number() -> float:
    return float("nan")


def to_ints(x: Tensor) -> list[int]:
    numbers: list[int] = x.flatten().to(torch.int64).tolist()
    return numbers


def to_floats(x: Tensor) -> list[float]:
    numbers: list[float] = x.flatten().to(torch.float64).tolist()
    return numbers


def to_int(x: Tensor) -> int:
    return int(x.item())


def to_float(x: Tensor) -> float:
    return float(x.item())


def to_bool(x: Tensor) -> bool:
    return bool(x.item())
