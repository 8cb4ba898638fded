"""A Loop as one step over sequences: what it reads, which states it keeps, and that it takes a step for each element.

Anything that is not known for certain makes it no such loop: None, and the Loop stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporters.graph.recurrent import counting
from exporters.graph.recurrent.counting import ITERATION, Count, plus
from exporters.graph.recurrent.expression import Expression, Leaf, Lifted, Sequence, Sum, of_atom
from exporters.graph.recurrent.reader import Reader
from exporters.graph.recurrent.steps import (
    LARGEST,
    Output,
    State,
    Steps,
    constant,
    element,
    is_used,
    last_size,
    lengths,
    rank_of,
)

if TYPE_CHECKING:
    import onnx_ir as ir

_ENDLESS = 2**31 - 1


def read(node: ir.Node, opset: int, *, through: bool) -> Steps | None:
    """The Loop as steps; None where it is something else."""
    body = node.attributes["body"].as_graph()
    if len(body) > LARGEST or any(first is None for first in node.inputs[2:]):
        return None
    return _Loop(node, body, opset, through).steps()


class _Loop:
    """What is known of a Loop's own values."""

    def __init__(self, node: ir.Node, body: ir.Graph, opset: int, through: bool) -> None:
        self.node, self.body, self.opset, self.through = node, body, opset, through
        self.carried = list(body.inputs)[2:]
        self.updates = list(body.outputs)[1 : 1 + len(self.carried)]
        self.firsts = list(node.inputs)[2:]
        self.kept = {
            value: first
            for value, update, first in zip(self.carried, self.updates, self.firsts, strict=True)
            if update is value and first is not None
        }
        self.counts: dict[ir.Value, Count] = {body.inputs[0]: {ITERATION: 1}}
        self.count = counting.Counter(self.counts.get, self._outside, body)
        self.gathered = [i for i, update in enumerate(self.updates) if self._is_gathered(i, update)]
        for value, update, first in zip(self.carried, self.updates, self.firsts, strict=True):
            self._note_counter(value, update, first)
        self.sequences: list[Sequence] = []
        self.rank = 0

    def _outside(self, value: ir.Value) -> ir.Value:
        return self.kept.get(value, value)

    def _note_counter(self, value: ir.Value, update: ir.Value, first: ir.Value | None) -> None:
        """Whether a carried value is changed by the same number each time: then it is known in every iteration."""
        node = update.producer()
        if node is None or node.op_type not in {"Add", "Sub"} or node.graph is not self.body:
            return
        for own, other in (node.inputs, node.inputs[::-1]) if node.op_type == "Add" else (node.inputs,):
            start, step = self.count(first), counting.constant(other)
            if own is value and start is not None and step is not None and step == int(step):
                sign = 1 if node.op_type == "Add" else -1
                self.counts[value] = plus(start, {ITERATION: 1}, sign * int(step))

    def _is_gathered(self, index: int, update: ir.Value) -> bool:
        """Whether a carried value is a sequence, at first empty, to which each step adds at one end."""
        first, node = self.firsts[index], update.producer()
        empty = first.producer() if first is not None else None
        if node is None or empty is None or empty.op_type != "SequenceEmpty" or node.op_type != "SequenceInsert":
            return False
        placed = node.inputs[2] if len(node.inputs) > 2 else None
        alone = [use.node for use in self.carried[index].uses()] == [node] and not update.uses()
        return node.inputs[0] is self.carried[index] and alone and (placed is None or counting.constant(placed) == 0)

    def steps(self) -> Steps | None:
        apart = [i for i, v in enumerate(self.carried) if v not in self.kept and v not in self.counts]
        places = [index for index in apart if index not in self.gathered]
        rank = rank_of([self.firsts[index] for index in places])
        unread = [value for index, value in enumerate(self.node.outputs[: len(self.carried)]) if index not in apart]
        if rank is None or any(is_used(value) for value in unread):
            return None
        self.rank = rank
        reader = Reader(self._leaf, self.body, self.opset, rank)
        states = {
            index: State(first, reader(self.updates[index]), self.node.outputs[index])
            for index in places
            if (first := self.firsts[index]) is not None
        }
        scanned = list(self.body.outputs)[1 + len(self.carried) :]
        outputs = [Output(reader(each), self.node.outputs[len(self.carried) + i]) for i, each in enumerate(scanned)]
        for index in self.gathered:
            joined = self._joined(index, reader)
            if joined is None:
                return None
            outputs += joined
        length = lengths(self.sequences)
        return Steps(self.node, states, tuple(outputs)) if length is not None and self._runs_through(length) else None

    def _leaf(self, value: ir.Value) -> Expression | None:
        if value in self.kept:
            known = constant(self.kept[value])
            return known if known is not None else of_atom(Leaf("outer", self.kept[value]))
        if value in self.counts:
            return of_atom(Leaf("outer", value))
        if value in self.carried:
            index = self.carried.index(value)
            first = self.firsts[index]
            return of_atom(Leaf("state", index, last_size(first) if first is not None else None))
        return self._read_by_step(value)

    def _read_by_step(self, value: ir.Value) -> Expression | None:
        """A value that is this step's element of a sequence outside."""
        node = value.producer()
        if node is None or node.graph is not self.body or node.op_type not in {"Gather", "SequenceAt"}:
            return None
        index = node.inputs[1]
        whole = self._whole(node.inputs[0])
        if index is None or whole is None:
            return None
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        if node.op_type == "SequenceAt":
            apart = counting.taken_apart(whole)
            if apart is None:
                return None
            whole, axis = apart
        return self._element(whole, axis, index)

    def _element(self, whole: ir.Value, axis: int, index: ir.Value) -> Expression | None:
        place, length = self.count(index), counting.size(whole, axis)
        forward = place == {ITERATION: 1}
        last_first = length is not None and place == plus(plus(length, {"": 1}, -1), {ITERATION: 1}, -1)
        if not (forward or last_first):
            return None
        sequence = Sequence(whole, axis, not forward)
        found = element(sequence, self.rank, through=self.through)
        kept = len(index.shape) if index.shape is not None else None
        if found is None or kept not in (0, 1) or (kept == 1 and axis != 0):
            return None
        self.sequences.append(sequence)
        return Lifted(found, 1) if kept == 1 and isinstance(found, Sum) else found

    def _whole(self, value: ir.Value | None) -> ir.Value | None:
        """The value outside of which `value` is all there is; None where it is made in the body."""
        value = self._outside(value) if value is not None else None
        node = value.producer() if value is not None else None
        if value is None or node is None or node.graph is not self.body:
            return value if value not in self.body.inputs else None
        if node.op_type != "Slice" or len(node.inputs) < 3:
            return self._whole(node.inputs[0]) if node.op_type == "Identity" else None
        starts, ends, steps = (self.count(node.inputs[i]) if i < len(node.inputs) else {"": 1} for i in (1, 2, 4))
        endless = ends is not None and ends.keys() == {""} and ends[""] >= _ENDLESS
        return self._whole(node.inputs[0]) if starts == {} and endless and steps == {"": 1} else None

    def _joined(self, index: int, reader: Reader) -> list[Output] | None:
        """The tensors that a sequence of the steps' results is put together to; None where it goes elsewhere too."""
        insert = self.updates[index].producer()
        result = self.node.outputs[index]
        assert insert is not None
        given = reader(insert.inputs[1])
        found = []
        for use in result.uses():
            node = use.node
            stacks = "new_axis" in node.attributes and node.attributes["new_axis"].as_int() == 1
            axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
            each = given.inner if isinstance(given, Lifted) and given.count == 1 and not stacks and axis == 0 else given
            plain = stacks and 0 <= axis < self.rank
            if node.op_type != "ConcatFromSequence" or isinstance(each, Lifted) or not (plain or each is not given):
                return None
            found.append(Output(each, node.outputs[0], axis, len(insert.inputs) > 2 and insert.inputs[2] is not None))
        return None if result.is_graph_output() else found

    def _runs_through(self, length: Count) -> bool:
        """Whether there are exactly `length` steps: by the trip count or by the condition, and never fewer."""
        bound = self.node.inputs[0]
        number = counting.constant(bound)
        limit = self.count(bound)
        exact = limit == length
        if not exact and bound is not None and (number is None or number < _ENDLESS):
            return False
        start = self.node.inputs[1]
        # before the first step, which would be the one after step -1
        if start is not None and not all(self._holds(value, length, -1) for value in _conditions(start)):
            return False
        for value in _conditions(self.body.outputs[0]):
            if value is not self.body.inputs[1] and not self._holds(value, length):
                return False
            exact = exact or self._slack(value, length) == {}
        return exact

    def _holds(self, value: ir.Value, length: Count, iteration: int | None = None) -> bool:
        """Whether a condition is true as long as there is a next step."""
        slack = self._slack(value, length, iteration)
        grows = slack is not None and slack.keys() <= {"", ITERATION} and all(often > 0 for often in slack.values())
        return counting.constant(value) == 1 or grows

    def _slack(self, value: ir.Value, length: Count, iteration: int | None = None) -> Count | None:
        """By how many steps a condition would let the loop run on; None where it is no comparison of counts.

        After iteration i there is a next step if length - i - 1 > 0, and so any `left > 0` has left - that to spare.
        """
        node = self._outside(value).producer()
        if node is None or node.op_type not in _COMPARED or node.domain:
            return None
        one, other = (self.count(item) for item in node.inputs)
        if one is None or other is None:
            return None
        sign, more = _COMPARED[node.op_type]
        left = plus(plus({}, plus(other, one, -1), sign), {"": more})
        if iteration is not None:
            often = left.pop(ITERATION, 0)
            left = plus(left, {"": often * iteration})
        wanted = plus(plus(length, {"": 1}, -1), {ITERATION: 1}, -1) if iteration is None else length
        return plus(left, wanted, -1)


# The sign of (second - first), and what to add to it, so that the comparison says that the sum is above 0.
_COMPARED = {"Less": (1, 0), "LessOrEqual": (1, 1), "Greater": (-1, 0), "GreaterOrEqual": (-1, 1)}


def _conditions(value: ir.Value) -> Iterator[ir.Value]:
    """What must all be true for `value` to be."""
    node = value.producer()
    if node is not None and node.op_type in {"And", "Cast", "Identity"}:
        for item in node.inputs:
            assert item is not None
            yield from _conditions(item)
    else:
        yield value
