"""A Loop as one step over sequences: what it reads, which states it keeps, and that it makes as many steps as it reads.

Anything that is not known for certain makes it no such loop: None, and the Loop stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.graph.recurrent.expression import Expression, Known, Leaf, Reader

if TYPE_CHECKING:
    import onnx_ir as ir

Length = int | str


@dataclass(frozen=True)
class State:
    """A value carried from step to step: the first one, what a step makes of it, and where the last one goes."""

    first: ir.Value
    update: Expression
    last: ir.Value


@dataclass(frozen=True)
class Steps:
    """A loop over the first axis of `sequences`; `outputs` are (what a step gives, where all of them go)."""

    node: ir.Node
    sequences: tuple[ir.Value, ...]
    states: dict[int, State]
    outputs: tuple[tuple[Expression, ir.Value], ...]


def read(node: ir.Node, opset: int) -> Steps | None:
    """The Loop as steps; None where it is something else."""
    body = node.attributes["body"].as_graph()
    carried = list(body.inputs)[2:]
    updates, scanned = list(body.outputs)[1 : 1 + len(carried)], list(body.outputs)[1 + len(carried) :]
    firsts = list(node.inputs)[2:]
    if any(first is None for first in firsts):
        return None
    counters = {body.inputs[0]} | {
        value for value, update, first in zip(carried, updates, firsts, strict=True) if _counts(value, update, first)
    }
    kept = {value: first for value, update, first in zip(carried, updates, firsts, strict=True) if update is value}
    sequences: list[ir.Value] = []

    def leaf(value: ir.Value) -> Expression | None:
        if value in kept:
            return _outer(kept[value])
        if value in counters:
            return Leaf("outer", value)
        if value in carried:
            return Leaf("state", carried.index(value))
        read = _step_of(value, counters, kept)
        if read is not None:
            sequences.append(read)
            return Leaf("step", read)
        return None

    reader = Reader(leaf, body, opset)
    states = {
        index: State(first, reader(update), node.outputs[index])  # type: ignore[arg-type]
        for index, (value, update, first) in enumerate(zip(carried, updates, firsts, strict=True))
        if value not in kept and value not in counters
    }
    outputs = tuple((reader(value), node.outputs[len(carried) + index]) for index, value in enumerate(scanned))
    plain = [node.outputs[index] for index, value in enumerate(carried) if value in kept or value in counters]
    if any(list(value.uses()) or value.is_graph_output() for value in plain) or not sequences:
        return None
    lengths = {_length_of_axis(sequence, 0) for sequence in sequences}
    if len(lengths) != 1 or not _runs_through(node, body, counters, kept, lengths.pop()):
        return None
    return Steps(node, tuple(dict.fromkeys(sequences)), states, outputs)


def _outer(value: ir.Value | None) -> Expression:
    assert value is not None
    if value.const_value is not None and value.is_initializer():
        return Known(value.const_value.numpy())
    return Leaf("outer", value)


def _counts(value: ir.Value, update: ir.Value, first: ir.Value | None) -> bool:
    """Whether a carried value starts at 0 and is raised by 1."""
    node = update.producer()
    if node is None or node.op_type != "Add" or value not in node.inputs:
        return False
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    return _number(other) == 1 and _number(first) == 0


def _number(value: ir.Value | None) -> float | None:
    if value is None or value.const_value is None or not value.is_initializer() or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


def _step_of(value: ir.Value, counters: set[ir.Value], kept: dict[ir.Value, ir.Value | None]) -> ir.Value | None:
    """The outer sequence that `value` is this step's element of."""
    node = value.producer()
    if node is None or node.op_type != "Gather" or node.inputs[1] not in counters:
        return None
    if "axis" in node.attributes and node.attributes["axis"].as_int() != 0:
        return None
    sequence = node.inputs[0]
    return kept.get(sequence, sequence) if sequence is not None else None


def _runs_through(
    node: ir.Node, body: ir.Graph, counters: set[ir.Value], kept: dict[ir.Value, ir.Value | None], length: Length | None
) -> bool:
    """Whether the loop makes exactly `length` steps: by its trip count, or by its condition, and never fewer."""
    if length is None:
        return False
    exact = _length(node.inputs[0], kept) == length
    for value in _conditions(body.outputs[0]):
        if _number(value) == 1 or value is body.inputs[1]:
            continue
        less = value.producer()
        if less is None or less.op_type != "Less" or _length(less.inputs[1], kept) != length:
            return False
        counted = _uncast(less.inputs[0])
        after = counted is not None and counted not in counters and _next(counted, counters)
        if not after and counted not in counters:
            return False
        exact = exact or after
    bound = node.inputs[0]
    unbounded = bound is None or _length(bound, kept) == length or (_number(bound) or 0) >= 2**31 - 1
    return exact and unbounded


def _conditions(value: ir.Value) -> Iterator[ir.Value]:
    node = value.producer()
    if node is not None and node.op_type == "And":
        for item in node.inputs:
            assert item is not None
            yield from _conditions(item)
    elif node is not None and node.op_type in ("Identity", "Cast"):
        assert node.inputs[0] is not None
        yield from _conditions(node.inputs[0])
    else:
        yield value


def _uncast(value: ir.Value | None) -> ir.Value | None:
    node = value.producer() if value is not None else None
    return _uncast(node.inputs[0]) if node is not None and node.op_type in ("Cast", "Identity") else value


def _next(value: ir.Value, counters: set[ir.Value]) -> bool:
    node = value.producer()
    if node is None or node.op_type != "Add":
        return False
    return any(a in counters and _number(b) == 1 for a, b in (node.inputs, reversed(node.inputs)))


def _length(value: ir.Value | None, kept: dict[ir.Value, ir.Value | None]) -> Length | None:
    """A number, or the name of the dimension that a scalar is the size of."""
    while value is not None and value in kept:
        value = kept[value]
    number = _number(value)
    if number is not None:
        return int(number)
    node = value.producer() if value is not None else None
    if node is None:
        return None
    if node.op_type in ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "ReduceMax"):
        return _length(node.inputs[0], kept)
    if node.op_type in ("Max", "Min"):
        lengths = {_length(item, kept) for item in node.inputs}
        return lengths.pop() if len(lengths) == 1 else None
    if node.op_type in ("Slice", "Gather") and _number(node.inputs[1]) is not None:
        return _size_in(node.inputs[0], int(_number(node.inputs[1]) or 0))
    return None


def _size_in(value: ir.Value | None, index: int) -> Length | None:
    """The size at `index` of a vector that is a shape."""
    node = value.producer() if value is not None else None
    if node is None or node.inputs[0] is None:
        return None
    if node.op_type in ("Cast", "Identity"):
        return _size_in(node.inputs[0], index)
    if node.op_type == "Shape" and not node.attributes:
        return _length_of_axis(node.inputs[0], index)
    return None


def _length_of_axis(value: ir.Value, axis: int) -> Length | None:
    """The size of an axis, or the name that shape inference gave it, followed to where it comes from."""
    if value.shape is None:
        return None
    size = value.shape[axis]
    if isinstance(size, int):
        return size
    node = value.producer()
    if node is not None and node.op_type == "Transpose":
        return _length_of_axis(node.inputs[0], node.attributes["perm"].as_ints()[axis])  # type: ignore[arg-type]
    if node is not None and node.op_type in ("Cast", "Identity", "Not", "Relu", "Tanh", "Sigmoid"):
        return _length_of_axis(node.inputs[0], axis)  # type: ignore[arg-type]
    return str(size.value) if size.value is not None else None
