"""Whether a difference that a search has aimed at is the file's, or falls on a jump of the source itself.

Any model with a comparison, a rounding or a class in it jumps somewhere, and there the last bit decides on which side
a right file comes out. A search that aims at such places finds them. A difference counts where the source hardly moves
around the input (then the file alone is off), or where the inputs around it show the difference as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification.plan import Batch
from toolkit.verification.search.score import Yardstick
from toolkit.verification.sides import Side

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]

_AROUND = 2.0**-12  # relative: far beyond what rounding inside a model amounts to, near enough to be the same place
_SHIFT = 2.0**-20  # of the input's usual size, added to all elements: small ones are rounded with the others' sizes
_COPIES = 8
_CLEARLY = 4.0  # times what the source moves
_SHARE = 0.25  # of the inputs around that must show it


def around(batch: Batch, generator: np.random.Generator) -> list[Batch]:
    """The batch again and again, every float moved a little; the first copy leaves zeros alone. Where there are
    integers only, one element of each row is exchanged with another.
    """
    floats = any(array.dtype.kind == "f" for array in batch.inputs.values())
    copies = []
    for index in range(_COPIES):
        inputs = {}
        for name, array in batch.inputs.items():
            if array.dtype.kind == "f":
                factor = generator.uniform(-1, 1, array.shape) * _AROUND
                wide = array.astype(np.float64)
                step = _SHIFT * float(np.sqrt(np.mean(wide**2))) * factor / _AROUND if index and array.size else 0.0
                inputs[name] = (wide * (1 + factor) + step).astype(array.dtype)
            elif array.dtype.kind in "iu" and not floats and array.size > 1:
                inputs[name] = _exchanged(array, generator)
            else:
                inputs[name] = array
        copies.append(replace(batch, inputs=inputs))
    return copies


def _exchanged(array: Array, generator: np.random.Generator) -> Array:
    flat = array.reshape(len(array), -1).copy()
    if flat.shape[1] > 1:
        rows = np.arange(len(flat))
        flat[rows, generator.integers(flat.shape[1], size=len(flat))] = generator.choice(array.reshape(-1), len(flat))
    return flat.reshape(array.shape)


def stands(
    signature: Signature, source: Side, file: Side, batch: Batch, outputs: tuple[Outputs, Outputs, Outputs],
    yardstick: Yardstick, limit: float,
) -> bool:  # fmt: skip
    """Whether the difference on a batch is the file's. `outputs` are the truth's, the source's and the file's there."""
    truth, _, found = outputs
    copies = around(batch, np.random.default_rng(0))
    moved = source.run_float64(copies)
    if _off_alone(signature, truth, found, moved, integers_only=_integers_only(batch)):
        return True
    sides = zip(source.run(copies), file.run(copies), moved, strict=True)
    shown = [
        yardstick.ratios(signature, ours, theirs, batch.size, true).max(initial=0.0) > limit
        for ours, theirs, true in sides
    ]
    return float(np.mean(shown)) >= _SHARE


def _integers_only(batch: Batch) -> bool:
    return not any(array.dtype.kind == "f" for array in batch.inputs.values())


def _off_alone(
    signature: Signature, truth: Outputs, found: Outputs, moved: list[dict[str, Array]], *, integers_only: bool
) -> bool:
    """Whether some output of the file is off where the truth's, moved, all but stays."""
    for spec in signature.outputs:
        true, ours = truth[spec.name], found[spec.name]
        around_it = [each[spec.name] for each in moved]
        if any(each.shape != true.shape for each in around_it):
            continue
        if not spec.is_float:
            wrong = true != ours
            if wrong.any() and not integers_only and not any((each != true)[wrong].any() for each in around_it):
                return True
            continue
        if integers_only:
            # a step of an integer moves the truth far: noise alone, which was measured, is the measure there
            if not np.array_equal(true, ours, equal_nan=True):
                return True
            continue
        finite = np.isfinite(true)
        if any(not np.isfinite(each[finite]).all() for each in around_it):
            continue
        if not np.array_equal(np.isfinite(ours), finite):
            return True
        error = _size(np.where(finite, ours.astype(np.float64) - true, 0.0))
        steps = [_size(np.where(finite, each - true, 0.0)) for each in around_it]
        if error > _CLEARLY * max(steps):
            return True
    return False


def _size(values: Array) -> float:
    largest = float(np.max(np.abs(values), initial=0.0))
    return largest * float(np.sqrt(np.sum((values / largest) ** 2))) if largest and np.isfinite(largest) else largest
