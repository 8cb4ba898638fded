"""Quantised tensors: to 8- and 16-bit integers and back."""

from __future__ import annotations

from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.convolution import conv
from exporters.onnx_to_keras.operand import Operand, tensor
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


def _shifted(x: KerasTensor, zero_point: Operand | None, axis: int | None) -> KerasTensor:
    """Small integers less their zero point, in float64, where their products are exact."""
    wide = ops.cast(x, "float64")
    if zero_point is None:
        return wide
    zero = ops.cast(tensor(zero_point), "float64")
    if axis is not None and len(zero.shape) == 1 and zero.shape[0] != 1:
        zero = ops.reshape(zero, [-1 if place == axis else 1 for place in range(len(x.shape))])
    elif len(zero.shape) == 1 and zero.shape[0] == 1:
        zero = ops.reshape(zero, ())
    return ops.subtract(wide, zero)


@KERAS.op("MatMulInteger", since=10)
def mat_mul_integer(
    A: KerasTensor, B: KerasTensor, a_zero_point: Operand | None = None, b_zero_point: Operand | None = None
) -> KerasTensor:
    """ONNX MatMulInteger: zero points are scalars, or one per row of A and per column of B."""
    left = _shifted(A, a_zero_point, len(A.shape) - 2)
    return ops.cast(ops.matmul(left, _shifted(B, b_zero_point, len(B.shape) - 1)), "int32")


@KERAS.op("ConvInteger", since=10, layout="channels")
def conv_integer(
    x: KerasTensor,
    w: Operand,
    x_zero_point: Operand | None = None,
    w_zero_point: Operand | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    left, weight = _shifted(x, x_zero_point, None), _shifted(tensor(w), w_zero_point, 0)
    return ops.cast(conv(left, weight, None, auto_pad, dilations, group, kernel_shape, pads, strides), "int32")


def _rescaled(exact: KerasTensor, factor: KerasTensor, zero_point: KerasTensor) -> KerasTensor:
    """`exact * factor + zero_point`, rounded to even and clamped to the zero point's type.

    The product is in the factor's precision, as ONNX Runtime has it: what lies near a half is rounded alike.
    """
    scaled = ops.cast(ops.round(ops.multiply(ops.cast(exact, factor.dtype), factor)), exact.dtype)
    moved = ops.subtract(scaled, ops.negative(ops.cast(ops.reshape(zero_point, ()), exact.dtype)))
    return ops.cast(ops.cast(ops.clip(moved, *RANGES[zero_point.dtype]), "int32"), zero_point.dtype)


def _factor(*scales: KerasTensor) -> KerasTensor:
    """Input scale times weight scale over output scale, in their own type."""
    x, w, y = (ops.reshape(scale, (-1,)) for scale in scales)
    return ops.divide(ops.multiply(x, w), y)


@KERAS.op("QLinearMatMul", since=10)
def q_linear_mat_mul(
    a: KerasTensor,
    a_scale: KerasTensor,
    a_zero_point: Operand,
    b: KerasTensor,
    b_scale: KerasTensor,
    b_zero_point: Operand,
    y_scale: KerasTensor,
    y_zero_point: KerasTensor,
) -> KerasTensor:
    if a_scale.shape not in ((), (1,)) or b_scale.shape not in ((), (1,)):
        raise UnsupportedOperator("QLinearMatMul with a scale per row or column has no Keras form")
    exact = ops.matmul(_shifted(a, a_zero_point, None), _shifted(b, b_zero_point, None))
    return _rescaled(exact, ops.reshape(_factor(a_scale, b_scale, y_scale), ()), y_zero_point)


@KERAS.op("QLinearConv", since=10, layout="channels")
def q_linear_conv(
    x: KerasTensor,
    x_scale: Operand,
    x_zero_point: Operand,
    w: Operand,
    w_scale: Operand,
    w_zero_point: Operand,
    y_scale: Operand,
    y_zero_point: Operand,
    B: Operand | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX QLinearConv: exact products of small integers, rescaled by one factor or one per output channel."""
    left, weight = _shifted(x, x_zero_point, None), _shifted(tensor(w), w_zero_point, 0)
    bias = None if B is None else ops.cast(tensor(B), "float64")
    exact = conv(left, weight, bias, auto_pad, dilations, group, kernel_shape, pads, strides)
    return _rescaled(exact, _factor(tensor(x_scale), tensor(w_scale), tensor(y_scale)), tensor(y_zero_point))
