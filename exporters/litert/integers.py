"""Keras' operations on integers for which LiteRT has no operator, out of those that it has: exact for every int64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ROUNDS = 4  # of 23 bits each: what float32 can tell of a quotient of 63


def bincount(own: Callable[..., Any]) -> Callable[..., Any]:
    """As `keras.ops.bincount`; of a vector without weights in LiteRT's operators, otherwise as Keras has it."""
    import tensorflow as tf

    def counted(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        if weights is not None or sparse or len(x.shape) != 1:
            return own(x, weights, minlength, sparse)
        kinds = tf.range(tf.maximum(tf.cast(tf.maximum(tf.reduce_max(x), -1), tf.int32) + 1, minlength))
        found = tf.equal(tf.expand_dims(kinds, 1), tf.expand_dims(tf.cast(x, tf.int32), 0))
        return tf.reduce_sum(tf.cast(found, tf.int32), 1)

    return counted


def floor_divide(own: Callable[..., Any]) -> Callable[..., Any]:
    """As `keras.ops.floor_divide`; of int64, which LiteRT divides by no operator, by way of the remainder.

    Without its remainder the dividend is a multiple of the divisor: float32 tells the first bits of how often, and what
    is left over is divided again, until nothing is.
    """
    import tensorflow as tf

    def divided(x1: Any, x2: Any) -> Any:
        if not any(getattr(each, "dtype", None) == tf.int64 for each in (x1, x2)) or any(
            isinstance(each, float) for each in (x1, x2)
        ):
            return own(x1, x2)
        a, b = (tf.cast(each, tf.int64) for each in (x1, x2))
        rest = a - tf.math.floormod(a, b)
        quotient = tf.zeros_like(rest)
        for _ in range(_ROUNDS):
            step = tf.cast(tf.round(tf.cast(rest, tf.float32) / tf.cast(b, tf.float32)), tf.int64)
            quotient, rest = quotient + step, rest - step * b
        return quotient

    return divided
