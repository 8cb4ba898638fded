"""All operator families; importing this module fills the table."""

from exporters.onnx_to_torch import (
    activation,
    arithmetic,
    constant,
    elementwise,
    linear,
    logic,
    normalization,
    shape,
)
from exporters.onnx_to_torch.table import TORCH

__all__ = [
    "TORCH",
    "activation",
    "arithmetic",
    "constant",
    "elementwise",
    "linear",
    "logic",
    "normalization",
    "shape",
]
