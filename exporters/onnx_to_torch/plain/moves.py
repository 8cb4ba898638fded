"""Operators that only move elements about, or pick some of them; their types do not matter."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as nnf

from exporters.graph.values import constant, same_size
from exporters.onnx_to_torch.padding import padded_by_index
from exporters.onnx_to_torch.plain.call import FLOATS, Call, Rule
from exporters.onnx_to_torch.shape import broadcast_size, from_front

if TYPE_CHECKING:
    import onnx_ir as ir

_END = 2**63 - 1  # how exporters say "to the very end"
_TABLE = 2  # dimensions of what an embedding looks up in


def _reshape(given: Call) -> Any:
    wanted, keeps = given.argument(1), given.keyword("allowzero", 0) == 0
    rank = given.rank()
    if not isinstance(wanted, list):
        return None
    if keeps and any(size == 0 and isinstance(size, int) for size in wanted):
        if rank is None:
            return None
        wanted = [given.size(0, i) if _is(size, 0) and i < rank else size for i, size in enumerate(wanted)]
    return given.make(torch.reshape, given.argument(0), wanted)


def _is(size: Any, number: int) -> bool:
    return isinstance(size, int) and size == number


def _flatten(given: Call) -> Any:
    rank, axis = given.rank(), given.keyword("axis", 1)
    if rank is None or rank == 0:
        return None
    axis = axis + rank if axis < 0 else axis
    if axis == 1:
        return given.make(torch.flatten, given.argument(0), 1) if rank > 1 else None
    return None


def _expand(given: Call) -> Any:
    """-1 where a size is known to stay; else what is asked for, unless that may be 1 where the input has more."""
    wanted, shape = given.argument(1), given.shape(0)
    found = given.node.outputs[0].shape
    if not isinstance(wanted, list) or shape is None:
        return None
    count = max(len(shape), len(wanted))
    own: list[Any] = [1] * (count - len(shape)) + shape
    asked: list[Any] = [1] * (count - len(wanted)) + wanted
    result: list[Any] = list(found) if found is not None and len(found) == count else [None] * count
    sizes: list[Any] = []
    for axis, (have, want, becomes) in enumerate(zip(own, asked, result, strict=True)):
        new = axis < count - len(shape)  # an axis that the input does not have takes no -1
        if _is(have, 1) and (new or not _is(want, 1)):
            sizes.append(want)
        elif _is(want, 1) or same_size(have, becomes) or (isinstance(have, int) and have != 1):
            sizes.append(-1)
        elif isinstance(want, int):
            sizes.append(want)
        else:
            place = axis - (count - len(shape))
            sizes.append(given.make(broadcast_size, given.size(0, place), want))
    return given.graph.call_method("expand", (given.argument(0), sizes))


def _axes(given: Call, rank: int | None) -> list[int] | None:
    """Axes that are told as numbers, each from the front and in order."""
    axes = given.keyword("axes", None) if "axes" in given.keywords else given.argument(1)
    if not isinstance(axes, list) or not all(isinstance(axis, int) for axis in axes):
        return None
    if rank is None and min(axes, default=0) < 0:
        return None
    return sorted(axis + rank if axis < 0 and rank is not None else axis for axis in axes)


def _unsqueeze(given: Call) -> Any:
    rank = given.rank()
    listed = given.keyword("axes", None) if "axes" in given.keywords else given.argument(1)
    count = len(listed) if isinstance(listed, list) else 0
    axes = _axes(given, None if rank is None else rank + count)
    if not axes:
        return None
    x = given.argument(0)
    for axis in axes:
        x = given.make(torch.unsqueeze, x, axis)
    return x


def _squeeze(given: Call) -> Any:
    axes = _axes(given, given.rank())
    if not axes:
        return None
    x, shape = given.argument(0), given.shape(0)
    for axis in reversed(axes):
        # `squeeze` may leave a dimension in place, and so hides from PyTorch's exporter how many there are
        one = shape is not None and axis < len(shape) and _is(shape[axis], 1)
        x = given.make(torch.select, x, axis, 0) if one else given.make(torch.squeeze, x, axis)
    return x


def _slice(given: Call) -> Any:
    starts, ends, axes, steps = (given.argument(i) for i in range(1, 5))
    if not isinstance(starts, list) or not isinstance(ends, list) or not starts:
        return None
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    rank = given.rank()
    if rank is None or not all(isinstance(each, list) for each in (axes, steps)):
        return None
    if not all(isinstance(one, int) for one in (*axes, *steps)) or min(steps) < 1:
        return None
    axes = [axis % rank for axis in axes]
    x = given.argument(0)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        bounds = slice(start, None if _is(end, _END) else end, None if step == 1 else step)
        x = given.make(operator.getitem, x, (*[slice(None)] * axis, bounds))
    return x


def _concat(given: Call) -> Any:
    tensors = given.argument(0)
    if not isinstance(tensors, list):
        return None
    return tensors[0] if len(tensors) == 1 else given.make(torch.cat, tensors, given.keyword("axis", 1))


def _gather(given: Call) -> Any:
    """Whole slices: one by `select`, which is a view; rows of a table as an embedding; else by `index_select`."""
    axis, rank, shape = given.keyword("axis", 0), given.rank(), given.shape(0)
    depth = given.rank(1)
    if rank is None or shape is None or depth is None or not -rank <= axis < rank:
        return None
    axis = axis % rank
    one = _selected(given, axis, shape)
    if one is not None:
        return one
    x, places = given.argument(0), given.argument(1)
    if not _from_front(given.node.inputs[1]):
        places = given.make(from_front, places, given.size(0, axis))
    if axis == 0 and rank == _TABLE:
        return given.make(nnf.embedding, places, x)
    if depth == 1:
        return given.make(torch.index_select, x, axis, places)
    sizes = [given.size(0, i) for i in range(rank)]
    inner = [given.size(1, i) for i in range(depth)]
    flat = given.make(torch.index_select, x, axis, given.make(torch.reshape, places, [-1]))
    return given.make(torch.reshape, flat, [*sizes[:axis], *inner, *sizes[axis + 1 :]])


def _selected(given: Call, axis: int, shape: list[Any]) -> Any:
    index, size = given.whole(1), shape[axis]
    if index is None or given.shape(1) != [] or not isinstance(size, int) or not -size <= index < size:
        return None
    return given.make(torch.select, given.argument(0), axis, index)


def _gather_nd(given: Call) -> Any:
    """Coordinates as PyTorch's own indexing takes them: one tensor for each axis."""
    shape, places = given.shape(1), given.argument(1)
    depth = shape[-1] if shape else None
    if not isinstance(depth, int) or depth < 1 or given.keyword("batch_dims", 0) or given.rank() is None:
        return None
    columns = tuple(given.make(torch.select, places, -1, place) for place in range(depth))
    return given.make(operator.getitem, given.argument(0), columns)


