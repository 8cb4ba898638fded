"""Rotary embedding whose pairs lie half a tensor apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import bare, integer, ints, is_float, producer, rank

if TYPE_CHECKING:
    import onnx_ir as ir


@pattern("RotateHalves", roots=("Add",), since=None)
def rotate_halves(node: ir.Node) -> Step | None:
    """`x * cosine + Concat(-x[.., half:], x[.., :half]) * sine`, as transformers has it, over the last axis.

    Halves by Slice or by Split. Not the form whose pairs lie side by side, and not where the sine has another size
    than x along the last axis.
    """
    for one, other in (node.inputs, node.inputs[::-1]):
        for x, cosine in _factors(one):
            for turned, sine in _factors(other):
                if _is_turned(turned, x) and keeps_rank(node, x) and _fits(x, cosine, sine):
                    return Step("RotateHalves", (x, cosine, sine), fused=True)
    return None


def _factors(product: ir.Value | None) -> list[tuple[ir.Value, ir.Value]]:
    """The two factors of a product, either of them first."""
    node = producer(bare(product), "Mul") if product is not None else None
    if node is None or node.inputs[0] is None or node.inputs[1] is None:
        return []
    a, b = bare(node.inputs[0]), bare(node.inputs[1])
    return [(a, b), (b, a)]


def _is_turned(value: ir.Value, x: ir.Value) -> bool:
    joined, count = producer(value, "Concat"), rank(x)
    if joined is None or len(joined.inputs) != 2 or not count or x.shape is None:
        return False
    if integer(joined, "axis", 0) % count != count - 1 or rank(value) != count:
        return False
    size = x.shape[-1]
    negative = producer(joined.inputs[0], "Neg")
    if negative is None or not isinstance(size, int) or size % 2:
        return False
    return _part(negative.inputs[0], x, size) == (size // 2, size) and _part(joined.inputs[1], x, size) == (
        0,
        size // 2,
    )


def _part(value: ir.Value | None, x: ir.Value, size: int) -> tuple[int, int] | None:
    """From where to where along the last axis `value` is taken out of `x`."""
    node = producer(value, "Slice", "Split")
    count = rank(x)
    if node is None or value is None or node.inputs[0] is None or bare(node.inputs[0]) is not x or not count:
        return None
    if node.op_type == "Split":
        width = value.shape[-1] if value.shape is not None else None
        halves = len(node.outputs) == 2 and width == size // 2 and integer(node, "axis", 0) % count == count - 1
        first = node.outputs[0] is value
        return ((0, size // 2) if first else (size // 2, size)) if halves else None
    starts, ends, axes, steps = (
        ints(node, name, place) for place, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    )
    if starts is None or ends is None or axes is None or steps is None or len(starts) != 1 or len(axes) != 1:
        return None
    if axes[0] % count != count - 1 or steps not in ([], [1]):
        return None
    start, end, _ = slice(starts[0], ends[0]).indices(size)
    return start, end


def _fits(x: ir.Value, cosine: ir.Value, sine: ir.Value) -> bool:
    shape, own = sine.shape, x.shape
    if shape is None or own is None or cosine.shape is None or not is_float(x):
        return False
    same = x.dtype == cosine.dtype == sine.dtype
    return same and len(shape) > 0 and shape[-1] == own[-1] and len(cosine.shape) > 0 and cosine.shape[-1] == own[-1]
