"""Whole numbers as graphs count with them: sums of sizes, of the loop's iteration and of constants.

Every length and condition is compared as such a sum, so that `T - 1 - i >= 0` and `i < T` are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

Count = dict[str, int]  # {what: how often}; the empty name stands for 1
ITERATION = "<iteration>"
_THROUGH = frozenset({"Cast", "Ceil", "Floor", "Identity", "ReduceMax", "ReduceMin", "Reshape", "Squeeze", "Unsqueeze"})
_KEEPS_SIZES = frozenset({"Cast", "Identity", "Not", "Relu", "Sigmoid", "Tanh"})
_ARITHMETIC = frozenset({"Add", "Div", "Max", "Min", "Mul", "Neg", "Sub"})
_DEEPEST = 32


def plus(one: Count, other: Count, factor: int = 1) -> Count:
    found = {name: one.get(name, 0) + factor * other.get(name, 0) for name in {*one, *other}}
    return {name: often for name, often in found.items() if often}


def constant(value: ir.Value | None) -> float | None:
    """The number that an initializer of one element is."""
    if value is None or value.const_value is None or not value.is_initializer() or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


class Counter:
    """Reads values as counts.

    Args:
        known: gives the counts of a loop's own values.
        outer: what a value of the loop's body stands for outside, else the value itself.
        body: whose values may bear the names of sizes that are others outside.
    """

    def __init__(
        self,
        known: Callable[[ir.Value], Count | None],
        outer: Callable[[ir.Value], ir.Value],
        body: ir.Graph | None = None,
    ) -> None:
        self._known, self._outer, self._body = known, outer, body
        self._read: dict[ir.Value, Count | None] = {}

    def __call__(self, value: ir.Value | None, depth: int = _DEEPEST) -> Count | None:
        if value is None or depth == 0:
            return None
        found = self._known(value)
        if found is not None:
            return found
        value = self._outer(value)
        if value not in self._read:
            self._read[value] = self._counted(value, depth)
        return self._read[value]

    def _counted(self, value: ir.Value, depth: int) -> Count | None:
        number = constant(value)
        if number is not None:
            return ({"": int(number)} if number else {}) if number == int(number) else None
        node = value.producer()
        if node is None or node.domain:
            return None
        if node.op_type in _THROUGH:
            return self(node.inputs[0], depth - 1)
        if node.op_type in {"Gather", "Slice"}:
            index = constant(node.inputs[1])
            return None if index is None else self._size(node.inputs[0], int(index))
        if node.op_type == "Shape" and len(value.shape or ()) == 1 and (value.shape or (0,))[0] == 1:
            return self._size(value, 0)
        if node.op_type == "SequenceLength":
            return self._pieces(node.inputs[0])
        return self._arithmetic(node, depth - 1) if node.op_type in _ARITHMETIC else None

    def _arithmetic(self, node: ir.Node, depth: int) -> Count | None:
        parts = [self(item, depth) for item in node.inputs]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or not known:
            return None
        first, second = known[0], known[-1]
        match node.op_type:
            case "Neg":
                return plus({}, first, -1)
            case "Add":
                return plus(first, second)
            case "Sub":
                return plus(first, second, -1)
            case "Max" | "Min":
                return first if all(part == first for part in known) else None
            case "Mul":
                return _times(first, second)
            case "Div":
                return _times(first, second) if second in ({"": 1}, {"": -1}) else None
        return None

    def _size(self, value: ir.Value | None, index: int) -> Count | None:
        """The size at `index` of a vector that is a shape."""
        node = value.producer() if value is not None else None
        if node is None or node.inputs[0] is None:
            return None
        if node.op_type in {"Cast", "Identity"}:
            return self._size(node.inputs[0], index)
        if node.op_type == "Shape" and index >= 0:
            start = node.attributes["start"].as_int() if "start" in node.attributes else 0
            found = size(self._outer(node.inputs[0]), index + start) if start >= 0 else None
            return found if found is None or found.keys() <= {""} or not self._is_inside(node.inputs[0]) else None
        return None

    def _is_inside(self, value: ir.Value) -> bool:
        value = self._outer(value)
        node = value.producer()
        return self._body is not None and (
            value in self._body.inputs or (node is not None and node.graph is self._body)
        )

    @staticmethod
    def _pieces(sequence: ir.Value | None) -> Count | None:
        """How many elements a tensor was taken apart into."""
        found = taken_apart(sequence)
        return None if found is None else size(*found)


def _times(one: Count, other: Count) -> Count | None:
    for factor, count in ((one, other), (other, one)):
        if factor.keys() <= {""}:
            return {name: often * factor.get("", 0) for name, often in count.items() if factor}
    return None


def taken_apart(sequence: ir.Value | None) -> tuple[ir.Value, int] | None:
    """The tensor and the axis along which a sequence of tensors without that axis was made of it."""
    node = sequence.producer() if sequence is not None else None
    if node is None or node.op_type != "SplitToSequence" or node.inputs[0] is None:
        return None
    keeps = node.attributes["keepdims"].as_int() if "keepdims" in node.attributes else 1
    if keeps or (len(node.inputs) > 1 and node.inputs[1] is not None):
        return None  # where a split is given, `keepdims` is ignored
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    return (node.inputs[0], axis) if axis >= 0 else None


def size(value: ir.Value, axis: int) -> Count | None:
    """The size of an axis, followed to where the tensor comes from; None where it is unknown."""
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    found = value.shape[axis]
    if isinstance(found, int):
        return {"": found} if found else {}
    node = value.producer()
    if node is not None and node.inputs and node.inputs[0] is not None:
        if node.op_type == "Transpose" and "perm" in node.attributes:
            return size(node.inputs[0], node.attributes["perm"].as_ints()[axis])
        if node.op_type in _KEEPS_SIZES:
            return size(node.inputs[0], axis)
    return {str(found.value): 1} if found.value is not None else None
