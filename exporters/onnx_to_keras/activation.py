"""Activations, and the softmax family."""

from __future__ import annotations

from keras import KerasTensor, ops

from exporters.onnx_to_keras.table import KERAS


@KERAS.op("Relu", since=1, layout="elementwise")
def relu(X: KerasTensor) -> KerasTensor:
    return ops.relu(X)


@KERAS.op("Sigmoid", since=1, layout="elementwise")
def sigmoid(X: KerasTensor) -> KerasTensor:
    return ops.sigmoid(X)


@KERAS.op("Tanh", since=1, layout="elementwise")
def tanh(input: KerasTensor) -> KerasTensor:
    return ops.tanh(input)


@KERAS.op("LeakyRelu", since=1, layout="elementwise")
def leaky_relu(X: KerasTensor, alpha: float = 0.01) -> KerasTensor:
    return ops.leaky_relu(X, alpha)


@KERAS.op("Elu", since=1, layout="elementwise")
def elu(X: KerasTensor, alpha: float = 1.0) -> KerasTensor:
    return ops.where(ops.less(X, 0), ops.multiply(ops.expm1(X), alpha), X)


@KERAS.op("Celu", since=12, layout="elementwise")
def celu(X: KerasTensor, alpha: float = 1.0) -> KerasTensor:
    return ops.celu(X, alpha)


@KERAS.op("Selu", since=6, layout="elementwise")
def selu(
    X: KerasTensor, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> KerasTensor:
    return ops.multiply(ops.where(ops.greater(X, 0), X, ops.multiply(ops.expm1(X), alpha)), gamma)


@KERAS.op("Selu", since=1, layout="elementwise")
def selu_1(X: KerasTensor, alpha: float = 1.6732, gamma: float = 1.0507) -> KerasTensor:
    """ONNX Selu up to opset 5, whose default constants are rounded."""
    return selu(X, alpha, gamma)


@KERAS.op("Gelu", since=20, layout="elementwise")
def gelu(X: KerasTensor, approximate: str = "none") -> KerasTensor:
    return ops.gelu(X, approximate=approximate == "tanh")


@KERAS.op("Softplus", since=1, layout="elementwise")
def softplus(X: KerasTensor) -> KerasTensor:
    return ops.softplus(X)


@KERAS.op("Softsign", since=1, layout="elementwise")
def softsign(input: KerasTensor) -> KerasTensor:
    return ops.softsign(input)


@KERAS.op("HardSigmoid", since=1, layout="elementwise")
def hard_sigmoid(X: KerasTensor, alpha: float = 0.2, beta: float = 0.5) -> KerasTensor:
    return ops.clip(ops.add(ops.multiply(X, alpha), beta), 0.0, 1.0)


@KERAS.op("HardSwish", since=14, layout="elementwise")
def hard_swish(X: KerasTensor) -> KerasTensor:
    return ops.multiply(X, hard_sigmoid(X, 1 / 6, 0.5))


@KERAS.op("Mish", since=18, layout="elementwise")
def mish(X: KerasTensor) -> KerasTensor:
    return ops.multiply(X, ops.tanh(ops.softplus(X)))


@KERAS.op("Swish", since=24, layout="elementwise")
def swish(X: KerasTensor, alpha: float = 1.0) -> KerasTensor:
    return ops.multiply(X, ops.sigmoid(ops.multiply(X, alpha)))


@KERAS.op("ThresholdedRelu", since=10, layout="elementwise")
def thresholded_relu(X: KerasTensor, alpha: float = 1.0) -> KerasTensor:
    return ops.where(ops.greater(X, alpha), X, ops.zeros_like(X))


@KERAS.op("Shrink", since=9, layout="elementwise")
def shrink(input: KerasTensor, bias: float = 0.0, lambd: float = 0.5) -> KerasTensor:
    """ONNX Shrink: moved by `bias` towards zero outside `lambd`, zero within."""
    zero = ops.zeros_like(input)
    below = ops.where(ops.less(input, -lambd), ops.cast(ops.add(input, bias), input.dtype), zero)
    return ops.where(ops.greater(input, lambd), ops.cast(ops.subtract(input, bias), input.dtype), below)


@KERAS.op("Softmax", since=13, layout="axis")
def softmax(input: KerasTensor, axis: int = -1) -> KerasTensor:
    if input.dtype == "float16":  # TensorFlow adds up in float16; the others round once, at the end
        return ops.cast(ops.softmax(ops.cast(input, "float32"), axis), "float16")
    return ops.softmax(input, axis)


@KERAS.op("Softmax", since=1)
def softmax_1(input: KerasTensor, axis: int = 1) -> KerasTensor:
    """ONNX Softmax up to opset 12: over all dimensions from `axis` on."""
    axes = tuple(range(axis % max(len(input.shape), 1), len(input.shape)))
    if len(axes) == 1:
        return ops.softmax(input, axes[0])
    grown = ops.exp(ops.subtract(input, ops.max(input, axes, keepdims=True)))
    return ops.divide(grown, ops.sum(grown, axes, keepdims=True))


@KERAS.op("LogSoftmax", since=13, layout="axis")
def log_softmax(input: KerasTensor, axis: int = -1) -> KerasTensor:
    return ops.log_softmax(input, axis)


@KERAS.op("LogSoftmax", since=1)
def log_softmax_1(input: KerasTensor, axis: int = 1) -> KerasTensor:
    """ONNX LogSoftmax up to opset 12: over all dimensions from `axis` on."""
    axes = tuple(range(axis % max(len(input.shape), 1), len(input.shape)))
    return ops.subtract(input, ops.logsumexp(input, axes, keepdims=True))


@KERAS.op("Hardmax", since=13, layout="axis")
def hardmax(input: KerasTensor, axis: int = -1) -> KerasTensor:
    marks = ops.one_hot(ops.argmax(input, axis), input.shape[axis], dtype=input.dtype)
    return ops.moveaxis(marks, -1, axis)
