"""Are the weights of a file in fewer bits the source's own, rounded? In float16 and bfloat16 to the bit, in int8 to
half a step. Formats transpose, so a tensor is compared place by place where its shape is the source's, else sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.verification.report import Lens
from toolkit.verification.weights import differs

Array = np.ndarray[Any, Any]

_SMALLEST = 8  # elements; smaller ones are scales, epsilons and parts of shapes
_ALMOST = 2e-2  # sorted values this close, for most of them, are the same tensor, changed
_HALF = 0.5 + 1e-3


@dataclass(frozen=True)
class FileWeight:
    """A stored tensor as float32; `step` is how far apart its values may lie, by place or for all; None for floats."""

    name: str
    values: Array
    step: Array | None


def compare_weights(source: Mapping[str, Array], file: Sequence[FileWeight], precision: str) -> Lens:
    """Every float tensor of the file against the source's. FAIL where one is almost a source's own, but not it."""
    by_size: dict[int, list[tuple[str, Array]]] = {}
    for name, array in source.items():
        by_size.setdefault(array.size, []).append((name, array))
    judged = [weight for weight in file if weight.values.size >= _SMALLEST]
    same = 0
    for weight in judged:
        candidates = by_size.get(weight.values.size, [])
        trouble = [_trouble(weight, name, array, precision) for name, array in candidates]
        if any(item is None for item in trouble):
            same += 1
            continue
        changed = next((item for item in trouble if item), None)
        if changed:
            return Lens("weights", False, same / len(judged), changed)
    if not judged:
        return Lens("weights", None, None, "the file has no float tensors")
    share = same / len(judged)
    words = f"{same} of {len(judged)} tensors are the source's, rounded to {precision}"
    left = "" if same == len(judged) else ", the others folded or packed"
    return Lens("weights", True if same == len(judged) else None, share, words + left)


def _trouble(weight: FileWeight, name: str, array: Array, precision: str) -> str | None:
    """None where the tensor is this one of the source's; "" where it is another; else how it differs."""
    in_place = weight.values.shape == array.shape
    ours, theirs = array.reshape(-1).astype(np.float64), weight.values.reshape(-1).astype(np.float64)
    if weight.step is not None:
        step = np.broadcast_to(weight.step, weight.values.shape).reshape(-1).astype(np.float64)
        if not in_place:
            ours, theirs, step = np.sort(ours), np.sort(theirs), np.full_like(theirs, float(step.max(initial=0.0)))
        return _described(weight.name, name, ours, theirs, _HALF * step, f"half a step of {precision}")
    if not in_place:
        ours, theirs = np.sort(ours), np.sort(theirs)
    if np.array_equal(ours, theirs):
        return None
    rounded = round_to(ours, precision)
    # A tensor that was folded elsewhere in float32 may be rounded the other way: one step, where it was folded.
    slack = np.abs(rounded) * _STEP.get(precision, 0.0) * 1.01 if name.endswith("(folded)") and not in_place else 0.0
    return _described(weight.name, name, rounded, theirs, slack + 0 * rounded, "its rounding")


_STEP = {"fp16": 2.0**-10, "bf16": 2.0**-7}


def round_to(values: Array, precision: str) -> Array:
    """Values as the narrow type holds them; int8's have no rounding of their own."""
    if precision == "fp16":
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float16).astype(np.float64)
    if precision == "bf16":
        import ml_dtypes

        return values.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    return values


def _described(held: str, name: str, ours: Array, theirs: Array, allowed: Array, what: str) -> str | None:
    distance = np.abs(ours - theirs)
    if not (distance > allowed).any():
        return None
    spread = float(np.abs(ours).max(initial=0.0))
    if not float(np.median(distance)) <= _ALMOST * spread:
        return ""
    count = int((distance > allowed).sum())
    off = float((distance - allowed).max())
    return f"{differs(held, name)} in {count} of {ours.size} values, by up to {off:.3g} more than {what}"
