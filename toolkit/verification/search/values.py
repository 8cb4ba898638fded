"""Numbers at which programs go wrong: zeros, limits of formats, powers, integers, and the file graph's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_HALF = 65504.0  # the largest of float16
MAGNITUDES = tuple(10.0**power for power in (*range(-45, 0, 2), *range(9)))
_NEAREST = 24  # constants of the graph that get their neighbours, too

_FIRST = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0, 1e-6, -1e-6, 1e3, -1e3, 1e-40, -1e-40,
    10.0, -10.0, 20.0, -20.0, 50.0, -50.0, 100.0, -100.0, 1e4, -1e4, 1e5, -1e5, 1e6, -1e6, 1e8, -1e8,
)  # fmt: skip


def floats(constants: Sequence[float], dtype: np.dtype[Any], known: tuple[float, float]) -> Array:
    """Special values of a float input, the likelier troublemakers first; `known` are the data's smallest and largest.

    0.0 and -0.0 are both there, and every value once.
    """
    info = np.finfo(dtype)
    limits = [float(info.smallest_subnormal), float(info.smallest_normal), float(info.eps), _HALF, 2.0**24, 2.0**31]
    powers = [2.0**power for power in range(-20, 21)]
    whole = [float(value) for value in range(4, 33)]
    listed = [*_FIRST, *known, *_around(constants, dtype), *limits, np.pi, np.e, *whole, *powers]
    both = np.array([sign * value for value in listed for sign in (1.0, -1.0)]).astype(dtype)
    both = both[np.isfinite(both)]
    kept: dict[bytes, Any] = {}
    for value in [*np.array(_FIRST).astype(dtype), *both]:
        kept.setdefault(value.tobytes(), value)
    return np.array(list(kept.values()), dtype)


def _around(constants: Sequence[float], dtype: np.dtype[Any]) -> list[float]:
    """The graph's constants, and for the first of them what lies just beside: by one ULP, and by some percent."""
    found = list(constants)
    for value in constants[:_NEAREST]:
        exact = np.asarray(value, dtype)
        found += [float(np.nextafter(exact, dtype.type(np.inf))), float(np.nextafter(exact, dtype.type(-np.inf)))]
        found += [value * 1.03, value * 0.97, value + 1.0, value - 1.0]
    return found


def integers(low: int, high: int, dtype: np.dtype[Any], constants: Sequence[float], *, anything: bool) -> list[int]:
    """Values of an integer input: all of a small range, else its ends, powers of two, and the graph's constants."""
    limits = np.iinfo(dtype)
    if anything:
        powers = [2**power + step for power in range(4, 63) for step in (-1, 0, 1)]
        powers += [-value for value in powers]
        listed = [*range(low, high + 1), *powers]
    elif high - low < _SMALL:
        listed = list(range(low, high + 1))
    else:
        powers = [2**power + step for power in range(18) for step in (-1, 0, 1)]
        spread = np.linspace(low, high, _SMALL // 2).astype(int).tolist()
        listed = [low, high, *range(low, low + 64), *range(high - 63, high + 1), *powers, *spread]
    listed += [int(value) + step for value in constants if float(value).is_integer() for step in (-1, 0, 1)]
    first, last = (int(limits.min), int(limits.max)) if anything else (low, high)
    return list(dict.fromkeys(value for value in listed if first <= value <= last))


_SMALL = 2**15
