"""Linear layers: a product with a matrix of weights, and a bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Operand, Step, pattern
from exporters.graph.values import bare, constant, is_float, permutation, producer, rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("Gemm", roots=("Add",), since=7)
def gemm(node: ir.Node) -> Step | None:
    """`MatMul(x, weight) + bias`, x and the weight having two dimensions and the bias one, the weight also transposed.

    Not where the bias is longer than the rows, or has another direction, nor of integers.
    """
    found = _found(node)
    if found is None or rank(found[0]) != 2:
        return None
    x, weight, bias, transposed = found
    return Step("Gemm", (x, weight, bias), {"transB": 1} if transposed else {}, fused=True)


@pattern("Linear", roots=("Add",), since=None)
def linear(node: ir.Node) -> Step | None:
    """`MatMul(x, weight) + bias` as for Gemm, x having three dimensions or more."""
    found = _found(node)
    if found is None or (rank(found[0]) or 0) < 3:
        return None
    x, weight, bias, transposed = found
    return Step("Linear", (x, weight, bias), {"transB": int(transposed)}, fused=True)


def _found(node: ir.Node) -> tuple[ir.Value, ir.Value, Operand, bool] | None:
    """x, weight and bias of a linear layer, and whether the weight stands transposed in its initializer."""
    for product, bias in (node.inputs, node.inputs[::-1]):
        matmul = producer(bare(product), "MatMul") if product is not None else None
        stored = constant(bias)
        if matmul is None or bias is None or stored is None or stored.ndim != 1 or matmul.inputs[0] is None:
            continue
        x, weight = matmul.inputs
        transpose = producer(weight, "Transpose")
        turned = transpose is not None and permutation(transpose) == [1, 0]
        weight = transpose.inputs[0] if transpose is not None and turned else weight
        matrix = constant(weight)
        if weight is None or x is None or matrix is None or matrix.ndim != 2 or x.dtype != weight.dtype:
            continue
        if not is_float(x):  # ONNX Runtime has a MatMul of integers, and no Gemm
            continue
        if stored.shape == (matrix.shape[0 if turned else 1],) and bias.dtype == x.dtype:
            return x, weight, bias, turned
    return None
