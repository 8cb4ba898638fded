"""Sums and means that are as exact as PyTorch's.

TensorFlow adds up any axis but the last one element after the other. Over the 16,384 pixels of a picture with its
channels last, that is an error of seven roundings where they are noise, and of up to 3,000 where all are equal, as on a
blank one: each addition then errs the same way. PyTorch's is one to five.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus

# So many terms err little in any order: along other axes than the last ones, there too where less than a register's
# width of elements lies behind (then each is a sum of its own), and along the last ones.
_FEW, _FEW_NARROW, _FEW_LAST = 256, 32, 1024
_NARROW = 8
_INFINITE = 3e38  # as good as: LiteRT has no other way to ask


def mean(x: KerasTensor, axis: Sequence[int] | None = None, keepdims: bool = False) -> KerasTensor:
    """As `keras.ops.mean`: a first mean, and the mean of what it leaves, which is small and so are its errors."""
    axes = _sorted(x, axis)
    if _is_exact(x, axes):
        return ops.mean(x, axis=axes, keepdims=keepdims)
    wide = ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
    first = _one_by_one(ops.mean, wide, axes)
    rest = _one_by_one(ops.mean, ops.subtract(wide, first), axes)
    is_number = ops.less(ops.absolute(first), _INFINITE)  # infinity less itself is none
    rest = ops.where(is_number, rest, ops.zeros_like(rest))
    found = ops.cast(plus(first, rest), x.dtype)
    return found if keepdims else ops.squeeze(found, axes)


def total(x: KerasTensor, axis: Sequence[int] | None = None, keepdims: bool = False) -> KerasTensor:
    """As `keras.ops.sum`, one axis after the other: what is counted in floats stays a whole number."""
    axes = _sorted(x, axis)
    if _is_exact(x, axes):
        return ops.sum(x, axis=axes, keepdims=keepdims)
    wide = ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
    found = ops.cast(_one_by_one(ops.sum, wide, axes), x.dtype)
    return found if keepdims else ops.squeeze(found, axes)


def _is_exact(x: KerasTensor, axes: tuple[int, ...]) -> bool:
    """Whether TensorFlow's own sum over `axes` is as good as any."""
    if "float" not in x.dtype or not axes:
        return True
    behind = range(axes[-1] + 1, len(x.shape))
    is_last = not behind and axes == tuple(range(axes[0], len(x.shape)))
    few = _FEW_LAST if is_last else _FEW_NARROW if behind and _count(x, behind) < _NARROW else _FEW
    return _count(x, axes) <= few


def _one_by_one(operation: Callable[..., Any], x: KerasTensor, axes: tuple[int, ...]) -> KerasTensor:
    """One axis after the other, as rows and then their results: that leaves the square root of the error."""
    for axis in axes:
        x = operation(x, axis=axis, keepdims=True)
    return x


def _sorted(x: KerasTensor, axis: Sequence[int] | None) -> tuple[int, ...]:
    rank = len(x.shape)
    return tuple(range(rank)) if axis is None else tuple(sorted(each % rank for each in axis))


def _count(x: KerasTensor, axes: Sequence[int]) -> float:
    """The number of elements along `axes`: without end where a size is free."""
    return math.prod(math.inf if x.shape[axis] is None else x.shape[axis] for axis in axes)
