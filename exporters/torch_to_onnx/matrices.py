"""Inverses and solutions of linear systems, unrolled: for matrices whose size is known and small."""

from __future__ import annotations

from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten

LARGEST = 32  # a matrix of more rows would make thousands of operators


def _is_small(matrix: Tensor) -> bool:
    return isinstance(matrix.shape[-1], int) and matrix.shape[-1] <= LARGEST and matrix.dtype.is_floating_point


def _eliminated(matrix: Tensor, right: Tensor) -> Tensor:
    """X in `matrix` X = `right`, by Gauss and Jordan's elimination with the largest element of a column as pivot."""
    size = matrix.shape[-1]
    rows = torch.cat([matrix, right], -1)
    places = torch.arange(size, device=matrix.device)
    for k in range(size):
        candidates = torch.where(places >= k, rows[..., k].abs(), torch.full_like(rows[..., k], -1))
        pivot = candidates.argmax(-1, keepdim=True)
        order = torch.where(places == k, pivot, torch.where(places == pivot, torch.full_like(places, k), places))
        rows = rows.gather(-2, order.unsqueeze(-1).expand(rows.shape))
        own = rows[..., k : k + 1, :] / rows[..., k : k + 1, k : k + 1]
        others = rows - rows[..., k : k + 1] * own
        rows = torch.where((places == k).unsqueeze(-1), own, others)
    return rows[..., size:]


@spells(torch.linalg.inv, torch.inverse, torch.Tensor.inverse)
def inv(matrix: Tensor) -> Any:
    if not _is_small(matrix):
        return NotImplemented
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return _eliminated(matrix, unit.expand(matrix.shape))


@spells(torch.linalg.solve)
def solve(matrix: Tensor, right: Tensor, *, left: bool = True) -> Any:
    if not _is_small(matrix) or not left:
        return NotImplemented
    # PyTorch's rule: a batch of vectors where the right side has one dimension less.
    is_vector = right.dim() == 1 or (right.dim() == matrix.dim() - 1 and right.shape == matrix.shape[:-1])
    columns = right.unsqueeze(-1) if is_vector else right
    # A sum with nothing gives both the batch of the larger one.
    nothing = torch.zeros_like(matrix[..., :1, :1]) + torch.zeros_like(columns[..., :1, :1])
    found = _eliminated(matrix + nothing, columns + nothing)
    return found.squeeze(-1) if is_vector else found


@spells(torch.linalg.cholesky, torch.cholesky, torch.Tensor.cholesky)
def cholesky(matrix: Tensor, upper: bool = False) -> Any:
    """Column by column; a matrix that is not positive definite gives no number, where PyTorch raises."""
    if not _is_small(matrix):
        return NotImplemented
    columns: list[Tensor] = []
    for k in range(matrix.shape[-1]):
        rest = matrix[..., k]
        for column in columns:
            rest = rest - column * column[..., k : k + 1]
        below = torch.arange(matrix.shape[-1], device=matrix.device) >= k
        columns.append(torch.where(below, rest / rest[..., k : k + 1].sqrt(), torch.zeros_like(rest)))
    found = torch.stack(columns, -1)
    return found.mT if upper else found


@spells(torch.linalg.solve_triangular)
def solve_triangular(
    matrix: Tensor, right: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    if not _is_small(matrix):
        return NotImplemented
    if not left:
        return solve_triangular(matrix.mT, right.mT, upper=not upper, unitriangular=unitriangular).mT
    size = matrix.shape[-1]
    right = right + torch.zeros_like(matrix[..., :1, :1])  # the batch of the larger one
    found: dict[int, Tensor] = {}
    for k in reversed(range(size)) if upper else range(size):
        row = right[..., k : k + 1, :]
        for other, solved in found.items():
            row = row - matrix[..., k : k + 1, other : other + 1] * solved
        found[k] = row if unitriangular else row / matrix[..., k : k + 1, k : k + 1]
    return torch.cat([found[k] for k in range(size)], -2)
