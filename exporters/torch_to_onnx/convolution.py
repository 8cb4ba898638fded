"""Convolutions of as many groups as a batch has samples: each with its own kernels, as StyleGAN and CondConv have them.

ONNX's groups are a number in the file. As products of each group's kernels with the pixels that they meet, as many as
come will do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor
Sizes = int | Sequence[int]


@spells(torch.conv1d, torch.conv2d, torch.conv3d)
def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Any = 0,
    dilation: Sizes = 1,
    groups: Any = 1,
) -> Any:
    if not isinstance(groups, torch.SymInt) or isinstance(padding, str):
        return NotImplemented
    pads = [(pad, pad) for pad in _each(padding, x)]
    return _grouped(x, weight, bias, _each(stride, x), pads, _each(dilation, x), groups)


@spells(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: Any = 1,
    dilation: Sizes = 1,
) -> Any:
    """A convolution of the pixels with zeros between them, by the kernels turned around."""
    if not isinstance(groups, torch.SymInt):
        return NotImplemented
    rank = x.ndim - 2
    kernel = weight.shape[2:]
    by_group = weight.reshape(groups, -1, weight.shape[1], *kernel).transpose(1, 2)
    turned = by_group.flip(list(range(-rank, 0))).flatten(0, 1)
    steps = _each(dilation, x)
    reach = [step * (size - 1) for step, size in zip(steps, kernel, strict=True)]
    pads = [
        (around - pad, around - pad + more)
        for around, pad, more in zip(reach, _each(padding, x), _each(output_padding, x), strict=True)
    ]
    for axis, step in enumerate(_each(stride, x), 2):
        x = _spread(x, axis, step)
    return _grouped(x, turned, bias, [1] * rank, pads, steps, groups)


def _grouped(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: Any,
) -> Tensor:
    kernel = weight.shape[2:]
    padded = torch.nn.functional.pad(x, list(itertools.chain.from_iterable(reversed(pads))))
    reach = [step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)]
    sizes = [(size - wide) // step + 1 for size, wide, step in zip(padded.shape[2:], reach, stride, strict=True)]
    met = []
    for place in itertools.product(*(range(size) for size in kernel)):
        part = padded
        for axis, (index, step, size, apart) in enumerate(zip(place, stride, sizes, dilation, strict=True), 2):
            first = index * apart
            part = part[(slice(None),) * axis + (slice(first, first + (size - 1) * step + 1, step),)]
        met.append(part)
    batch, taps = x.shape[0], math.prod(kernel)
    columns = torch.stack(met, 2).reshape(batch, groups, weight.shape[1] * taps, math.prod(sizes))
    found = weight.reshape(groups, -1, weight.shape[1] * taps) @ columns
    found = found.reshape(batch, -1, *sizes)
    return found if bias is None else found + bias.reshape(-1, *[1] * len(sizes))


def _each(value: Sizes, x: Tensor) -> list[int]:
    """One number for each spatial axis."""
    rank = x.ndim - 2
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * rank if len(numbers) == 1 else numbers


def _spread(x: Tensor, axis: int, step: int) -> Tensor:
    """With step - 1 zeros between the elements along an axis."""
    if step == 1:
        return x
    size = x.shape[axis]
    zeros = torch.zeros_like(x).unsqueeze(axis + 1)
    apart = torch.cat([x.unsqueeze(axis + 1)] + [zeros] * (step - 1), axis + 1).flatten(axis, axis + 1)
    return apart.narrow(axis, 0, (size - 1) * step + 1)
