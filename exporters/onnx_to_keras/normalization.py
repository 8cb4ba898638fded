"""Normalisations."""

from __future__ import annotations

import re

import keras
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from exporters.onnx_to_keras.table import KERAS


@KERAS.op("BatchNormalization", since=14, layout="channels")
def batch_normalization(
    X: KerasTensor,
    scale: Operand,
    B: Operand,
    input_mean: Operand,
    input_var: Operand,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> KerasTensor:
    """ONNX BatchNormalization at inference: a layer of the same name, epsilon exactly as the source has it."""
    given = (scale, B, input_mean, input_var)
    if not all(isinstance(value, Constant) for value in given) or training_mode:
        return _by_operations(X, scale, B, input_mean, input_var, epsilon, training_mode)
    assert isinstance(scale, Constant)
    layer = keras.layers.BatchNormalization(
        axis=CHANNEL_AXIS % len(X.shape),
        epsilon=epsilon,
        momentum=momentum,
        dtype=X.dtype,
        name=scale.scope.name(re.sub(r"[./](weight|gamma|scale)$", "", scale.name)),
    )
    return scale.scope.apply(layer, X, [value.array.astype(X.dtype) for value in given])


@KERAS.op("BatchNormalization", since=9, layout="channels")
def batch_normalization_9(
    X: KerasTensor,
    scale: Operand,
    B: Operand,
    mean: Operand,
    var: Operand,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
) -> KerasTensor:
    return batch_normalization(X, scale, B, mean, var, epsilon, momentum)


@KERAS.op("BatchNormalization", since=7, layout="channels")
def batch_normalization_7(
    X: KerasTensor,
    scale: Operand,
    B: Operand,
    mean: Operand,
    var: Operand,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
) -> KerasTensor:
    """ONNX BatchNormalization up to opset 8, with one mean and variance per channel."""
    return batch_normalization(X, scale, B, mean, var, epsilon, momentum)


CHANNEL_AXIS = 1


def _by_operations(
    x: KerasTensor, scale: Operand, bias: Operand, mean: Operand, var: Operand, epsilon: float, training: int
) -> KerasTensor:
    """The same from tensors that are computed when the model runs."""
    per_channel = [1] * len(x.shape)
    per_channel[CHANNEL_AXIS] = -1
    gamma, beta = (ops.reshape(ops.cast(tensor(v), x.dtype), per_channel) for v in (scale, bias))
    axes = [axis for axis in range(len(x.shape)) if axis != CHANNEL_AXIS]
    if training:
        center, spread = ops.mean(x, axes, keepdims=True), ops.var(x, axes, keepdims=True)
    else:
        center, spread = (ops.reshape(ops.cast(tensor(v), x.dtype), per_channel) for v in (mean, var))
    normal = ops.multiply(ops.subtract(x, center), ops.rsqrt(ops.add(spread, epsilon)))
    return plus(ops.multiply(normal, gamma), beta)
