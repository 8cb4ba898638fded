"""Products of more than two dimensions that are written as one of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, pattern
from exporters.graph.values import producer, rank, same_shape, same_size

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("MatMul", roots=("Reshape",), since=7)
def matrix_product(node: ir.Node) -> Step | None:
    """`Reshape(MatMul(Reshape(x, (-1, K)), weight), sizes)`, where the sizes are those of x, the last one replaced.

    TensorFlow's Tensordot, which Dense is on more than two dimensions. Not where another dimension than the last is
    multiplied, or where two or more of the others are known neither as numbers nor to be equal.
    """
    product = producer(node.inputs[0], "MatMul")
    flat = producer(product.inputs[0], "Reshape") if product is not None else None
    if product is None or flat is None:
        return None
    x, weight, out = flat.inputs[0], product.inputs[1], node.outputs[0]
    if x is None or weight is None or rank(weight) != 2 or rank(flat.outputs[0]) != 2:
        return None
    given, wanted, rows, matrix = x.shape, out.shape, flat.outputs[0].shape, weight.shape
    if given is None or wanted is None or rows is None or matrix is None or not 3 <= len(given) == len(wanted):
        return None
    if not (same_size(given[-1], rows[-1]) and same_size(wanted[-1], matrix[-1])):
        return None
    return Step("MatMul", (x, weight)) if same_shape(given[:-1], wanted[:-1]) else None
