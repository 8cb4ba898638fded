"""Values that are one element of a tensor along its first or second axis, as an unrolled loop takes them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.graph.recurrent import counting
from exporters.graph.values import constant, integer, ints, producer

if TYPE_CHECKING:
    import onnx_ir as ir

_RANK = 3  # of what elements of two dimensions are taken from


@dataclass(frozen=True)
class Element:
    """`whole[index]` or `whole[:, index]`; the axis has a known size."""

    whole: ir.Value
    axis: int
    index: int


def element_of(value: ir.Value) -> Element | None:
    """What `value` is an element of, without the axis along which it was taken; None for anything else."""
    node = producer(value, "Gather", "SequenceAt", "Squeeze", "Reshape")
    if node is None or node.inputs[0] is None:
        return None
    if node.op_type == "Gather":
        return _gathered(node, dimensions=0)
    if node.op_type == "SequenceAt":
        apart, at = counting.taken_apart(node.inputs[0]), constant(node.inputs[1])
        return _checked(*apart, int(at)) if apart is not None and at is not None else None
    found = _of_one(node.inputs[0])
    if found is None or not _loses(node, found.axis):
        return None
    return found


def _checked(whole: ir.Value, axis: int, index: int) -> Element | None:
    shape = whole.shape
    if shape is None or len(shape) != _RANK or axis not in (0, 1):
        return None
    size = shape[axis]
    if not isinstance(size, int) or not -size <= index < size:
        return None
    return Element(whole, axis, index % size)


def _gathered(node: ir.Node, *, dimensions: int) -> Element | None:
    """A Gather by one known index of so many dimensions: without any, the axis is gone."""
    index, whole = constant(node.inputs[1]), node.inputs[0]
    if index is None or index.ndim != dimensions or index.size != 1 or whole is None or whole.shape is None:
        return None
    return _checked(whole, integer(node, "axis", 0) % len(whole.shape), int(index.reshape(())))


def _of_one(value: ir.Value) -> Element | None:
    """An element that still has the axis, of size 1, along which it was taken."""
    node = producer(value, "Gather", "Slice", "Split")
    whole = node.inputs[0] if node is not None else None
    if node is None or whole is None or whole.shape is None:
        return None
    if node.op_type == "Gather":
        return _gathered(node, dimensions=1)
    if node.op_type == "Slice":
        return _sliced(node, whole)
    axis = integer(node, "axis", 0) % len(whole.shape)
    sizes = ints(node, "split", 1)
    if sizes is None or set(sizes) - {1} or whole.shape[axis] != len(node.outputs):
        return None
    return _checked(whole, axis, value.index() or 0)


def _sliced(node: ir.Node, whole: ir.Value) -> Element | None:
    assert whole.shape is not None
    starts, ends = ints(node, "starts", 1), ints(node, "ends", 2)
    axes, steps = ints(node, "axes", 3), ints(node, "steps", 4)
    if starts is None or ends is None or len(starts) != 1 or len(ends) != 1 or axes is None or steps not in ([], [1]):
        return None
    axis = axes[0] % len(whole.shape) if axes else 0
    size = whole.shape[axis]
    if not isinstance(size, int):
        return None
    begin, end, _ = slice(starts[0], ends[0]).indices(size)
    return _checked(whole, axis, begin) if end - begin == 1 else None


def _loses(node: ir.Node, axis: int) -> bool:
    """Whether a Squeeze, or a Reshape of three dimensions to two, takes that axis of size 1 away and no other."""
    given, made = node.inputs[0], node.outputs[0]
    assert given is not None
    if node.op_type == "Squeeze":
        axes = ints(node, "axes", 1)
        return axes is not None and len(axes) == 1 and axes[0] % _RANK == axis
    if given.shape is None or made.shape is None or len(given.shape) != _RANK or len(made.shape) != _RANK - 1:
        return False
    return given.shape[axis] == 1 and isinstance(given.shape[-1], int) and given.shape[-1] == made.shape[-1]
