"""Adaptive max pooling to any size: each result is the largest of its own cell."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
aten = torch.ops.aten


@spells(aten.adaptive_max_pool1d.default)
def adaptive_max_pool1d(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _adaptive(x, output_size)


@spells(aten.adaptive_max_pool2d.default)
def adaptive_max_pool2d(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _adaptive(x, output_size)


@spells(aten.adaptive_max_pool3d.default)
def adaptive_max_pool3d(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _adaptive(x, output_size)


def _adaptive(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest element of each cell, and its index in the flattened space, which most callers throw away."""
    rank = len(output_size)
    spatial = x.shape[-rank:]
    lead = x.shape[:-rank]
    values, indices = [], []
    for cell in itertools.product(*(range(size) for size in output_size)):
        ends = [_ends(i, size, out) for i, size, out in zip(cell, spatial, output_size, strict=True)]
        part = _cut(x, ends).reshape(*lead, -1)
        values.append(part.amax(-1))
        place, index, stride = part.argmax(-1), 0, 1
        for (start, end), size in zip(reversed(ends), reversed(spatial), strict=True):
            index = index + (start + place % (end - start)) * stride
            place, stride = place // (end - start), stride * size
        indices.append(index)
    shape = (*lead, *output_size)
    return torch.stack(values, -1).reshape(shape), torch.stack(indices, -1).reshape(shape)  # type: ignore[arg-type]


def _cut(x: Tensor, ends: Sequence[tuple[Any, Any]]) -> Tensor:
    for axis, (start, end) in enumerate(reversed(ends), 1):
        x = x.narrow(-axis, start, end - start)
    return x


def _ends(i: int, size: Any, out: int) -> tuple[Any, Any]:
    """Where a cell begins and ends: rounded down and rounded up, so that neighbours may share an element."""
    return (i * size) // out, ((i + 1) * size + out - 1) // out
