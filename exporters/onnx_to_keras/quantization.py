"""Quantised tensors: to 8- and 16-bit integers and back."""

from __future__ import annotations

from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}


def _along(values: KerasTensor, like: KerasTensor, axis: int, block_size: int) -> Any:
    """Scales or zero points shaped to broadcast: one for all, one per place on `axis`, or one per block."""
    if block_size:
        return ops.repeat(values, block_size, axis)
    if len(values.shape) == 0 or values.shape == (1,):
        return ops.reshape(values, ())
    shape = [1] * len(like.shape)
    shape[axis] = -1
    return ops.reshape(values, shape)


@KERAS.op("QuantizeLinear", since=10)
def quantize_linear(
    x: KerasTensor,
    y_scale: KerasTensor,
    y_zero_point: KerasTensor | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
    precision: int = 0,
    saturate: int = 1,
) -> KerasTensor:
    dtype = y_zero_point.dtype if y_zero_point is not None else output_dtype or "uint8"
    if dtype not in RANGES:
        raise UnsupportedOperator(f"QuantizeLinear to {dtype} has no Keras form")
    scaled = ops.round(ops.divide(ops.cast(x, y_scale.dtype), _along(y_scale, x, axis, block_size)))
    if y_zero_point is not None:
        scaled = ops.subtract(scaled, -ops.cast(_along(y_zero_point, x, axis, block_size), scaled.dtype))
    return ops.cast(ops.clip(scaled, *RANGES[dtype]), dtype)


@KERAS.op("DequantizeLinear", since=10)
def dequantize_linear(
    x: KerasTensor,
    x_scale: KerasTensor,
    x_zero_point: KerasTensor | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
) -> KerasTensor:
    wide = ops.cast(x, "int32")
    if x_zero_point is not None:
        wide = ops.subtract(wide, ops.cast(_along(x_zero_point, x, axis, block_size), "int32"))
    result = ops.multiply(ops.cast(wide, x_scale.dtype), _along(x_scale, x, axis, block_size))
    return ops.cast(result, output_dtype) if output_dtype else result
