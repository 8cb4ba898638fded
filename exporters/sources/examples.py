"""Example values for a signature, to trace with and to learn output shapes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit import words
from toolkit.signature import Signature, TensorSpec

Array = np.ndarray[Any, Any]

# Sizes for dynamic dimensions: two of each, all different, never 1 (which specialises), none likely as a real size.
_FIRST, _SECOND = 2, 3
_IMAGE = 32  # more for the sides of images, which networks halve several times


def sizes(signature: Signature, step: int) -> dict[str, int]:
    """A size for each symbol: batch 2, other symbols larger and pairwise different; `step` 1 gives a second set."""
    chosen: dict[str, int] = {}
    for index, symbol in enumerate(signature.symbols):
        size = (_FIRST, _SECOND)[step] if index == 0 else 5 + 4 * index + step
        size += _IMAGE if symbol in signature.image_sides else 0
        size = signature.sized(symbol, size)
        while size in chosen.values() and signature.sized(symbol, size + 1) > size:
            size = signature.sized(symbol, size + 1)
        chosen[symbol] = size
    return chosen


def arrays(
    signature: Signature, concrete: Mapping[str, int], seed: int = 0, like: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Arrays of the signature's inputs by name: standard normal floats, integers 0 and 1, booleans, words.

    Words are among those in `like`, and integers in the range of those, where it has any: inputs that the model is
    known to take.
    """
    generator = np.random.default_rng(seed)
    return {spec.name: _array(spec, concrete, generator, (like or {}).get(spec.name)) for spec in signature.inputs}


def _array(spec: TensorSpec, concrete: Mapping[str, int], generator: np.random.Generator, like: Array | None) -> Array:
    from toolkit.worker.wire import dtype_of

    shape = spec.with_sizes(concrete)
    if spec.dtype == "string":
        return words.drawn(generator, shape, () if like is None else like.ravel())
    if spec.dtype == "bool":
        return np.asarray(generator.integers(0, 2, shape)).astype(bool)
    dtype = dtype_of(spec.dtype)
    if spec.dtype.startswith(("int", "uint")):
        low, high = (0, 255 if spec.is_pictures else 1) if like is None or not like.size else (like.min(), like.max())
        return np.asarray(generator.integers(low, int(high) + 1, shape)).astype(dtype)
    return np.asarray(generator.standard_normal(shape)).astype(dtype)
