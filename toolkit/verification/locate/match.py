"""Match two runs' arrays by their numbers: a tensor and its transpose, reshape or copy hold the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

QUANTILES = 2048  # of an array's sorted numbers; more of them would tell nothing new
LEAST_DISTINCT = 3  # arrays of fewer different numbers are alike by chance


@dataclass(frozen=True)
class Matches:
    """For each array of the file: its nearest array of the source, how far that is, and all that are as near.

    Distances are relative root mean squares of sorted numbers, 0 for a permutation.
    """

    nearest: Mapping[str, str]
    distance: Mapping[str, float]
    equals: Mapping[str, tuple[str, ...]]

    def matched(self, name: str, tolerance: float) -> bool:
        return self.distance.get(name, np.inf) <= tolerance


def match(file: Mapping[str, Array], source: Mapping[str, Array]) -> Matches:
    """Compare every array with every one of the same size."""
    nearest: dict[str, str] = {}
    distance: dict[str, float] = {}
    equals: dict[str, tuple[str, ...]] = {}
    theirs = _by_size(source)
    for size, ours in _by_size(file).items():
        if size not in theirs:
            continue
        others, table = theirs[size]
        names, prints = ours
        for name, row in zip(names, prints, strict=True):
            far = _relative(row, table)
            best = int(np.argmin(far))
            nearest[name], distance[name] = others[best], float(far[best])
            near = max(2 * float(far[best]), 1e-13)
            equals[name] = tuple(other for other, value in zip(others, far, strict=True) if value <= near)
    return Matches(nearest, distance, equals)


def tells(array: Array) -> bool:
    """Whether an array is distinctive enough to be recognised: not a few numbers, not a constant."""
    flat = array.reshape(-1)
    if flat.size <= LEAST_DISTINCT or not np.isfinite(flat).all():
        return False
    return len(np.unique(flat[: 64 * LEAST_DISTINCT])) >= LEAST_DISTINCT or len(np.unique(flat)) >= LEAST_DISTINCT


def relative(ours: Array, theirs: Array) -> float:
    """The relative root mean square of a difference, element by element; infinite between different sizes."""
    if ours.size != theirs.size:
        return float("inf")
    a, b = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    return float(_relative(a, b[None])[0]) if a.size else 0.0


def sorted_distance(ours: Array, theirs: Array) -> float:
    """The same between sorted numbers: 0 for a permutation."""
    return relative(np.sort(ours, axis=None), np.sort(theirs, axis=None))


def _by_size(arrays: Mapping[str, Array]) -> dict[int, tuple[list[str], Array]]:
    """Size -> the names of its arrays, and their sorted numbers as the rows of one table."""
    groups: dict[int, list[tuple[str, Array]]] = {}
    for name, array in arrays.items():
        if tells(array):
            groups.setdefault(array.size, []).append((name, _print(array)))
    return {size: ([name for name, _ in rows], np.stack([row for _, row in rows])) for size, rows in groups.items()}


def _print(array: Array) -> Array:
    ordered = np.sort(array, axis=None)
    if ordered.size <= QUANTILES:
        return ordered
    return ordered[np.linspace(0, ordered.size - 1, QUANTILES).astype(np.int64)]


def _relative(row: Array, table: Array) -> Array:
    """Against each row of the table; infinite where a number is not finite on one side only."""
    with np.errstate(all="ignore"):
        difference = np.where(row == table, 0.0, row - table)
        size = np.sqrt(np.mean(np.square(np.where(np.isfinite(table), table, 0.0)), axis=1))
        far = np.sqrt(np.mean(np.square(difference), axis=1)) / np.maximum(size, np.finfo(np.float64).tiny)
    result: Array = np.where(np.isfinite(far), far, np.inf)
    return result
