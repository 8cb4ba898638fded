"""Normalisations."""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras
from keras import KerasTensor, ops

from exporters.onnx_to_keras import sums
from exporters.onnx_to_keras.arithmetic import add, mul, plus
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
        axis=-1 if len(X.shape) != 2 else 1,
        epsilon=epsilon,
        momentum=momentum,
        dtype=X.dtype,
        name=_layer_name(scale),
    )
    return scale.scope.apply(layer, X, [value.array.astype(X.dtype) for value in given], given)


@KERAS.op("BatchNormalization", since=14, outputs=3, layout="channels")
def batch_normalization_in_training(
    X: KerasTensor,
    scale: Operand,
    B: Operand,
    input_mean: Operand,
    input_var: Operand,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tuple[KerasTensor, ...]:
    """ONNX BatchNormalization in training: by the batch's own mean and variance, with the running ones it leaves."""
    axes = list(range(len(X.shape) - 1))
    y = _by_operations(X, scale, B, input_mean, input_var, epsilon, 1)
    held = [ops.cast(tensor(value), X.dtype) for value in (input_mean, input_var)]
    fresh = [ops.squeeze(value, tuple(axes)) for value in _moments(X, axes)]
    running = [
        ops.subtract(ops.multiply(old, momentum), ops.multiply(new, momentum - 1))
        for old, new in zip(held, fresh, strict=True)
    ]
    return (y, *running)


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
    """ONNX BatchNormalization up to opset 8: `spatial=0` has one mean and variance per element."""
    if not spatial and len(X.shape) > 2:
        return _per_element(X, scale, B, mean, var, epsilon)
    return batch_normalization(X, scale, B, mean, var, epsilon, momentum)


def _per_element(
    x: KerasTensor, scale: Operand, bias: Operand, mean: Operand, var: Operand, epsilon: float
) -> KerasTensor:
    """The parameters have ONNX's order (channels, *spatial); `x` has its channels last."""
    gamma, beta, center, spread = (ops.moveaxis(tensor(value), 0, -1) for value in (scale, bias, mean, var))
    normal = ops.multiply(ops.subtract(x, center), ops.rsqrt(ops.add(spread, epsilon)))
    return plus(ops.multiply(normal, gamma), beta)


def _by_operations(
    x: KerasTensor, scale: Operand, bias: Operand, mean: Operand, var: Operand, epsilon: float, training: int
) -> KerasTensor:
    """The same from tensors that are computed when the model runs."""
    gamma, beta = (ops.cast(tensor(value), x.dtype) for value in (scale, bias))
    axes = list(range(len(x.shape) - 1))
    if training:
        center, spread = _moments(x, axes)
    else:
        center, spread = (ops.cast(tensor(value), x.dtype) for value in (mean, var))
    normal = ops.multiply(ops.subtract(x, center), ops.rsqrt(ops.add(spread, epsilon)))
    return plus(ops.multiply(normal, gamma), beta)


@KERAS.op("LayerNormalization", since=17)
def layer_normalization(
    X: KerasTensor,
    Scale: Operand,
    B: Operand | None = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> KerasTensor:
    """ONNX LayerNormalization: over the last axis with constant weights it is a layer of the source's name."""
    rank = len(X.shape)
    axes = list(range(axis % rank, rank))
    shape = tuple(X.shape[axis % rank :])
    held = isinstance(Scale, Constant) and Scale.shape == shape and (B is None or isinstance(B, Constant))
    if held and len(axes) == 1:
        assert isinstance(Scale, Constant)
        layer = keras.layers.LayerNormalization(
            axis=-1, epsilon=epsilon, center=B is not None, dtype=X.dtype, name=_layer_name(Scale)
        )
        weights = [value.array for value in (Scale, B) if isinstance(value, Constant)]
        return Scale.scope.apply(layer, X, weights, (Scale, B if isinstance(B, Constant) else None))
    center = ops.subtract(X, ops.mean(X, axes, keepdims=True))
    spread = ops.mean(ops.square(center), axes, keepdims=True)
    normal = ops.multiply(center, ops.rsqrt(ops.add(spread, epsilon)))
    return mul(normal, Scale) if B is None else add(mul(normal, Scale), B)


@KERAS.op("RMSNormalization", since=23)
def rms_normalization(
    X: KerasTensor, scale: Operand, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> KerasTensor:
    axes = list(range(axis % len(X.shape), len(X.shape)))
    spread = ops.mean(ops.square(X), axes, keepdims=True)
    return mul(ops.multiply(X, ops.rsqrt(ops.add(spread, epsilon))), scale)


@KERAS.op("InstanceNormalization", since=1, layout="channels")
def instance_normalization(input: KerasTensor, scale: Operand, B: Operand, epsilon: float = 1e-5) -> KerasTensor:
    center, spread = _moments(input, range(1, len(input.shape) - 1))
    normal = ops.multiply(ops.subtract(input, center), ops.rsqrt(ops.add(spread, epsilon)))
    return add(mul(normal, scale), B)


@KERAS.op("GroupNormalization", since=21, layout="channels")
def group_normalization(
    X: KerasTensor, scale: Operand, bias: Operand, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> KerasTensor:
    """ONNX GroupNormalization. Keras' layer of that name errs by 20 to 450 times the rounding of PyTorch's."""
    spatial, size = range(1, len(X.shape) - 1), X.shape[-1] // num_groups

    def of_groups(x: KerasTensor) -> KerasTensor:
        """The mean over each group and its pixels, at each of its channels."""
        means = ops.reshape(sums.mean(x, spatial, keepdims=True), (-1, *(1 for _ in spatial), num_groups, size))
        return ops.repeat(ops.mean(means, axis=-1), size, axis=-1)

    wide = ops.cast(X, "float32") if X.dtype in ("float16", "bfloat16") else X
    center = ops.subtract(wide, of_groups(wide))
    normal = ops.multiply(center, ops.rsqrt(ops.add(of_groups(ops.square(center)), epsilon)))
    return add(mul(ops.cast(normal, X.dtype), scale), bias)


@KERAS.op("LpNormalization", since=1, layout="axis")
def lp_normalization(input: KerasTensor, axis: int = -1, p: int = 2) -> KerasTensor:
    """ONNX LpNormalization: where the norm is 0, the result is 0."""
    if p == 1:
        norm = sums.total(ops.absolute(input), [axis], keepdims=True)
    else:
        norm = ops.sqrt(sums.total(ops.square(input), [axis], keepdims=True))
    return ops.divide_no_nan(input, norm)


def _moments(x: KerasTensor, axes: Sequence[int]) -> tuple[KerasTensor, KerasTensor]:
    """Mean and variance over `axes`, which stay with size 1."""
    center = sums.mean(x, axes, keepdims=True)
    return center, sums.mean(ops.square(ops.subtract(x, center)), axes, keepdims=True)


def _layer_name(weight: Constant) -> str:
    return weight.scope.name(re.sub(r"[./](weight|gamma|scale)$", "", weight.name))