def _from_front(places: ir.Value | None) -> bool:
    """Whether indices are constants as PyTorch takes them, of which none counts from the end."""
    numbers = constant(places)
    return numbers is not None and numbers.dtype.name in {"int32", "int64"} and bool((numbers >= 0).all())


def _transpose(given: Call) -> Any:
    perm, rank = given.keyword("perm", None), given.rank()
    if perm is None:
        return None
    if list(perm) == list(range(rank or 0)):
        return given.argument(0)
    return given.make(torch.permute, given.argument(0), list(perm))


def _pad(given: Call) -> Any:
    """One axis after the other where elements are repeated, all at once where a number is put around them."""
    rank, pads, mode = given.rank(), given.argument(1), given.keyword("mode", "constant")
    value, known = given.node.inputs[0], given.argument(3)
    if given.opset < _PADS_AS_INPUT or rank is None or not isinstance(pads, list) or value is None:
        return None
    axes = list(range(rank)) if known is None else known
    if not isinstance(axes, list) or not all(isinstance(axis, int) for axis in axes) or 2 * len(axes) != len(pads):
        return None
    around = {axis % rank: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    if mode != "constant":
        x = given.argument(0)
        for axis, (before, after) in around.items():
            if not (_is(before, 0) and _is(after, 0)):
                x = given.make(padded_by_index, x, axis, before, after, mode)
        return x
    number = 0.0 if given.argument(2) is None else given.number(2)
    if number is None or not math.isfinite(number) or value.dtype not in FLOATS:
        return None
    amounts = [amount for axis in reversed(range(rank)) for amount in around.get(axis, (0, 0))]
    return given.make(torch.constant_pad_nd, given.argument(0), amounts, number)


_PADS_AS_INPUT = 11  # the first opset whose amounts are an input

RULES: dict[str, Rule] = {
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
