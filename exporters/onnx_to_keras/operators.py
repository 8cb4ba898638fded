"""All operator families; importing this module fills the table."""

from exporters.onnx_to_keras import (
    activation,
    arithmetic,
    convolution,
    elementwise,
    indexing,
    linear,
    logic,
    normalization,
    quantization,
    recurrent,
    reduction,
    resize,
    shape,
)
from exporters.onnx_to_keras.table import KERAS

__all__ = [
    "KERAS",
    "activation",
    "arithmetic",
    "convolution",
    "elementwise",
    "indexing",
    "linear",
    "logic",
    "normalization",
    "quantization",
    "recurrent",
    "reduction",
    "resize",
    "shape",
]
