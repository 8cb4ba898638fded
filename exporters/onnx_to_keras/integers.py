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


def towards_zero(a: Any, b: Any) -> KerasTensor:
    """The quotient of integers, cut off at the point as in C: Keras' own goes to the smaller one."""
    a = a if hasattr(a, "dtype") else ops.full_like(b, a)
    quotient = ops.floor_divide(a, b)
    inexact = ops.not_equal(ops.multiply(quotient, b), a)
    opposite = ops.not_equal(ops.less(a, 0), ops.less(b, 0))
    return ops.add(quotient, ops.cast(ops.logical_and(inexact, opposite), a.dtype))


def refuse_uint64(what: str, *values: Any) -> None:
    if is_uint64(*values):
        raise UnsupportedOperator(f"{what} of uint64 has no Keras form")


LOWEST = -(2**63)


def ordered(x: KerasTensor) -> KerasTensor:
    """uint64 as int64 in the same order."""
    return turned(ops.view(x, "int64"))


def from_ordered(x: KerasTensor) -> KerasTensor:
    return ops.view(turned(x), "uint64")


def turned(bits: KerasTensor) -> KerasTensor:
    """int64 with the other sign bit: what was unsigned order becomes signed order, and the other way around."""
    return ops.bitwise_xor(bits, ops.full_like(bits, LOWEST))


def shifted_right(bits: KerasTensor, amount: Any) -> KerasTensor:
    """int64 shifted right by 0 to 63 places, with zeros moving in."""
    moved = ops.right_shift(bits, amount)
    # all bits but the top `amount` ones; shifted in two steps, since 64 places at once are none
    kept = ops.bitwise_not(
        ops.left_shift(ops.left_shift(ops.full_like(bits, -1), ops.subtract(63, amount)), ops.ones_like(bits))
    )
    return ops.bitwise_and(moved, kept)


def unsigned_quotient(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The quotient of uint64: half of `a` is no negative int64, and one correction mends the last bit."""
    whole, divisor = ops.view(a, "int64"), ops.view(b, "int64")
    large = ops.less(divisor, 0)  # then the quotient is 0 or 1
    safe = ops.where(large, ops.ones_like(divisor), divisor)
    half = ops.floor_divide(shifted_right(whole, ops.ones_like(whole)), safe)
    rough = ops.left_shift(half, ops.ones_like(half))
    rest = ops.subtract(whole, ops.multiply(rough, safe))
    more = ops.greater_equal(turned(rest), turned(safe))
    small_result = ops.subtract(rough, ops.negative(ops.cast(more, "int64")))
    whole_is_larger = ops.greater_equal(turned(whole), turned(divisor))
    return ops.view(ops.where(large, ops.cast(whole_is_larger, "int64"), small_result), "uint64")


EXACT = frozenset({"int8", "uint8", "int16", "uint16"})  # their products, summed up, are exact in float64


def product(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The matrix product of integers, exact: Keras' own is computed in float32."""
    dtype = a.dtype
    if {a.dtype, b.dtype} <= EXACT:
        return ops.cast(ops.cast(exact_product(a, b), "int32"), dtype)
    wide = "int64" if dtype == "uint64" else dtype
    left, right = ops.cast(a, wide), ops.cast(b, wide)
    left = ops.expand_dims(left, 0) if len(a.shape) == 1 else left
    right = ops.expand_dims(right, 1) if len(b.shape) == 1 else right
    terms = ops.multiply(ops.expand_dims(left, -1), ops.expand_dims(right, -3))
    result = ops.cast(ops.sum(terms, -2), dtype)
    result = ops.squeeze(result, -2) if len(a.shape) == 1 else result
    return ops.squeeze(result, -1) if len(b.shape) == 1 else result


def exact_product(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The matrix product of small integers in float64, where it is exact."""
    return ops.matmul(ops.cast(a, "float64"), ops.cast(b, "float64"))
