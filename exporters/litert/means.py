"""Means and sums over several axes, one axis after the other.

LiteRT adds up everything that a mean is over in one go, in float32 and one element after the other: of a picture's
thousands of pixels the last ones are rounded away. Row by row, and then over the rows, hardly anything is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_FEW = 256  # elements, of which one sum is as good as two


def by_axis(own: Callable[..., Any]) -> Callable[..., Any]:
    """`keras.ops.mean` or `keras.ops.sum`, as `own` has it for one axis."""

    def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = _axes(x, axis)
        sizes = [x.shape[each] for each in axes]
        if len(axes) < 2 or (None not in sizes and math.prod(sizes) <= _FEW):
            return own(x, axis=axis, keepdims=keepdims)
        for each in axes:
            x = own(x, axis=each, keepdims=keepdims)
        return x

    return reduced


def _axes(x: Any, axis: Any) -> list[int]:
    """Last ones first: those that are left keep their places."""
    shape = getattr(x, "shape", None)
    if shape is None or axis is None:
        return []
    rank = len(shape)
    return sorted({each % rank for each in (axis if isinstance(axis, list | tuple) else [axis])}, reverse=True)
