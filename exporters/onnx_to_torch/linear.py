"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.integers import wide
from exporters.onnx_to_torch.table import TORCH


@TORCH.op("Gemm", since=7)
def gemm(
    A: Tensor,
    B: Tensor,
    C: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """ONNX Gemm: `alpha * A' @ B' + beta * C`; with both factors 1 it is one fused linear layer."""
    left = A.t() if transA == 1 else A
    columns = B.shape[0] if transB == 1 else B.shape[1]
    plain = alpha == 1.0 and beta == 1.0 and A.is_floating_point()
    if plain and C is not None and C.dim() == 1 and C.shape[0] == columns:
        return torch.nn.functional.linear(left, B if transB == 1 else B.t(), C)
    product = torch.mm(wide(left), wide(B.t() if transB == 1 else B))
    if alpha != 1.0:
        product = (product * alpha).to(product.dtype)
    if C is not None:
        product = product + (wide(C) if beta == 1.0 else wide(C) * beta)
    return product.to(A.dtype)


@TORCH.op("Gemm", since=1)
def gemm_1(
    A: Tensor,
    B: Tensor,
    C: Tensor,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    """ONNX Gemm up to opset 6, which asked leave to broadcast `C`."""
    return gemm(A, B, C, alpha, beta, transA, transB)


@TORCH.op("MatMul", since=1)
def matmul(A: Tensor, B: Tensor) -> Tensor:
    return torch.matmul(wide(A), wide(B)).to(A.dtype)


@TORCH.op("Einsum", since=12)
def einsum(Inputs: list[Tensor], equation: str) -> Tensor:
    return torch.einsum(equation, Inputs)


@TORCH.op("Det", since=11)
def det(X: Tensor) -> Tensor:
    result: Tensor = torch.linalg.det(X)
    return result
