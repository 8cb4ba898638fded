"""Group normalisation of channels that come last, as Keras computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.patterns.layouts import reshaped
from exporters.graph.patterns.registry import Operand, Step, pattern
from exporters.graph.patterns.statistics import Statistics, affine, per_axis, statistics
from exporters.graph.sizes.extent import sizes
from exporters.graph.values import bare, producer

if TYPE_CHECKING:
    import onnx_ir as ir

_LEAST = 3  # dimensions of a tensor that has samples, places and channels


@dataclass(frozen=True)
class Parted:
    """`x`, whose last axis was parted into groups of `width` channels."""

    x: ir.Value
    groups: int
    width: int


@pattern("ChannelsLastGroups", roots=("Reshape",), since=6, opens=True)
def channels_last_groups(node: ir.Node) -> Step | None:
    """Layer normalisation's form over places and a group's channels of `Reshape(x, [.., groups, channels / groups])`.

    As InstanceNormalization of groups, channels first, which is GroupNormalization's form. With scale and bias per
    channel, or without. Not where the reshapings are not known to part and join the last axis alone.
    """
    out = node.inputs[0]
    if out is None:
        return None
    for found in statistics(bare(out)):
        parted, around = _parted(found, node), affine(bare(out), found)
        if parted is None or around is None or found.mean is None:
            continue
        rank = len(found.axes) + 2
        if found.axes != (*range(1, rank - 2), rank - 1):
            continue
        scale = _per_channel(around.scale, found, parted, 1.0)
        bias = _per_channel(around.bias, found, parted, 0.0)
        if scale is not None and bias is not None:
            return _step(parted, scale, bias, found.epsilon, rank - 1)
    return None


def _parted(found: Statistics, back: ir.Node) -> Parted | None:
    """What was parted, if `back` joins it again."""
    there = producer(found.x, "Reshape")
    x = there.inputs[0] if there is not None else None
    if there is None or x is None:
        return None
    before, apart = sizes(x), reshaped(there)
    if before is None or apart is None or len(before) < _LEAST or len(apart) != len(before) + 1:
        return None
    *places, channels = before
    groups, width = apart[-2:]
    if (
        channels.symbols
        or groups.symbols
        or width.symbols
        or channels != groups * width
        or min(groups.number, width.number) < 1
    ):
        return None
    # One of the others, the samples, may have another name than before: all others being equal, it is the same.
    unequal = [axis for axis, (one, other) in enumerate(zip(places, apart, strict=False)) if one != other]
    if unequal and (unequal != [0] or any(size.symbols or size.number < 1 for size in places[1:])):
        return None
    joined = reshaped(back, apart)
    return Parted(x, groups.number, width.number) if joined in (before, (apart[0], *before[1:])) else None


def _per_channel(values: tuple[ir.Value, ...], found: Statistics, parted: Parted, neutral: float) -> Operand | None:
    """(channels, 1, ..), from what runs along groups and their channels."""
    rank = len(found.axes) + 2
    operand = per_axis(values, found.x, (rank - 2, rank - 1), neutral)
    shape = [parted.groups * parted.width] + [1] * (rank - 3)
    if operand is None:
        return None
    return (
        operand.reshape(shape)
        if isinstance(operand, np.ndarray)
        else Step("Reshape", (operand, np.array(shape, np.int64)))
    )


def _step(parted: Parted, scale: Operand, bias: Operand, epsilon: float, rank: int) -> Step:
    assert parted.x.dtype is not None
    dtype = parted.x.dtype.numpy()
    first = Step("Transpose", (parted.x,), {"perm": [0, rank - 1, *range(1, rank - 1)]})
    apart = Step("Reshape", (first, np.array([0, parted.groups, -1], np.int64)))
    constants = np.ones(parted.groups, dtype), np.zeros(parted.groups, dtype)
    normal = Step("InstanceNormalization", (apart, *constants), {"epsilon": epsilon})
    whole = Step("Reshape", (normal, Step("Shape", (first,))))
    scaled = Step("Add", (Step("Mul", (whole, scale)), bias))
    return Step("Transpose", (scaled,), {"perm": [0, *range(2, rank), 1]})
