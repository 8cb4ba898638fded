"""Comparisons, logic and bits."""

from __future__ import annotations

from keras import KerasTensor, ops

from exporters.onnx_to_keras import integers
from exporters.onnx_to_keras.integers import BITS, by_bits, is_uint64
from exporters.onnx_to_keras.table import KERAS


@KERAS.op("Equal", since=7, layout="elementwise")
def equal(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.equal(A, B)


@KERAS.op("Greater", since=7, layout="elementwise")
def greater(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.greater(A, B)


@KERAS.op("GreaterOrEqual", since=12, layout="elementwise")
def greater_or_equal(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.greater_equal(A, B)


@KERAS.op("Less", since=7, layout="elementwise")
def less(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.less(A, B)


@KERAS.op("LessOrEqual", since=12, layout="elementwise")
def less_or_equal(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.less_equal(A, B)


@KERAS.op("And", since=7, layout="elementwise")
def logical_and(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.logical_and(A, B)


@KERAS.op("Or", since=7, layout="elementwise")
def logical_or(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.logical_or(A, B)


@KERAS.op("Xor", since=7, layout="elementwise")
def logical_xor(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return ops.logical_xor(A, B)


@KERAS.op("Not", since=1, layout="elementwise")
def logical_not(X: KerasTensor) -> KerasTensor:
    return ops.logical_not(X)


@KERAS.op("BitwiseAnd", since=18, layout="elementwise")
def bitwise_and(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return by_bits(ops.bitwise_and, A, B) if is_uint64(A) else ops.bitwise_and(A, B)


@KERAS.op("BitwiseOr", since=18, layout="elementwise")
def bitwise_or(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return by_bits(ops.bitwise_or, A, B) if is_uint64(A) else ops.bitwise_or(A, B)


@KERAS.op("BitwiseXor", since=18, layout="elementwise")
def bitwise_xor(A: KerasTensor, B: KerasTensor) -> KerasTensor:
    return by_bits(ops.bitwise_xor, A, B) if is_uint64(A) else ops.bitwise_xor(A, B)


@KERAS.op("BitwiseNot", since=18, layout="elementwise")
def bitwise_not(X: KerasTensor) -> KerasTensor:
    return by_bits(ops.bitwise_not, X) if is_uint64(X) else ops.bitwise_not(X)


@KERAS.op("BitShift", since=11, layout="elementwise")
def bit_shift(X: KerasTensor, Y: KerasTensor, direction: str) -> KerasTensor:
    """ONNX BitShift: all bits are gone after a shift by the width or more, or by a negative amount; the sign stays."""
    if is_uint64(X):
        return _uint64_shift(X, Y, direction)
    beyond = ops.logical_or(ops.less(Y, 0), ops.greater_equal(Y, BITS[X.dtype]))
    amount = ops.where(beyond, ops.zeros_like(Y), Y)
    if direction == "LEFT":
        return ops.where(beyond, ops.zeros_like(X), ops.left_shift(X, amount))
    # what is left of a number after all its bits: its sign
    sign = ops.negative(ops.cast(ops.less(X, 0), X.dtype)) if X.dtype.startswith("int") else ops.zeros_like(X)
    return ops.where(beyond, sign, ops.right_shift(X, amount))


def _uint64_shift(x: KerasTensor, y: KerasTensor, direction: str) -> KerasTensor:
    bits, amount = ops.view(x, "int64"), ops.view(y, "int64")
    beyond = ops.logical_or(ops.less(amount, 0), ops.greater_equal(amount, 64))
    places = ops.where(beyond, ops.zeros_like(amount), amount)
    moved = ops.left_shift(bits, places) if direction == "LEFT" else integers.shifted_right(bits, places)
    return ops.view(ops.where(beyond, ops.zeros_like(moved), moved), "uint64")


@KERAS.op("IsNaN", since=9, layout="elementwise")
def is_nan(X: KerasTensor) -> KerasTensor:
    return ops.isnan(X)


@KERAS.op("IsInf", since=10, layout="elementwise")
def is_inf(X: KerasTensor, detect_negative: int = 1, detect_positive: int = 1) -> KerasTensor:
    infinite = ops.isinf(X)
    if not detect_negative:
        infinite = ops.logical_and(infinite, ops.greater(X, 0))
    if not detect_positive:
        infinite = ops.logical_and(infinite, ops.less(X, 0))
    return infinite
