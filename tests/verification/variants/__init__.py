"""Lies of arithmetic: the same model with one thing changed, by model and name; one file for each model.

The tables are read where no framework is: PyTorch is imported only when an edit runs.
"""

from __future__ import annotations

from tests.verification.variants import attention, convolutional, dense, detection, grouped, recurrent
from tests.verification.variants.edits import Variant
from tests.verification.variants.special import SPECIAL

__all__ = ["SPECIAL", "UNSEEN", "VARIANTS", "Variant"]

VARIANTS: dict[str, dict[str, Variant]] = {
    "dense": dense.VARIANTS,
    "convolutional": convolutional.VARIANTS,
    "recurrent": recurrent.VARIANTS,
    "attention": attention.VARIANTS,
    "detection": detection.VARIANTS,
    "grouped": grouped.VARIANTS,
}

# Below what rounding a model's scalars to float32 may change, as every file format does: no verdict sees them.
UNSEEN: dict[str, dict[str, Variant]] = {"convolutional": convolutional.UNSEEN}
