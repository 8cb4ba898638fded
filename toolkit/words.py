"""Words for inputs that take text: what examples, test inputs and timings are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_SEVERAL = ("text", "a word", "", "Ünïcode ✓", "0", "longer than all of the others")


def drawn(generator: np.random.Generator, shape: tuple[int, ...], among: Sequence[str] | Array = ()) -> Array:
    """Words among those given, or else of several lengths and alphabets, one of them empty."""
    import numpy as np

    words = np.asarray(among if len(among) else _SEVERAL, dtype=object)
    return words[np.asarray(generator.integers(0, len(words), shape))].reshape(shape)
