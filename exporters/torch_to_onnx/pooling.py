"""Adaptive max pooling to any size, each result being the largest of its own cell; and means by another divisor."""

from __future__ import annotations

import itertools
import math
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


@spells(aten.avg_pool2d.default, aten.avg_pool3d.default)
def avg_pool(
    x: Tensor,
    kernel_size: list[int],
    stride: Any = (),
    padding: Any = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """torch.onnx forgets a divisor of the caller's."""
    del count_include_pad
    if divisor_override is None:
        return NotImplemented
    rank = len(kernel_size)
    pool = torch.nn.functional.avg_pool3d if rank == 3 else torch.nn.functional.avg_pool2d
    steps = _each(stride or kernel_size, rank)
    pads = _each(padding, rank)
    if ceil_mode:
        # Windows that begin within the picture or before it, and whole ones: as many as sizes rounded up have.
        after = [min(pad + step - 1, size - 1) for pad, step, size in zip(pads, steps, kernel_size, strict=True)]
        ends = [end for pair in zip(pads, after, strict=True) for end in pair]
        x = torch.nn.functional.pad(
            x, [end for axis in range(rank - 1, -1, -1) for end in ends[2 * axis : 2 * axis + 2]]
        )
        pads = [0] * rank
    means = pool(x, kernel_size, steps, pads, False, True)
    return means * (math.prod(kernel_size) / divisor_override)


def _each(sizes: int | Sequence[int], rank: int) -> list[int]:
    given = [sizes] if isinstance(sizes, int) else list(sizes)
    return given * rank if len(given) == 1 else given


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
    return torch.stack(values, -1).reshape(shape), torch.stack(indices, -1).reshape(shape)  # type: ignore[arg-type]  # tensors by now


def _cut(x: Tensor, ends: Sequence[tuple[Any, Any]]) -> Tensor:
    for axis, (start, end) in enumerate(reversed(ends), 1):
        x = x.narrow(-axis, start, end - start)
    return x


def _ends(i: int, size: Any, out: int) -> tuple[Any, Any]:
    """Where a cell begins and ends: rounded down and rounded up, so that neighbours may share an element."""
    return (i * size) // out, ((i + 1) * size + out - 1) // out
