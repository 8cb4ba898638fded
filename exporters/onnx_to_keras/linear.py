"""Matrix products: a product with a constant is a Dense layer."""

from __future__ import annotations

import re

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.graph.operator_table import FUSED
from exporters.onnx_to_keras import integers, sharing
from exporters.onnx_to_keras.arithmetic import add
from exporters.onnx_to_keras.naming import operation_of
from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from exporters.onnx_to_keras.table import KERAS

# Means that are taken as sums: of so few columns that the sums cost nothing, over enough terms for it to matter.
FEW_COLUMNS = 4
MANY_TERMS = 64


@KERAS.op("Gemm", since=7)
def gemm(
    A: Operand,
    B: Operand,
    C: Operand | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> KerasTensor:
    """ONNX Gemm: `alpha * A' @ B' + beta * C`; with both factors 1 and constant weights it is a Dense layer."""
    left = ops.transpose(tensor(A)) if transA else tensor(A)
    if (
        isinstance(B, Constant)
        and "float" in B.dtype
        and (C is None or isinstance(C, Constant))
        and alpha == beta == 1.0
    ):
        width = B.shape[0 if transB else 1]
        if C is None or C.shape in ((width,), (1, width)):
            return dense(left, B, C, transB)
    product = matmul(left, ops.transpose(tensor(B)) if transB else tensor(B))
    product = product if alpha == 1.0 else ops.multiply(product, alpha)
    if C is None:
        return product
    return add(product, C if beta == 1.0 else ops.multiply(tensor(C), beta))


@KERAS.op("Gemm", since=1)
def gemm_1(
    A: Operand,
    B: Operand,
    C: Operand,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,
    transB: int = 0,
) -> KerasTensor:
    """ONNX Gemm up to opset 6, which asked leave to broadcast `C`."""
    return gemm(A, B, C, alpha, beta, transA, transB)


@KERAS.op("MatMul", since=1)
def matmul(A: Operand, B: Operand, bias: Constant | None = None) -> KerasTensor:
    """ONNX MatMul: with a constant matrix a Dense layer, which has the bias that `bias.absorb` found behind it."""
    if isinstance(B, Constant) and B.array.ndim == 2 and len(A.shape) >= 2 and "float" in B.dtype:
        left = _of_width(tensor(A), B.shape[0])
        if left.shape[-1] is not None:
            return dense(left, B, bias)
        product = ops.matmul(left, B.tensor)
        return product if bias is None else add(product, bias)
    if "float" not in A.dtype:
        return integers.product(tensor(A), tensor(B))
    if A.dtype != "float16":
        return ops.matmul(tensor(A), tensor(B))
    # TensorFlow adds up float16 products in float16; the others round once, at the end
    wide = (ops.cast(tensor(each), "float32") for each in (A, B))
    return ops.cast(ops.matmul(*wide), "float16")


def _of_width(x: KerasTensor, width: int) -> KerasTensor:
    """`x` with its last size said, which a Dense layer must know, where no more than one other is open as well."""
    if x.shape[-1] is not None or x.shape[1:-1].count(None) > 1:
        return x
    sizes = [-1 if size is None else size for size in x.shape[1:-1]]
    return keras.layers.Reshape((*sizes, width), dtype=x.dtype)(x)


@KERAS.op("Linear", since=1, domain=FUSED)
def linear(x: KerasTensor, weight: Operand, bias: Constant | None = None, transB: int = 0) -> KerasTensor:
    """A product with a matrix of weights over the last axis, and a bias: a Dense layer."""
    if not isinstance(weight, Constant):
        return matmul(x, ops.transpose(weight) if transB else weight, bias)
    left = _of_width(x, weight.shape[1 if transB else 0])
    if left.shape[-1] is None:
        return matmul(left, _kernel(weight, transB), bias)
    return dense(left, weight, bias, transB)


def _kernel(weight: Constant, transposed: int) -> Constant:
    if not transposed:
        return weight
    weight.turn()
    return weight.with_array(weight.array.T)


def dense(x: KerasTensor, weight: Constant, bias: Constant | None, transB: int = 0) -> KerasTensor:
    """A Dense layer named after its weight: `fc1.weight` becomes layer `fc1`.

    A bias that other products with the same matrix do not have is added behind it.
    """
    if weight.shared == sharing.TABLE and transB:
        product = reversible(weight, x, reverse=True)
        return product if bias is None else add(product, bias)
    kernel, scope = _kernel(weight, transB), weight.scope
    if _weighs(x, kernel):
        product = _means(x, kernel)
        return product if bias is None else add(product, bias)
    inside = None if weight.shared == sharing.APART else bias
    name = scope.name(re.sub(r"[./](weight|kernel)$", "", weight.name))
    layer = keras.layers.Dense(kernel.shape[1], use_bias=inside is not None, dtype=kernel.dtype, name=name)
    weights = [np.ascontiguousarray(kernel.array)] + ([] if inside is None else [inside.array.reshape(-1)])
    product = scope.apply(layer, x, weights, (weight, inside))
    return product if bias is None or inside is not None else add(product, bias)


def _weighs(x: KerasTensor, values: Constant) -> bool:
    """Whether the product of `x` with `values` is a mean of few columns, with the weights of a softmax: soft-argmax."""
    terms, columns = values.shape
    return columns <= FEW_COLUMNS and terms >= MANY_TERMS and type(operation_of(x)).__name__ == "Softmax"


def _means(weights: KerasTensor, values: Constant) -> KerasTensor:
    """The mean of each column of `values` (terms, columns) under `weights` (..., terms), as a sum of its own.

    Where all terms are of one sign, TensorFlow's errors in a product of a few long columns add up; those in a sum along
    the last axis do not.
    """
    rows = values.with_array(values.array.T).tensor
    sums = [ops.sum(ops.multiply(weights, rows[column]), axis=-1) for column in range(values.shape[1])]
    return ops.stack(sums, axis=-1)


def reversible(table: Constant, x: KerasTensor, **options: bool) -> KerasTensor:
    """The layer of a table whose rows are looked up, and by whose transpose something is multiplied (`reverse`)."""
    rows, width = table.shape
    name = table.scope.name(re.sub(r"[./]weight$", "", table.name))
    layer = keras.layers.ReversibleEmbedding(rows, width, embeddings_initializer="zeros", dtype=table.dtype, name=name)
    return table.scope.apply(layer, x, [table.array], (table,), **options)


@KERAS.op("Det", since=11)
def det(X: KerasTensor) -> KerasTensor:
    x = X if X.dtype in ("float32", "float64") else ops.cast(X, "float32")
    return ops.cast(ops.det(x), X.dtype)
