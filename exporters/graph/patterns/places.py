"""The places along an axis, counted from 0: what masks and positions are made of."""

from __future__ import annotations

import onnx_ir as ir

from exporters.graph.patterns.registry import Step, pattern
from exporters.graph.values import COUNTING, constant, integer, ints, producer, rank

_AS_THEY_ARE = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")


@pattern("Places", roots=("Range",), since=None)
def places(node: ir.Node) -> Step | None:
    """`Range(0, Gather(Shape(x), axis), 1)`: so PyTorch's own exporters may follow a size that is not known.

    The size also by Slice. Not from another number on, in other steps, or to what is computed from a size.
    """
    start, limit, delta = node.inputs
    if node.outputs[0].dtype != ir.DataType.INT64 or _number(start) != 0.0 or _number(delta) != 1.0:
        return None
    while (inner := producer(limit, *_AS_THEY_ARE)) is not None:
        limit = inner.inputs[0]
        if limit is None or limit.dtype not in COUNTING:
            return None
    picked = producer(limit, "Gather", "Slice", "Shape")
    shape = picked if picked is None or picked.op_type == "Shape" else producer(picked.inputs[0], "Shape")
    x = shape.inputs[0] if shape is not None else None
    count = rank(x) if x is not None else None
    if picked is None or shape is None or x is None or count is None:
        return None
    axes = list(range(count))[integer(shape, "start", 0) : integer(shape, "end", count)]
    if picked is not shape:
        axes = _picked(picked, axes)
    return Step("Places", (x,), {"axis": axes[0]}, fused=True) if len(axes) == 1 else None


def _picked(node: ir.Node, axes: list[int]) -> list[int]:
    if node.op_type == "Gather":
        index = constant(node.inputs[1])
        known = index is not None and index.size == 1 and -len(axes) <= int(index.reshape(-1)[0]) < len(axes)
        return [axes[int(index.reshape(-1)[0])]] if index is not None and known else []
    starts, ends, steps = (ints(node, name, at) for at, name in ((1, "starts"), (2, "ends"), (4, "steps")))
    if starts is None or ends is None or len(starts) != 1 or len(ends) != 1 or steps not in ([], [1]):
        return []
    return axes[starts[0] : ends[0]]


def _number(value: ir.Value | None) -> float | None:
    """A constant, also one that is cast to the dtype of something else."""
    node = producer(value, "Cast", "CastLike")
    known = constant(node.inputs[0] if node is not None else value)
    return float(known.reshape(-1)[0]) if known is not None and known.size == 1 and known.dtype.kind in "fiu" else None
