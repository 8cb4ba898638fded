"""Scaled dot-product attention."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.patterns import attention_operator
from exporters.graph.patterns.heads import exchanged, without_repeats
from exporters.graph.patterns.registry import Operand, Step, pattern
from exporters.graph.values import bare, integer, is_float, permutation, producer, rank, same_size, scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

_FARTHEST = -6e4  # a score this low has no weight beside any other; float16 knows nothing lower than -65504


@dataclass(frozen=True)
class Scores:
    """`scale * query @ keys^T`, with what is added to it, and where it counts at all."""

    product: ir.Node
    scale: float = 1.0
    added: tuple[ir.Value, ...] = ()
    allowed: ir.Value | None = None
    blocked: ir.Value | None = None
    fill: float | None = None


@pattern("ScaledDotProductAttention", roots=("Attention", "MatMul"), since=None)
def attention(node: ir.Node) -> Step | None:
    """`MatMul(Softmax(MatMul(q, k^T) * scale + mask), v)` in three or four dimensions.

    The scale may stand before or behind the product, or on q and k both, as a factor or a divisor, or be missing. The
    mask may be added, once or twice, or be a condition, `Where(mask, scores, -inf)`; a row that may look at nothing
    gives what it gives in the graph: NaN, or 0 where the graph replaces NaN by 0, or the plain mean. Keys and values
    that are both repeated, each head the same number of times for as many heads of q, are taken as they were before.
    Not with a softmax along another axis, nor with a mask that has more dimensions than the scores. ONNX's own
    Attention is read the same, unless it has a cache, a softcap, a shorter mask, or a mask and is causal too.
    """
    if node.op_type == "Attention":
        return attention_operator.fused(node)
    weights, v = node.inputs
    softmax, guarded = _softmax(weights)
    if softmax is None or v is None or softmax.inputs[0] is None:
        return None
    count = rank(v)
    for scores in _scores(softmax.inputs[0], Scores(node)):
        q, kt = scores.product.inputs
        assert q is not None
        assert kt is not None
        if count not in {3, 4} or not rank(q) == rank(kt) == rank(node.outputs[0]) == count or not is_float(q):
            continue
        left, q = _unscaled(q)
        right, k = _keys(kt)
        mask = _mask(scores, count)
        if mask is None or not scores.scale * left * right > 0:
            continue
        k, v, groups = _ungrouped(k, v)
        attributes = {
            "scale": scores.scale * left * right,
            "empty_rows": "zero" if guarded else "mean" if scores.fill not in {None, -math.inf} else "nan",
            "mask_fits": int(_fits(scores)),
            "groups": groups,
        }
        return Step("ScaledDotProductAttention", (q, k, v, *mask), attributes, fused=True)
    return None


def _softmax(weights: ir.Value | None) -> tuple[ir.Node | None, bool]:
    """The softmax along the last axis behind `weights`, and whether its NaN are replaced by 0."""
    if weights is None:
        return None, False
    weights = bare(weights)
    guard = producer(weights, "Where")
    if guard is not None:
        test, zero, inner = guard.inputs
        asked = producer(test, "IsNaN")
        if asked is None or scalar(zero) != 0.0 or asked.inputs[0] is not inner or inner is None:
            return None, False
        weights = inner
    softmax = producer(bare(weights), "Softmax")
    count = rank(weights)
    if softmax is None or softmax.graph is None or count is None:
        return None, False
    opset = softmax.graph.opset_imports.get("", 0)
    axis = integer(softmax, "axis", -1 if opset >= 13 else 1)
    return (softmax, guard is not None) if axis % count == count - 1 else (None, False)


def _scores(value: ir.Value, outer: Scores) -> Iterator[Scores]:
    """All ways to read `value` as scores that masks and scales were put on, from the outside in."""
    node = producer(bare(value), "Add", "Mul", "Div", "Where", "MatMul")
    if node is None:
        return
    if node.op_type == "MatMul":
        yield replace(outer, product=node)
    elif node.op_type == "Where" and outer.fill is None and not outer.added:
        yield from _conditional(node, outer)
    elif node.op_type == "Add" and len(outer.added) < 2:
        for inner, mask in (node.inputs, node.inputs[::-1]):
            if inner is not None and mask is not None and outer.scale == 1.0:
                yield from _scores(inner, replace(outer, added=(*outer.added, mask)))
    elif node.op_type in {"Mul", "Div"}:
        for inner, number in _scaled(node):
            yield from _scores(inner, replace(outer, scale=outer.scale * number))


def _conditional(node: ir.Node, outer: Scores) -> Iterator[Scores]:
    condition, yes, no = node.inputs
    if condition is None or outer.scale != 1.0:
        return
    inverse = producer(condition, "Not")
    for scores, other, blocks in ((yes, no, False), (no, yes, True)):
        fill = scalar(other)
        if scores is None or fill is None or fill > _FARTHEST:
            continue
        if blocks and inverse is not None:
            yield from _scores(scores, replace(outer, allowed=inverse.inputs[0], fill=fill))
        elif blocks:
            yield from _scores(scores, replace(outer, blocked=condition, fill=fill))
        else:
            yield from _scores(scores, replace(outer, allowed=condition, fill=fill))


def _scaled(node: ir.Node) -> Iterator[tuple[ir.Value, float]]:
    a, b = node.inputs
    number = scalar(b)
    if a is not None and number:
        yield a, number if node.op_type == "Mul" else 1.0 / number
    number = scalar(a)
    if b is not None and number and node.op_type == "Mul":
        yield b, number


def _unscaled(value: ir.Value) -> tuple[float, ir.Value]:
    """The factors that stand before `value`, and what is left without them."""
    scale = 1.0
    while (node := producer(bare(value), "Mul", "Div")) is not None:
        found = next(_scaled(node), None)
        if found is None or rank(found[0]) != rank(value):
            break
        value, number = found
        scale *= number
    return scale, value


def _keys(transposed: ir.Value) -> tuple[float, ir.Value | Step]:
    """The scale on the keys, and the keys themselves."""
    before, value = _unscaled(transposed)
    count = rank(value)
    assert count is not None
    swap = [*range(count - 2), count - 1, count - 2]
    whole = exchanged(value)
    if whole is not None:
        behind, keys = _unscaled(whole)
        return before * behind, keys
    node = producer(bare(value), "Transpose")
    perm = permutation(node) if node is not None else None
    if node is None or perm is None or node.inputs[0] is None:
        return before, Step("Transpose", (value,), {"perm": swap})
    behind, inner = _unscaled(node.inputs[0])
    order = [perm[axis] for axis in swap]
    return before * behind, inner if order == list(range(count)) else Step("Transpose", (inner,), {"perm": order})


def _ungrouped(k: ir.Value | Step, v: ir.Value) -> tuple[ir.Value | Step, ir.Value, int]:
    """Keys, values, and how many times each of their heads was repeated."""
    if isinstance(k, Step):
        return k, v, 1
    (keys, count), (values, also) = without_repeats(k), without_repeats(v)
    return (keys, values, count) if count == also else (k, v, 1)


def _mask(scores: Scores, count: int) -> tuple[Operand, ...] | None:
    """The mask as PyTorch takes it, if there is any; None where it cannot be had."""
    if any(value.shape is None or len(value.shape) > count for value in _masks(scores)):
        return None
    added: tuple[Operand, ...] = scores.added[:1] if len(scores.added) < 2 else (Step("Add", scores.added),)
    if scores.fill is None:
        return added
    condition, *_ = (value for value in (scores.allowed, scores.blocked) if value is not None)
    if added:
        far = np.array(-np.inf, _dtype(scores))
        order = (condition, *added, far) if scores.blocked is None else (condition, far, *added)
        return (Step("Where", order),) if scores.fill == -math.inf else None
    return (condition,) if scores.blocked is None else (Step("Not", (condition,)),)


def _dtype(scores: Scores) -> np.dtype[np.generic]:
    dtype = scores.product.outputs[0].dtype
    assert dtype is not None
    return dtype.numpy()


def _masks(scores: Scores) -> list[ir.Value]:
    return [value for value in (*scores.added, scores.allowed, scores.blocked) if value is not None]


def _fits(scores: Scores) -> bool:
    """Whether no mask can make the scores larger: each of its dimensions is 1, or the one that the scores have."""
    shape = scores.product.outputs[0].shape
    if shape is None:
        return False
    return all(
        size == 1 or same_size(size, of)
        for value in _masks(scores)
        if value.shape is not None
        for size, of in zip(reversed(list(value.shape)), reversed(list(shape)), strict=False)
    )
