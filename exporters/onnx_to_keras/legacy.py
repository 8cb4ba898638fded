"""Operators as they were up to opset 6, when broadcasting was asked for, and a few others' older forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras import arithmetic, logic
from exporters.onnx_to_keras.activation import hardmax
from exporters.onnx_to_keras.normalization import batch_normalization_7
from exporters.onnx_to_keras.operand import Length, Operand, Scope, tensor
from exporters.onnx_to_keras.reduction import top_k
from exporters.onnx_to_keras.table import KERAS

OPERATIONS: dict[str, Callable[..., KerasTensor]] = {
    "Add": arithmetic.add,
    "Sub": arithmetic.sub,
    "Mul": arithmetic.mul,
    "Div": arithmetic.div,
    "Pow": arithmetic.power,
    "And": logic.logical_and,
    "Or": logic.logical_or,
    "Xor": logic.logical_xor,
    "Equal": logic.equal,
    "Greater": logic.greater,
    "Less": logic.less,
}


def aligned(b: Operand, rank: int, axis: int | None) -> KerasTensor:
    """`b` with axes of size 1 behind it, so that its first axis meets `axis` of a tensor of that rank."""
    x = tensor(b)
    if axis is None or len(x.shape) >= rank:
        return x
    for _ in range(rank - axis % rank - len(x.shape)):
        x = ops.expand_dims(x, -1)
    return x


def _binary(name: str, operation: Callable[..., Any]) -> Callable[..., KerasTensor]:
    def function(A: Operand, B: Operand, axis: int | None = None, broadcast: int = 0) -> KerasTensor:
        b = aligned(B, len(A.shape), axis) if broadcast else tensor(B)
        return operation(tensor(A), b)

    def power(X: Operand, Y: Operand, axis: int | None = None, broadcast: int = 0) -> KerasTensor:
        return function(X, Y, axis, broadcast)

    chosen = power if name == "Pow" else function
    chosen.__name__ = f"{name.lower()}_1"
    return chosen


for _name, _operation in OPERATIONS.items():
    KERAS.op(_name, since=1)(_binary(_name, _operation))


@KERAS.op("PRelu", since=1)
def prelu_1(X: Operand, slope: Operand) -> KerasTensor:
    """ONNX PRelu up to opset 6: one slope, or one per channel."""
    return arithmetic.prelu(X, aligned(slope, len(X.shape), 1) if len(slope.shape) == 1 else slope)


@KERAS.op("BatchNormalization", since=1, layout="channels")
def batch_normalization_1(
    X: KerasTensor,
    scale: Operand,
    B: Operand,
    mean: Operand,
    var: Operand,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
) -> KerasTensor:
    """ONNX BatchNormalization up to opset 6 at inference, whatever `is_test` says."""
    return batch_normalization_7(X, scale, B, mean, var, epsilon, momentum, spatial)


@KERAS.op("Hardmax", since=1)
def hardmax_1(input: KerasTensor, axis: int = 1) -> KerasTensor:
    """ONNX Hardmax up to opset 12: the first largest element of everything from `axis` on."""
    rank = len(input.shape)
    axes = tuple(range(axis % rank, rank))
    if len(axes) == 1:
        return hardmax(input, axes[0])
    size = math.prod(input.shape[axes[0] :])
    flat = ops.reshape(input, (-1, size))
    return ops.reshape(hardmax(flat, -1), (-1, *input.shape[1:]) if axes[0] else input.shape)


@KERAS.op("TopK", since=10, outputs=2)
def top_k_10(
    X: KerasTensor, K: list[Length], axis: int = -1, scope: Scope | None = None
) -> tuple[KerasTensor, KerasTensor]:
    return top_k(X, K, axis, scope=scope)


@KERAS.op("TopK", since=1, outputs=2)
def top_k_1(X: KerasTensor, k: int, axis: int = -1, scope: Scope | None = None) -> tuple[KerasTensor, KerasTensor]:
    """ONNX TopK up to opset 9, whose number of elements is an attribute."""
    return top_k(X, [k], axis, scope=scope)
