"""The digits that come with the package: real handwriting, 1,797 images, no download. ORIGIN.md says whence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDED = Path(__file__).with_name("digits.npz")
TRAIN_COUNT = 1437  # the file's order keeps writers together: later images are by writers the model has not seen
_INK = 16  # the brightest value in the file
_BOX = 20  # MNIST's digits fill 20x20 in the middle of 28x28
_SIDE = 28


def load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 28, 28) of 0..255, white on black, and labels (1797,) of 0..9, in the file's order."""
    with np.load(EMBEDDED) as file:
        small, labels = file["images"], file["labels"]
    rows = _enlargement(small.shape[1], _BOX)
    large = np.rint(rows @ small.astype(np.float64) @ rows.T * (255 / _INK)).astype(np.uint8)
    margin = (_SIDE - _BOX) // 2
    return np.pad(large, ((0, 0), (margin, margin), (margin, margin))), labels.astype(np.int64)


def _enlargement(small: int, large: int) -> NDArray[np.float64]:
    """The matrix (large, small) that enlarges bilinearly, pixel centres kept in place and edges repeated."""
    centres = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    left = np.minimum(centres.astype(np.int64), small - 2)
    share = centres - left
    matrix = np.zeros((large, small))
    matrix[np.arange(large), left] = 1 - share
    matrix[np.arange(large), left + 1] = share
    return matrix
