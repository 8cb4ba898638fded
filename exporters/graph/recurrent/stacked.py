"""Values that a graph puts together along a new axis, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.graph.values import ints, producer

if TYPE_CHECKING:
    import onnx_ir as ir

_RANK = 2  # of what is put together


@dataclass(frozen=True)
class Stack:
    """A tensor of all values along `axis`, the last one first if `backwards`."""

    value: ir.Value
    axis: int
    backwards: bool


def stacks(values: list[ir.Value]) -> list[Stack]:
    """The tensors that are all of `values`, and nothing else, along their first or second axis."""
    place: dict[ir.Value, tuple[int, int]] = {}  # by what has the new axis: the axis, and which of the values it is
    for index, value in enumerate(values):
        for use in value.uses():
            axis = _new_axis(use.node, value)
            if axis is not None:
                place[use.node.outputs[0]] = (axis, index)
                # a transposition of what has an axis of size 1 may be written as another reshaping
                for further in use.node.outputs[0].uses():
                    moved = _moved(further.node, axis)
                    if moved is not None:
                        place[further.node.outputs[0]] = (moved, index)
    joined = {
        use.node: None for each in place for use in each.uses() if use.node.op_type == "Concat" and not use.node.domain
    }
    found = (_stack(node, place, len(values)) for node in joined)
    return [stack for stack in found if stack is not None]


def _stack(node: ir.Node, place: dict[ir.Value, tuple[int, int]], count: int) -> Stack | None:
    found = [place[value] for value in node.inputs if value is not None and value in place]
    if len(found) != len(node.inputs) or len(found) != count or len({axis for axis, _ in found}) != 1:
        return None
    axis, order = found[0][0], [index for _, index in found]
    along = node.attributes["axis"].as_int() % (_RANK + 1)
    if along != axis or order not in (list(range(count)), list(range(count))[::-1]):
        return None
    return Stack(node.outputs[0], axis, order[0] > 0)


def _new_axis(node: ir.Node, value: ir.Value) -> int | None:
    """Which of the first two axes an Unsqueeze, or a Reshape, adds to a value of two."""
    if node.op_type == "Unsqueeze" and producer(node.outputs[0]) is node:
        axes = ints(node, "axes", 1)
        axis = axes[0] % (_RANK + 1) if axes is not None and len(axes) == 1 else _RANK
        return axis if axis < _RANK else None
    if node.op_type == "Reshape" and node.inputs[0] is value and value.shape is not None:
        return _axis_of_one(node.outputs[0].shape, value.shape[-1])
    return None


def _moved(node: ir.Node, axis: int) -> int | None:
    given = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if node.op_type != "Reshape" or node.domain or given is None or len(given) != _RANK + 1 or given[axis] != 1:
        return None
    return _axis_of_one(node.outputs[0].shape, given[-1])


def _axis_of_one(shape: ir.Shape | None, units: object) -> int | None:
    """The one axis of size 1 of a shape (1, samples, units) or (samples, 1, units): the order of elements stays."""
    if shape is None or len(shape) != _RANK + 1 or not isinstance(units, int) or shape[-1] != units:
        return None
    ones = [axis for axis in (0, 1) if shape[axis] == 1]
    return ones[0] if len(ones) == 1 else None
