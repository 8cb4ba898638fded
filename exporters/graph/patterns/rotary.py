"""Rotary embedding: pairs of elements turned by angles, half a tensor apart or side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.patterns.registry import Step, keeps_rank, pattern
from exporters.graph.values import bare, integer, ints, is_float, producer, rank, same_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir


@pattern("RotateHalves", roots=("Add",), since=None)
def rotate_halves(node: ir.Node) -> Step | None:
    """`x * cosine + Concat(-x[.., half:], x[.., :half]) * sine`, as transformers has it, over the last axis.

    Halves by Slice or by Split. Not where the sine has another size than x along the last axis.
    """
    return _turned(node, "RotateHalves", _is_turned)


@pattern("RotatePairs", roots=("Add",), since=None)
def rotate_pairs(node: ir.Node) -> Step | None:
    """`x * cosine + Reshape(Concat(Unsqueeze(-x[.., 1::2]), Unsqueeze(x[.., ::2]))) * sine`, as GPT-J has it.

    Both parts get an axis at the end, along which they are joined, so that the pairs lie side by side again. Not where
    the second of a pair is not the one that is negated.
    """
    return _turned(node, "RotatePairs", _is_turned_by_pairs)


def _turned(node: ir.Node, name: str, turns: Callable[[ir.Value, ir.Value], bool]) -> Step | None:
    for one, other in (node.inputs, node.inputs[::-1]):
        for x, cosine in _factors(one):
            for turned, sine in _factors(other):
                if turns(turned, x) and keeps_rank(node, x) and _fits(x, cosine, sine):
                    return Step(name, (x, cosine, sine), fused=True)
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


def _is_turned_by_pairs(value: ir.Value, x: ir.Value) -> bool:
    flat, count = producer(value, "Reshape"), rank(x)
    joined = producer(flat.inputs[0], "Concat") if flat is not None else None
    if joined is None or len(joined.inputs) != 2 or not count or value.shape is None or x.shape is None:
        return False
    size, axis = x.shape[-1], integer(joined, "axis", 0)
    if not isinstance(size, int) or size % 2 or not same_shape(value.shape, x.shape) or axis not in {-1, count}:
        return False
    second, first = (_before_new_axis(part, count) for part in joined.inputs)
    negative = producer(second, "Neg")
    return negative is not None and _every_other(negative.inputs[0], x) == 1 and _every_other(first, x) == 0


def _before_new_axis(value: ir.Value | None, count: int) -> ir.Value | None:
    """What got one more axis at its end."""
    node = producer(value, "Unsqueeze")
    return node.inputs[0] if node is not None and ints(node, "axes", 1) in ([-1], [count]) else None


def _every_other(value: ir.Value | None, x: ir.Value) -> int | None:
    """At which element of the last axis of `x` the Slice begins that takes every second one, to the end."""
    node, count = producer(value, "Slice"), rank(x)
    if node is None or node.inputs[0] is None or bare(node.inputs[0]) is not x or not count or x.shape is None:
        return None
    bounds = [ints(node, name, place) for place, name in enumerate(("starts", "ends", "axes", "steps"), start=1)]
    if any(bound is None or len(bound) != 1 for bound in bounds):
        return None
    start, end, axis, step = (bound[0] for bound in bounds if bound)
    size = x.shape[-1]
    whole = isinstance(size, int) and end >= size and start in {0, 1}
    return start if whole and step == 2 and axis % count == count - 1 else None


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
