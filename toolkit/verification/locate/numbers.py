"""How one array of numbers relates to another: rounded, scaled, reordered, clipped, or with a few entries changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any

import numpy as np

from toolkit.worker.wire import is_float

Array = np.ndarray[Any, Any]

DISTINCTIVE = 4  # numbers; two arrays of fewer are alike by chance
_CLOSE = 1e-6
_FEW = 0.25  # share of the entries
_MOST_AXES = 5
_MOST_PARTS, _SHOWN_PARTS = 64, 8


def difference(ours: Array, theirs: Array) -> str | None:
    """What was done to `theirs` to get `ours`, in words that follow a name; None where they are equal."""
    if ours.shape == theirs.shape and _equal(ours, theirs):
        return None
    if ours.size != theirs.size:
        return f"has shape {list(ours.shape)}, {list(theirs.shape)} in the source"
    moved = order(ours, theirs)
    if moved:
        return moved
    a, b = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    return next((words for test in _TESTS if (words := test(a, b))), None) or _by_how_much(a, b)


def order(ours: Array, theirs: Array) -> str | None:
    """Where both hold the same numbers in another order: which order, if it can be told; None where it is no other."""
    a, b = ours.reshape(-1), theirs.reshape(-1)
    if a.size != b.size or a.size < 2 or _close(a, b) or not _close(np.sort(a), np.sort(b)):
        return None
    if ours.shape == theirs.shape:
        turned = _reversed(ours, theirs) or _in_parts(ours, theirs)
        if turned:
            return turned
    axes = transposition(ours, theirs)
    return f"is the source's, transposed by {axes}" if axes else "holds the source's numbers in another order"


def transposition(ours: Array, theirs: Array) -> tuple[int, ...] | None:
    """The axes by which `theirs` is to be transposed to give `ours`, whatever the shape of `ours`."""
    if not 1 < theirs.ndim <= _MOST_AXES:
        return None
    for axes in permutations(range(theirs.ndim)):
        if _close(ours, theirs.transpose(axes)):
            return axes
    return None


def _reversed(ours: Array, theirs: Array) -> str | None:
    for count in range(1, min(theirs.ndim, _MOST_AXES) + 1):
        for axes in combinations(range(theirs.ndim), count):
            if _close(ours, np.flip(theirs, axes)):
                words = ", ".join(map(str, axes))
                return f"is the source's, reversed along {'axis' if count == 1 else 'axes'} {words}"
    return None


def _in_parts(ours: Array, theirs: Array) -> str | None:
    """The same parts along an axis in another order, as the gates of a recurrent layer or the groups of channels."""
    for axis in range(theirs.ndim):
        for count in (2, 3, 4, 6, 8, theirs.shape[axis]):
            if count < 2 or count > _MOST_PARTS or theirs.shape[axis] % count:
                continue
            parts = np.split(theirs, count, axis)
            found = [next((i for i, part in enumerate(parts) if _close(each, part)), -1)
                     for each in np.split(ours, count, axis)]  # fmt: skip
            if -1 not in found:
                order = ", ".join(map(str, found[:_SHOWN_PARTS])) + (", ..." if count > _SHOWN_PARTS else "")
                return f"has the source's {count} parts along axis {axis} in the order {order}"
    return None


def _equal(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=is_float(a.dtype) and is_float(b.dtype))


def _close(a: Array, b: Array) -> bool:
    return np.allclose(a.reshape(-1), b.reshape(-1), rtol=_CLOSE, atol=0, equal_nan=True)


def _rounded(a: Array, b: Array) -> str | None:
    import ml_dtypes

    for words, dtype in (("11 bits, as in float16 and TF32", np.float16), ("bfloat16", ml_dtypes.bfloat16)):
        with np.errstate(over="ignore"):
            if np.array_equal(a, b.astype(np.float32).astype(dtype).astype(np.float64)):
                return f"is the source's, rounded to {words}"
    within = float(np.abs(a - b).max(initial=0)) <= 0.51 * float(np.abs(a).max(initial=0)) / 127
    return "is the source's, rounded to the steps of int8" if within and _on_a_grid(a) and not _on_a_grid(b) else None


def _on_a_grid(a: Array) -> bool:
    """Whether all numbers are multiples of one step, at most 127 of it."""
    largest = float(np.abs(a).max(initial=0))
    if a.size < 2 * DISTINCTIVE or not largest:
        return False
    steps = a / (largest / 127)
    return bool(np.allclose(steps, np.round(steps), rtol=0, atol=1e-3))


def _scaled(a: Array, b: Array) -> str | None:
    there = np.abs(b) > 0
    if there.sum() < DISTINCTIVE or np.any(a[~there]):
        return None
    if not np.any(a):
        return "is zero everywhere"
    factors = a[there] / b[there]
    factor = float(np.median(factors))
    return f"is {factor:.6g} times the source's" if np.allclose(factors, factor, rtol=1e-5) else None


def _constant(a: Array, b: Array) -> str | None:
    alike = a.size >= DISTINCTIVE and np.all(a == a[0]) and not np.all(b == b[0])
    return f"is {a[0]:.6g} everywhere" if alike else None


def _shifted(a: Array, b: Array) -> str | None:
    by = a - b
    step = float(np.median(by))
    if a.size < DISTINCTIVE or not np.allclose(by, step, rtol=1e-4, atol=1e-7 * float(np.abs(b).max(initial=0))):
        return None
    return f"is the source's, {abs(step):.6g} {'higher' if step > 0 else 'lower'}"


def _few(a: Array, b: Array) -> str | None:
    changed = np.flatnonzero(a != b)
    if 0 < len(changed) <= max(1, _FEW * a.size) and a.size >= DISTINCTIVE:
        where = int(changed[0])
        rest = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return (
            f"differs in {len(changed)} of {a.size:,} entries (entry {where}: {a[where]:.9g}, not {b[where]:.9g}{rest})"
        )
    return None


def _clipped(a: Array, b: Array) -> str | None:
    low, high = float(a.min()), float(a.max())
    if (b.min() < low or b.max() > high) and np.allclose(a, np.clip(b, low, high), rtol=_CLOSE, atol=0):
        return f"is the source's, cut off at {low:.6g} and {high:.6g}"
    return None


def _by_how_much(a: Array, b: Array) -> str:
    size = float(np.sqrt(np.mean(b * b))) or 1.0
    with np.errstate(all="ignore"):
        return f"differs by {float(np.sqrt(np.mean((a - b) ** 2))) / size:.1e} of its size"


_TESTS: tuple[Callable[[Array, Array], str | None], ...] = (
    _few,
    _rounded,
    _scaled,
    _constant,
    _shifted,
    _clipped,
)
