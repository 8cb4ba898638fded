"""How far the integers go that a model takes: the source is asked, for no signature tells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolkit.verification.search.domain import Domain, Range, Row

_FAR = 2**17  # larger than vocabularies: a source that takes this takes anything

Takes = Callable[[Row], bool]


def widen(domain: Domain, takes: Takes) -> None:
    """Give every integer input the widest range around its data's that the source takes without raising."""
    for name, known in domain.ranges.items():

        def taken(value: int, name: str = name) -> bool:
            row = dict(domain.seeds[0])
            if not _fits(value, row[name].dtype):
                return False
            row[name] = row[name].copy()
            row[name][..., -1:] = value
            return takes(row)

        high = _furthest(known.high, 1, taken)
        low = _furthest(known.low, -1, taken) if taken(known.low - 1) else known.low
        anything = abs(high) >= _FAR
        domain.ranges[name] = Range(low, high if not anything else max(known.high, 64), anything)
        if anything and low < known.low:
            domain.ranges[name] = Range(min(known.low, -64), max(known.high, 64), open=True)


def _fits(value: int, dtype: np.dtype[np.integer]) -> bool:
    limits = np.iinfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def _furthest(known: int, direction: int, taken: Callable[[int], bool]) -> int:
    """The last value in a direction that is taken: by doubling the distance, then by halves."""
    step = 1
    while step <= 2 * _FAR and taken(known + direction * step):
        step *= 2
    good, bad = step // 2, step
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if taken(known + direction * middle) else (good, middle)
    return known + direction * good
