"""All operator families; importing this module fills the table."""

from exporters.onnx_to_keras import activation, arithmetic, elementwise, linear, logic, normalization, shape
from exporters.onnx_to_keras.table import KERAS

__all__ = ["KERAS", "activation", "arithmetic", "elementwise", "linear", "logic", "normalization", "shape"]
