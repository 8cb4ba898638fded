"""Operators on quantised tensors: each is computed on the numbers that the integers stand for, and rounded once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.contributed.activation import softmax_from
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer

_PER_AXIS = 13  # the opset from which ONNX's own operators know an axis


def _along(write: Writer, scale: Value, axis: int) -> int | None:
    """The axis, for an opset that knows one; before, there was one scale for all."""
    if write.opset >= _PER_AXIS:
        return axis
    if scale.shape is None or any(size != 1 for size in scale.shape):
        raise NotKnown("scales along an axis")
    return None


@REWRITTEN.op("QuantizeLinear", since=1, domain=DOMAIN)
def quantize_linear(write: Writer, x: Value, y_scale: Value, y_zero_point: Value | None = None, axis: int = 1) -> Value:
    return write.QuantizeLinear(x, y_scale, y_zero_point, axis=_along(write, y_scale, axis))


@REWRITTEN.op("DequantizeLinear", since=1, domain=DOMAIN)
def dequantize_linear(
    write: Writer, x: Value, x_scale: Value, x_zero_point: Value | None = None, axis: int = 1
) -> Value:
    return write.DequantizeLinear(x, x_scale, x_zero_point, axis=_along(write, x_scale, axis))


def real(write: Writer, x: Value, scale: Value, point: Value | None) -> Value:
    """The numbers that the integers of a tensor with one scale stand for: (x - point) * scale."""
    result = write.DequantizeLinear(x, write.scalar(scale), None if point is None else write.scalar(point))
    result.type = scale.type
    return result


def integers(write: Writer, x: Value, scale: Value, point: Value | None, like: Value) -> Value:
    """Undo `real`; without a zero point the integers are of the type of `like`."""
    if point is not None:
        return write.QuantizeLinear(x, write.scalar(scale), write.scalar(point))
    if like.dtype is None:
        raise NotKnown(f"the type of '{like.name}'")
    return write.QuantizeLinear(x, write.scalar(scale), write.constant(np.zeros([], like.dtype.numpy())))


@REWRITTEN.op("QLinearAdd", since=1, domain=DOMAIN)
def qlinear_add(
    write: Writer,
    A: Value,
    A_scale: Value,
    A_zero_point: Value | None,
    B: Value,
    B_scale: Value,
    B_zero_point: Value | None,
    C_scale: Value,
    C_zero_point: Value | None = None,
) -> Value:
    total = write.Add(real(write, A, A_scale, A_zero_point), real(write, B, B_scale, B_zero_point))
    return integers(write, total, C_scale, C_zero_point, A)


@REWRITTEN.op("QLinearMul", since=1, domain=DOMAIN)
def qlinear_mul(
    write: Writer,
    A: Value,
    A_scale: Value,
    A_zero_point: Value | None,
    B: Value,
    B_scale: Value,
    B_zero_point: Value | None,
    C_scale: Value,
    C_zero_point: Value | None = None,
) -> Value:
    product = write.Mul(real(write, A, A_scale, A_zero_point), real(write, B, B_scale, B_zero_point))
    return integers(write, product, C_scale, C_zero_point, A)


@REWRITTEN.op("QLinearSigmoid", since=1, domain=DOMAIN)
def qlinear_sigmoid(
    write: Writer,
    X: Value,
    X_scale: Value,
    X_zero_point: Value | None,
    Y_scale: Value,
    Y_zero_point: Value | None = None,
) -> Value:
    return integers(write, write.Sigmoid(real(write, X, X_scale, X_zero_point)), Y_scale, Y_zero_point, X)


@REWRITTEN.op("QLinearLeakyRelu", since=1, domain=DOMAIN)
def qlinear_leaky_relu(
    write: Writer,
    X: Value,
    X_scale: Value,
    X_zero_point: Value | None,
    Y_scale: Value,
    Y_zero_point: Value | None = None,
    alpha: float = 0.009999999776482582,
) -> Value:
    y = write.LeakyRelu(real(write, X, X_scale, X_zero_point), alpha=alpha)
    return integers(write, y, Y_scale, Y_zero_point, X)


@REWRITTEN.op("QLinearSoftmax", since=1, domain=DOMAIN)
def qlinear_softmax(
    write: Writer,
    X: Value,
    X_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value,
    opset: int,
    axis: int = -1,
) -> Value:
    """Softmax along `axis`, or up to opset 12 over all axes from there on."""
    x = real(write, X, X_scale, x_zero_point)
    if axis == -1 or opset < _PER_AXIS:
        return integers(write, softmax_from(write, x, axis, X), y_scale, y_zero_point, X)
    if write.opset < _PER_AXIS:
        raise NotKnown("a softmax along an axis in between")
    return integers(write, write.Softmax(x, axis=axis), y_scale, y_zero_point, X)


@REWRITTEN.op("QLinearReduceMean", since=1, domain=DOMAIN)
def qlinear_reduce_mean(
    write: Writer,
    data: Value,
    data_scale: Value,
    data_zero_point: Value | None,
    reduced_scale: Value,
    reduced_zero_point: Value | None = None,
    axes: list[int] | None = None,
    keepdims: int = 1,
) -> Value:
    mean = write.ReduceMean(real(write, data, data_scale, data_zero_point), axes=axes, keepdims=keepdims)
    return integers(write, mean, reduced_scale, reduced_zero_point, data)


@REWRITTEN.op("QLinearWhere", since=1, domain=DOMAIN)
def qlinear_where(
    write: Writer,
    condition: Value,
    X: Value,
    x_scale: Value,
    x_zero_point: Value,
    Y: Value,
    y_scale: Value,
    y_zero_point: Value,
    z_scale: Value,
    z_zero_point: Value,
) -> Value:
    """Where of both, each first brought to the scale of the result."""
    left = integers(write, real(write, X, x_scale, x_zero_point), z_scale, z_zero_point, X)
    right = integers(write, real(write, Y, y_scale, y_zero_point), z_scale, z_zero_point, X)
    return write.Where(condition, left, right)


@REWRITTEN.op("QLinearConcat", since=1, domain=DOMAIN)
def qlinear_concat(write: Writer, Y_scale: Value, Y_zero_point: Value, inputs: list[Value], axis: int) -> Value:
    """Joined tensors; `inputs` holds a tensor, its scale and its zero point in turn."""
    triples = zip(inputs[::3], inputs[1::3], inputs[2::3], strict=True)
    parts = [integers(write, real(write, *triple), Y_scale, Y_zero_point, inputs[0]) for triple in triples]
    return write.Concat(*parts, axis=axis)


@REWRITTEN.op("QLinearAveragePool", since=1, domain=DOMAIN)
def qlinear_average_pool(
    write: Writer,
    X: Value,
    x_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value | None = None,
    kernel_shape: list[int] | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    images = write.channels_first(X) if channels_last else X
    y = write.AveragePool(
        real(write, images, x_scale, x_zero_point), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, pads=pads, strides=strides,
    )  # fmt: skip
    y = integers(write, y, y_scale, y_zero_point, X)
    return write.channels_last(y, write.rank(X)) if channels_last else y


@REWRITTEN.op("QLinearGlobalAveragePool", since=1, domain=DOMAIN)
def qlinear_global_average_pool(
    write: Writer,
    X: Value,
    x_scale: Value,
    x_zero_point: Value,
    y_scale: Value,
    y_zero_point: Value,
    channels_last: int = 0,
) -> Value:
    images = write.channels_first(X) if channels_last else X
    y = write.GlobalAveragePool(real(write, images, x_scale, x_zero_point))
    y = integers(write, y, y_scale, y_zero_point, X)
    return write.channels_last(y, write.rank(X)) if channels_last else y


@REWRITTEN.op("QLinearConv", since=1, domain=DOMAIN)
def qlinear_conv(
    write: Writer,
    x: Value,
    x_scale: Value,
    x_zero_point: Value,
    w: Value,
    w_scale: Value,
    w_zero_point: Value,
    y_scale: Value,
    y_zero_point: Value,
    B: Value | None = None,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    """ONNX's QLinearConv, of images that may have their channels last."""
    y = write.QLinearConv(
        write.channels_first(x) if channels_last else x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale,
        y_zero_point, B, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
        strides=strides,
    )  # fmt: skip
    return write.channels_last(y, write.rank(x)) if channels_last else y


