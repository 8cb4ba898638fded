"""Rows of numbers, many at a time: what `compare` works out for every input, without a call of NumPy's for each.

A row is one input's output, flattened. Rows that follow each other and have one size are stacked; what is computed of
a row is, to the last bit, what would be computed of it alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.worker.wire import is_float, largest

Array = np.ndarray[Any, Any]

_ELEMENTS = 1 << 18  # of one stack: it stays in the processor's cache, and large rows are not copied together


def stacks(*sides: Sequence[Array]) -> Iterator[tuple[slice, list[Array]]]:
    """Where they lie among all rows, and a stack (rows, elements) of each side; the sides' rows have equal sizes."""
    start = 0
    for size, group in itertools.groupby(sides[0], key=lambda row: row.size):
        end = start + sum(1 for _ in group)
        most = max(1, _ELEMENTS // max(size, 1))
        for first in range(start, end, most):
            place = slice(first, min(first + most, end))
            yield place, [side[first][None] if most == 1 else np.stack(side[place]) for side in sides]
        start = end


@dataclass(frozen=True)
class Finite:
    """Truth, source and export in float64 with zeros where the source is not finite, and the source dtype's spacing
    at the truth.

    What lies beyond the source's dtype in float64, where the source is finite, is what the source cuts off: it is cut
    off here too.
    """

    truth: Array
    source: Array
    export: Array
    spacing: Array


def finite(truth: Array, source: Array, export: Array) -> Finite:
    keep = np.isfinite(source) & np.isfinite(truth)
    t64, s64, e64 = (np.where(keep, array, 0).astype(np.float64) for array in (truth, source, export))
    dtype = source.dtype if is_float(source.dtype) else np.dtype(np.float32)
    most = largest(dtype)
    t64, e64 = (np.where(np.isfinite(array), np.clip(array, -most, most), array) for array in (t64, e64))
    # The spacing at the largest number of a dtype is not to be had: the next one up does not exist.
    rounded = np.minimum(np.abs(t64), most / 2).astype(dtype)
    return Finite(t64, s64, e64, np.spacing(rounded).astype(np.float64))


def norms(values: Array) -> Array:
    """The Euclidean norm of every row without overflow or underflow."""
    most = np.max(np.abs(values), axis=1, initial=0.0)
    unit = np.where(most != 0, most, 1.0)
    found: Array = most * np.sqrt(np.sum((values / unit[:, None]) ** 2, axis=1))
    return found


def root_mean_squares(values: Array, most: float) -> Array:
    """Of every row's finite values, none taken for larger than `most`."""
    if np.isfinite(values).all():
        limited = np.minimum(np.abs(values.astype(np.float64)), most)
        found: Array = norms(limited) / np.sqrt(max(values.shape[1], 1))
        return found
    kept = (row[np.isfinite(row)][None] for row in values)
    return np.array([root_mean_squares(row, most)[0] for row in kept])


def largest_of(values: Array) -> Array:
    """Every row's largest value; 0 for an empty one."""
    found: Array = np.max(values, axis=1, initial=0.0)
    return found
