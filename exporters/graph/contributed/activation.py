"""Activations, and what ONNX Runtime fuses with them."""

from __future__ import annotations

import math

from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer


def activated(
    write: Writer, x: Value, name: str | None, alpha: float | None = None, beta: float | None = None
) -> Value:
    """`x` after the activation that a fused operator names; one without parameters has ONNX's defaults."""
    if not name:
        return x
    if name == "Clip":
        limits = [None if limit is None else write.like(x, limit) for limit in (alpha, beta)]
        return write.Clip(x, *limits)
    if name in ("Relu", "Sigmoid", "Tanh"):
        return write.several(name, 1, x)[0]
    if name in ("LeakyRelu", "Elu"):
        return write.several(name, 1, x, alpha=alpha)[0]
    if name == "HardSigmoid":
        return write.HardSigmoid(x, alpha=alpha, beta=beta)
    raise NotKnown(f"activation {name}")


@REWRITTEN.op("Gelu", since=1, domain=DOMAIN)
def gelu(write: Writer, X: Value) -> Value:
    """Half of x * (1 + erf(x / sqrt(2)))."""
    if write.has("Gelu"):
        return write.Gelu(X)
    bent = write.Erf(write.Mul(X, write.like(X, math.sqrt(0.5))))
    return write.Mul(write.Mul(X, write.like(X, 0.5)), write.Add(bent, write.like(X, 1.0)))


@REWRITTEN.op("BiasGelu", since=1, domain=DOMAIN)
def bias_gelu(write: Writer, A: Value, B: Value) -> Value:
    """GELU of A + B."""
    return gelu(write, write.Add(A, B))


@REWRITTEN.op("FastGelu", since=1, domain=DOMAIN)
def fast_gelu(write: Writer, X: Value, bias: Value | None = None) -> Value:
    """Half of x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) of X + bias."""
    x = X if bias is None else write.Add(X, bias)
    if write.has("Gelu"):
        return write.Gelu(x, approximate="tanh")
    cube = write.Mul(write.Mul(write.Mul(x, x), x), write.like(X, 0.044715))
    bent = write.Tanh(write.Mul(write.Add(x, cube), write.like(X, math.sqrt(2 / math.pi))))
    return write.Mul(write.Mul(x, write.like(X, 0.5)), write.Add(bent, write.like(X, 1.0)))


@REWRITTEN.op("QuickGelu", since=1, domain=DOMAIN)
def quick_gelu(write: Writer, X: Value, alpha: float = 1.7020000219345093) -> Value:
    """The product x * sigmoid(alpha * x)."""
    return write.Mul(X, write.Sigmoid(write.Mul(X, write.like(X, alpha))))


@REWRITTEN.op("BiasSplitGelu", since=1, domain=DOMAIN)
def bias_split_gelu(write: Writer, X: Value, bias: Value) -> Value:
    """The first half of the last axis of X + bias, times the GELU of the second half."""
    width = _width(bias)
    left, right = write.several("Split", 2, write.Add(X, bias), split=[width // 2] * 2, axis=-1)
    return write.Mul(left, gelu(write, right))


def _width(x: Value) -> int:
    if x.shape is None or not isinstance(x.shape[-1], int):
        raise NotKnown(f"the last size of '{x.name}'")
    return x.shape[-1]


@REWRITTEN.op("BiasAdd", since=1, domain=DOMAIN)
def bias_add(write: Writer, X: Value, bias: Value, skip: Value) -> Value:
    return write.Add(write.Add(X, bias), skip)


@REWRITTEN.op("BiasSoftmax", since=1, domain=DOMAIN)
def bias_softmax(write: Writer, data: Value, bias: Value, is_inner_broadcast: int, axis: int = 1) -> Value:
    """Softmax of data + bias over all axes from `axis` on; `bias` lacks the axes before, or those in between.

    ONNX's broadcasting does both: those in between have size 1.
    """
    return softmax_from(write, write.Add(data, bias), axis, data)


def softmax_from(write: Writer, x: Value, axis: int, like: Value) -> Value:
    """Softmax over all axes of `x` from `axis` on; `like` has its shape."""
    if axis == -1 or axis == write.rank(like) - 1:
        return write.Softmax(x, axis=-1)
    flat = write.Softmax(write.Flatten(x, axis=axis), axis=-1)
    return write.Reshape(flat, write.Shape(like))