@REWRITTEN.op("QGemm", since=1, domain=DOMAIN)
def qgemm(
    write: Writer,
    A: Value,
    a_scale: Value,
    a_zero_point: Value,
    B: Value,
    b_scale: Value,
    b_zero_point: Value,
    C: Value | None = None,
    y_scale: Value | None = None,
    y_zero_point: Value | None = None,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Value:
    """A product of quantised matrices with int32 added; floats where no output scale is given."""
    left = write.Transpose(A, perm=[1, 0]) if transA else A
    right = write.Transpose(B, perm=[1, 0]) if transB else B
    product = write.MatMulInteger(left, right, a_zero_point, b_zero_point)
    product = product if C is None else write.Add(product, C)
    step = write.Mul(write.Mul(a_scale, b_scale), write.constant(np.float32(alpha)))
    result = write.Mul(write.Cast(product, to=int(ir.DataType.FLOAT)), step)
    return result if y_scale is None else integers(write, result, y_scale, y_zero_point, A)


@REWRITTEN.op("NhwcMaxPool", since=1, domain=DOMAIN)
def nhwc_max_pool(
    write: Writer,
    x: Value,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Value:
    y = write.MaxPool(
        write.channels_first(x), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
        dilations=dilations, pads=pads, strides=strides,
    )  # fmt: skip
    return write.channels_last(y, write.rank(x))
