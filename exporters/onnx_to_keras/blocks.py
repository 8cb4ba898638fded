"""DepthToSpace and SpaceToDepth: blocks of pixels to channels and back, of images of any size."""

from __future__ import annotations

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Scope, Size, length, places, size_of
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


def _channels(x: KerasTensor) -> int:
    if x.shape[-1] is None:
        raise UnsupportedOperator("rearranging blocks of unknown depth has no Keras form")
    return int(x.shape[-1])


@KERAS.op("DepthToSpace", since=1, layout="channels")
def depth_to_space(input: KerasTensor, blocksize: int, mode: str = "DCR", scope: Scope | None = None) -> KerasTensor:
    """ONNX DepthToSpace: channels are (block, block, depth) in mode DCR, (depth, block, block) in mode CRD."""
    _, h, w, _ = input.shape
    b, c = blocksize, _channels(input) // blocksize**2
    if h is None or w is None:
        assert scope is not None
        pieces = [_piece(input, i, b * b, c, mode) for i in range(b * b)]
        rows = [_interleaved(pieces[i * b : (i + 1) * b], 2, scope) for i in range(b)]
        return _interleaved(rows, 1, scope)
    if mode == "DCR":
        parts = ops.transpose(ops.reshape(input, (-1, h, w, b, b, c)), (0, 1, 3, 2, 4, 5))
    else:
        parts = ops.transpose(ops.reshape(input, (-1, h, w, c, b, b)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(parts, (-1, h * b, w * b, c))


def _piece(x: KerasTensor, index: int, count: int, depth: int, mode: str) -> KerasTensor:
    """The channels of one place within every block."""
    mine = slice(index * depth, (index + 1) * depth) if mode == "DCR" else slice(index, None, count)
    return x[(slice(None), slice(None), slice(None), mine)]


def _interleaved(parts: list[KerasTensor], axis: int, scope: Scope) -> KerasTensor:
    """The first of each part, then the second of each ... along an axis."""
    size, count = size_of(parts[0], axis), len(parts)
    joined = ops.concatenate(parts, axis)
    if isinstance(size, int):
        return ops.take(joined, np.arange(count * size).reshape(count, size).T.reshape(-1).tolist(), axis)
    assert isinstance(size, Size)
    numbers = places(size.times(count), scope)
    return ops.take(
        joined,
        ops.add(ops.multiply(ops.mod(numbers, count), length(size, scope)), ops.floor_divide(numbers, count)),
        axis,
    )


@KERAS.op("SpaceToDepth", since=1, layout="channels")
def space_to_depth(input: KerasTensor, blocksize: int, mode: str = "DCR") -> KerasTensor:
    """ONNX SpaceToDepth, the inverse of DepthToSpace."""
    _, height, width, _ = input.shape
    b, c = blocksize, _channels(input)
    if height is None or width is None:
        steps = [slice(i, None, b) for i in range(b)]
        joined = ops.concatenate([input[(slice(None), i, j, slice(None))] for i in steps for j in steps], -1)
        return joined if mode == "DCR" else ops.take(joined, _turned(b * b, c), -1)
    h, w = height // b, width // b
    parts = ops.reshape(input, (-1, h, b, w, b, c))
    order = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return ops.reshape(ops.transpose(parts, order), (-1, h, w, b * b * c))


def _turned(outer: int, inner: int) -> list[int]:
    """Places of (outer, inner) in the order (inner, outer)."""
    return [int(place) for place in np.arange(outer * inner).reshape(outer, inner).T.reshape(-1)]
