"""Rebuild an ONNX model as a Keras functional model of built-in layers and operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import onnx
    import onnx_ir


def build(
    model: str | Path | onnx.ModelProto | onnx_ir.Model,
    dtype: str | None = None,
    *,
    optimize: bool = False,
    plain: bool = True,
) -> keras.Model:
    """Rebuild `model`, whose inputs and outputs come in the graph's order, positionally.

    A single output comes bare, several as a list. The result holds built-in layers and `keras.ops` operations alone,
    and its weights live in layers: `hdf5.save` writes it so that plain `keras.models.load_model` reads it back.
    `dtype="float64"` builds it in double precision, float32 inputs included. With `optimize`, normalisations are folded
    into the weights before them, which is faster and leaves nothing of them to train. Without `plain`, loops and
    branches that only TensorFlow has are taken as well: a SavedModel holds them, a file of Keras does not. Raises
    InvalidGraph and UnsupportedOperator.
    """
    from exporters.onnx_to_keras import builder

    return builder.build(model, dtype, optimize=optimize, plain=plain)
