"""Integers that Keras promotes to something narrower or inexact: uint64 becomes uint32, products become float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Operand, tensor
from toolkit.errors import UnsupportedOperator

BITS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}


def is_uint64(*values: Any) -> bool:
    return any(value is not None and value.dtype == "uint64" for value in values)


def by_bits(operation: Callable[..., Any], *operands: Operand) -> KerasTensor:
    """`operation` on uint64 operands by way of int64, which has the same bits: sums, products and bits are the same."""
    return ops.cast(operation(*(ops.cast(tensor(value), "int64") for value in operands)), "uint64")


def refuse_uint64(what: str, *values: Any) -> None:
    if is_uint64(*values):
        raise UnsupportedOperator(f"{what} of uint64 has no Keras form")


def product(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The matrix product of integers, exact: Keras' own is computed in float32."""
    dtype = a.dtype
    wide = "int64" if dtype == "uint64" else dtype
    left, right = ops.cast(a, wide), ops.cast(b, wide)
    left = ops.expand_dims(left, 0) if len(a.shape) == 1 else left
    right = ops.expand_dims(right, 1) if len(b.shape) == 1 else right
    terms = ops.multiply(ops.expand_dims(left, -1), ops.expand_dims(right, -3))
    result = ops.cast(ops.sum(terms, -2), dtype)
    result = ops.squeeze(result, -2) if len(a.shape) == 1 else result
    return ops.squeeze(result, -1) if len(b.shape) == 1 else result
