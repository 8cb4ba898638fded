"""Operators on two or more tensors that broadcast against each other: Add, Div, Pow, Max, Where ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras import integers
from exporters.onnx_to_keras.integers import by_bits, is_uint64, refuse_uint64
from exporters.onnx_to_keras.operand import Constant, Operand, number, tensor
from exporters.onnx_to_keras.table import KERAS


def _pair(a: Operand, b: Operand) -> tuple[Any, Any]:
    """Both operands as tensors, or one as a Python number where that changes neither rank nor dtype."""
    if isinstance(b, Constant) and len(b.shape) <= len(a.shape) and not isinstance(a, Constant):
        return tensor(a), number(b)
    if isinstance(a, Constant) and len(a.shape) <= len(b.shape) and not isinstance(b, Constant):
        return number(a), tensor(b)
    return tensor(a), tensor(b)


def is_misread(shape: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Whether `keras.ops.add(x, y)` of these shapes may go wrong on TensorFlow.

    Keras takes a `y` that squeezes to a vector as long as axis 1 or -1 of `x` for a bias of that axis, wherever the
    vector really lies. A size that is not known yet can be any.
    """
    if len(shape) < 2:
        return False
    for place, size in enumerate(other):
        others = other[:place] + other[place + 1 :]
        alone = all(length in (1, None) for length in others)
        if size != 1 and alone and any(_may_equal(size, length) for length in (shape[1], shape[-1])):
            on_last = place == len(other) - 1 and size is not None and shape[-1] == size
            if not on_last or len(other) > len(shape):
                return True
    return False


def _may_equal(a: int | None, b: int | None) -> bool:
    return a is None or b is None or a == b


def plus(x: Any, y: Any) -> KerasTensor:
    """`x + y`, past Keras' mistaken bias_add: `x - (-y)` is the same to the last bit."""
    if hasattr(x, "shape") and hasattr(y, "shape") and is_misread(tuple(x.shape), tuple(y.shape)):
        return ops.subtract(x, ops.negative(y))
    return ops.add(x, y)


@KERAS.op("Add", since=7, layout="elementwise")
def add(A: Operand, B: Operand) -> KerasTensor:
    return by_bits(plus, A, B) if is_uint64(A) else plus(*_pair(A, B))


@KERAS.op("Sub", since=7, layout="elementwise")
def sub(A: Operand, B: Operand) -> KerasTensor:
    return by_bits(ops.subtract, A, B) if is_uint64(A) else ops.subtract(*_pair(A, B))


@KERAS.op("Mul", since=7, layout="elementwise")
def mul(A: Operand, B: Operand) -> KerasTensor:
    return by_bits(ops.multiply, A, B) if is_uint64(A) else ops.multiply(*_pair(A, B))


@KERAS.op("Div", since=7, layout="elementwise")
def div(A: Operand, B: Operand) -> KerasTensor:
    if is_uint64(A):
        return integers.unsigned_quotient(tensor(A), tensor(B))
    if "float" in A.dtype:
        return ops.divide(*_pair(A, B))
    return integers.towards_zero(tensor(A), tensor(B))


@KERAS.op("Pow", since=7, layout="elementwise")
def power(X: Operand, Y: Operand) -> KerasTensor:
    """ONNX Pow: the result has the base's dtype, whatever the exponent's."""
    refuse_uint64("Pow", X)
    dtype = X.dtype
    if isinstance(Y, Constant) and Y.is_scalar and "float" in dtype and Y.array.item() == 2.0:
        return ops.square(tensor(X))
    x, y = tensor(X), tensor(Y)
    if x.dtype != y.dtype:
        wide = "float64" if "float" not in x.dtype and "float" in y.dtype else x.dtype
        x, y = ops.cast(x, wide), ops.cast(y, wide)
    return ops.cast(ops.power(x, y), dtype)


@KERAS.op("Mod", since=10, layout="elementwise")
def mod(A: KerasTensor, B: KerasTensor, fmod: int = 0) -> KerasTensor:
    """ONNX Mod: the sign of the divisor (as Python), or with `fmod` that of the dividend (as C)."""
    if is_uint64(A):
        return by_bits(ops.subtract, A, by_bits(ops.multiply, integers.unsigned_quotient(A, B), B))
    if fmod == 0:
        return ops.mod(A, B)
    remainder = ops.mod(ops.absolute(A), ops.absolute(B))
    return ops.where(ops.less(A, 0), ops.negative(remainder), remainder)


@KERAS.op("PRelu", since=7, layout="elementwise")
def prelu(X: Operand, slope: Operand) -> KerasTensor:
    x = tensor(X)
    scaled = ops.multiply(*_pair(X, slope))
    return ops.where(ops.less(x, 0), scaled, x)


@KERAS.op("Where", since=9, layout="elementwise")
def where(condition: Operand, X: Operand, Y: Operand) -> KerasTensor:
    mark = tensor(condition)
    if is_uint64(X):
        return by_bits(lambda x, y: ops.where(mark, x, y), X, Y)
    return ops.where(mark, tensor(X), tensor(Y))


def _fold(function: Callable[[Any, Any], Any], operands: list[Operand]) -> KerasTensor:
    result = tensor(operands[0])
    for other in operands[1:]:
        result = function(*_pair(result, other))
    return result


def _fold_ordered(function: Callable[[Any, Any], Any], operands: list[Operand]) -> KerasTensor:
    """Max or Min: uint64 in the order of the int64 of which each is as far from the smallest."""
    if not is_uint64(*operands):
        return _fold(function, operands)
    return integers.from_ordered(_fold(function, [integers.ordered(tensor(value)) for value in operands]))


@KERAS.op("Max", since=1, layout="elementwise")
def maximum(data_0: list[Operand]) -> KerasTensor:
    return _fold_ordered(ops.maximum, data_0)


@KERAS.op("Min", since=1, layout="elementwise")
def minimum(data_0: list[Operand]) -> KerasTensor:
    return _fold_ordered(ops.minimum, data_0)


@KERAS.op("Sum", since=1, layout="elementwise")
def add_all(data_0: list[Operand]) -> KerasTensor:
    return _fold(plus, data_0)


@KERAS.op("Mean", since=1, layout="elementwise")
def average(data_0: list[Operand]) -> KerasTensor:
    return ops.divide(add_all(data_0), float(len(data_0)))


@KERAS.op("Clip", since=11, layout="elementwise")
def clip(input: Operand, min: Operand | None = None, max: Operand | None = None) -> KerasTensor:
    """ONNX Clip: where `min` exceeds `max`, the result is `max`."""
    result = tensor(input)
    if min is not None:
        result = maximum([result, min])
    if max is not None:
        result = minimum([result, max])
    return result


LOWEST = float(np.finfo(np.float32).min)


@KERAS.op("Clip", since=1, layout="elementwise")
def clip_1(input: KerasTensor, min: float = LOWEST, max: float = -LOWEST) -> KerasTensor:
    """ONNX Clip up to opset 10, whose bounds are attributes."""
    return ops.clip(input, min, max)
