"""The third look: are the float tensors in a file those of the source, bit for bit?

Formats transpose and rename tensors, so they are matched by size and a hash that does not depend on the order of the
elements. What is folded or packed into another tensor cannot be matched, and is counted, not judged; but a tensor that
is almost a source's own, with some elements off, is a mistake that outputs may not show.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.verification.report import Lens

Array = np.ndarray[Any, Any]

_ALMOST = 1e-3  # tensors of one size whose sorted values lie this close, for most of them, are the same, changed
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Fingerprint:
    """One tensor's name, number of elements, and the order-free hash of its bits."""

    name: str
    size: int
    hash: int


def fingerprints(tensors: Iterable[tuple[str, Array]]) -> list[dict[str, Any]]:
    return [{"name": name, "size": array.size, "hash": _hash(array)} for name, array in tensors]


def _hash(array: Array) -> int:
    """The sum of mixed bit patterns: equal for the same values in any order, different for one changed bit."""
    bits = np.ascontiguousarray(array, np.float64 if array.dtype == np.float64 else np.float32).reshape(-1)
    mixed = bits.view(np.uint64 if bits.dtype == np.float64 else np.uint32).astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(16))) * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    # As text below 2**63, since JSON readers elsewhere hold integers in doubles.
    return int(np.bitwise_and(mixed.sum(dtype=np.uint64), np.uint64(2**63 - 1)))


Fetch = Callable[[Sequence[str]], dict[str, Array]]


def lens(
    source: Sequence[Fingerprint], export: Sequence[Fingerprint], fetch_source: Fetch, fetch_export: Fetch
) -> Lens:
    """Match both sides' tensors; `fetch_*` bring the values of those that did not match, by name."""
    remaining = {(item.size, item.hash) for item in export}
    unmatched = [item for item in source if (item.size, item.hash) not in remaining]
    total = len(source)
    if not total:
        return Lens("weights", None, None, "the source has no float tensors")
    share = (total - len(unmatched)) / total
    if not unmatched:
        return Lens("weights", True, share, f"all {total} tensors bit-equal")
    known = {(item.size, item.hash) for item in source}
    sizes = {item.size for item in unmatched}
    candidates = [item for item in export if (item.size, item.hash) not in known and item.size in sizes]
    changed = _changed(unmatched, candidates, fetch_source, fetch_export) if candidates else None
    if changed is not None and changed.few:
        return Lens("weights", False, share, changed.words)
    if changed is not None:
        return Lens("weights", None, share, changed.words)
    return Lens(
        "weights", None, share, f"{total - len(unmatched)} of {total} tensors bit-equal, the others folded or packed"
    )


@dataclass(frozen=True)
class _Change:
    """A tensor that the export holds almost; `few` values differ where no folding or rounding of all explains it."""

    words: str
    few: bool


_MOST = 16_000_000  # elements that are fetched to be compared; hashes have told already that they differ


def _changed(
    unmatched: Sequence[Fingerprint], candidates: Sequence[Fingerprint], fetch_source: Fetch, fetch_export: Fetch
) -> _Change | None:
    """A tensor of the source that the export holds almost, but not quite; one with few values off before all others."""
    others = {name: np.sort(array) for name, array in fetch_export(_within(candidates)).items()}
    found = None
    for name, original in fetch_source(_within(unmatched)).items():
        ordered = np.sort(original)
        for other_name, other in others.items():
            if other.size == ordered.size:
                change = _change(name, ordered, other_name, other)
                if change is not None and change.few:
                    return change
                found = found or change
    return found


def _within(prints: Sequence[Fingerprint]) -> list[str]:
    """The names of the smallest tensors, as many as the limit allows."""
    ordered = sorted(prints, key=lambda item: item.size)
    total = itertools.accumulate(item.size for item in ordered)
    return [item.name for item, size in zip(ordered, total, strict=True) if size <= _MOST]


def _change(name: str, ours: Array, other_name: str, theirs: Array) -> _Change | None:
    """How two sorted tensors of one size differ; None where they are not the same tensor, changed."""
    distance = np.abs(theirs.astype(np.float64) - ours)
    spread = float(np.max(np.abs(ours))) or 1.0
    if not float(np.median(distance)) <= _ALMOST * spread:
        return None
    count = ours.size - _in_common(ours, theirs)
    words = f"{differs(name, other_name)} in {count} of {ours.size} values, by up to {distance.max():.3g}"
    return _Change(words, few=count < ours.size / 2) if count else None


def differs(name: str, other: str) -> str:
    """The beginning of a sentence on a tensor of the source and the one of the export that is nearly the same."""
    return f"'{name}' differs" if name == other else f"'{name}' differs from '{other}'"


def _in_common(ours: Array, theirs: Array) -> int:
    """How many values two tensors share, each as often as both have it: one large change shifts no others."""
    (a, in_a), (b, in_b) = (np.unique(values, return_counts=True) for values in (ours, theirs))
    _, at_a, at_b = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    return int(np.minimum(in_a[at_a], in_b[at_b]).sum())
