"""Products of two tensors written as Einsum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Operand, Step, pattern
from exporters.graph.values import is_float, rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("Einsum", roots=("Einsum",), since=None, opens=True)
def matmul(node: ir.Node) -> Step | None:
    """As MatMul: the product of two tensors with what they share in front, `bqhd,bkhd->bhqk`.

    One axis is summed over, one is the first tensor's alone and one the second's, in whatever order; the second one may
    be a matrix alone, `btd,df->btf`. Not with an ellipsis, an axis twice in one tensor, or one that is summed over
    alone.
    """
    if len(node.inputs) != 2 or any(value is None or not is_float(value) for value in node.inputs):
        return None
    terms, _, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    a, b = node.inputs
    assert a is not None
    assert b is not None
    if any(len(set(term)) < len(term) or not term.isalpha() for term in (first, second, result)):
        return None
    if rank(a) != len(first) or rank(b) != len(second):
        return None
    shared = [axis for axis in result if axis in first and axis in second]
    summed = [axis for axis in first if axis in second and axis not in result]
    left, right = ([axis for axis in term if axis not in other] for term, other in ((first, second), (second, first)))
    if len(summed) != 1 or len(right) != 1 or not left or (shared and len(left) != 1):
        return None
    if set(left + right) - set(result):
        return None
    product = Step(
        "MatMul",
        (_ordered(a, first, [*shared, *left, *summed]), _ordered(b, second, [*shared, *summed, *right])),
        fused=False,
    )
    made = [*shared, *left, *right]
    return product if made == list(result) else Step("Transpose", (product,), {"perm": [made.index(x) for x in result]})


def _ordered(value: ir.Value, axes: str, wanted: list[str]) -> Operand:
    perm = [axes.index(axis) for axis in wanted]
    return value if perm == sorted(perm) else Step("Transpose", (value,), {"perm": perm})
