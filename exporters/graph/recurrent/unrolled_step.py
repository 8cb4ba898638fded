"""One step of a cell in a graph without a loop: what it computes, and where else the same is computed again.

A step is the operators between the states before it, the states after it and what else goes in. The first one of a
chain is read as arithmetic, which finds the cell; further ones need only be the same operators on the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.recurrent import cells
from exporters.graph.recurrent.cells import Cell
from exporters.graph.recurrent.elements import Element, element_of
from exporters.graph.recurrent.expression import Expression, Leaf, Sequence, Sum, of_atom
from exporters.graph.recurrent.reader import READ, Reader
from exporters.graph.recurrent.steps import element, last_size
from exporters.graph.values import constant, rank

if TYPE_CHECKING:
    import onnx_ir as ir

_LARGEST = 96  # nodes of a step: a cell has a few dozen
_RANK = 2  # of states: samples and units
_MOVES = frozenset({"Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
_ACTIVATIONS = frozenset({"HardSigmoid", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})


@dataclass(frozen=True)
class Step:
    """The states, hidden one first, before and after it; `given` is what else it reads, all of one moment."""

    before: tuple[ir.Value, ...]
    after: tuple[ir.Value, ...]
    given: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]


@dataclass(frozen=True)
class Found:
    """A step and the cell that it is; the cell's sequence is what is given, or what that is an element of."""

    step: Step
    cell: Cell


def weight_of(node: ir.Node) -> ir.Value | None:
    """The initializer that a product multiplies with from the right, laid out anew or not."""
    if node.op_type not in {"MatMul", "Gemm"} or node.domain or len(node.inputs) < 2:
        return None
    value = node.inputs[1]
    while value is not None and (maker := value.producer()) is not None:
        if maker.domain or maker.op_type not in _MOVES:
            return None
        value = maker.inputs[0]
    return value if value is not None and value.is_initializer() and not value.is_graph_input() else None


def sources(node: ir.Node) -> list[ir.Value]:
    """What a product multiplies: its first operand, and the parts that this joins."""
    whole = node.inputs[0]
    if whole is None:
        return []
    maker = whole.producer()
    if maker is not None and not maker.domain and maker.op_type == "Concat":
        return [whole, *(value for value in maker.inputs if value is not None)]
    return [whole]


def read(hidden: ir.Value, before: ir.Value, graph: ir.Graph, opset: int) -> Found | None:
    """The step from the hidden state `before` to `hidden`, whichever cell it is."""
    if rank(hidden) != _RANK or rank(before) != _RANK or last_size(before) is None:
        return None
    for cell_before, cell_after in _cell_states(hidden):
        if rank(cell_before) == _RANK:
            found = _read((before, cell_before), (hidden, cell_after), graph, opset)
            if found is not None:
                return found
    return _read((before,), (hidden,), graph, opset)


def _cell_states(hidden: ir.Value) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Pairs that may be an LSTM's cell state before and after: hidden = o * h(after), after = f * before + i * g."""
    for inner in _operands(hidden, "Mul"):
        maker = inner.producer()
        after = maker.inputs[0] if maker is not None and maker.op_type in _ACTIVATIONS else inner
        for product in _operands(after, "Add"):
            for factor in _operands(product, "Mul"):
                if after is not None:
                    yield factor, after


def _operands(value: ir.Value | None, kind: str) -> list[ir.Value]:
    """What an operator of two operands reads, activations last: a state is seldom one."""
    node = value.producer() if value is not None else None
    if node is None or node.domain or node.op_type != kind:
        return []
    found = [each for each in node.inputs if each is not None]
    return sorted(found, key=lambda each: (maker := each.producer()) is not None and maker.op_type in _ACTIVATIONS)


def _read(before: tuple[ir.Value, ...], after: tuple[ir.Value, ...], graph: ir.Graph, opset: int) -> Found | None:
    inside = _Inside(before, after)
    if not inside.is_step:
        return None
    step = Step(before, after, tuple(inside.given), tuple(inside.nodes))
    for through in (False, True):
        reader = _StepReader(step, inside.given, graph, opset, through=through)
        updates = dict(enumerate(map(reader, after)))
        sums = {index: update for index, update in updates.items() if isinstance(update, Sum)}
        cell = cells.recognise(sums) if len(sums) == len(after) else None
        if cell is not None and cell.states == tuple(range(len(after))):
            return Found(step, cell)
    return None


class _Inside:
    """The nodes between the states after a step and those before it, and what else goes in."""

    def __init__(self, before: tuple[ir.Value, ...], after: tuple[ir.Value, ...]) -> None:
        self._before = before
        self.given: dict[ir.Value, Element | None] = {}
        self.nodes: dict[ir.Node, None] = {}
        self.is_step = self._walk(list(after)) and self._at_one_moment()

    def _walk(self, waiting: list[ir.Value]) -> bool:
        seen: set[ir.Value] = set()
        while waiting:
            value = waiting.pop()
            if value in seen or value in self._before or is_fixed(value):
                continue
            seen.add(value)
            node = value.producer()
            if (taken := element_of(value)) is not None:
                self.given[value] = taken
            elif node is None or node.domain or node.op_type not in READ or len(self.nodes) == _LARGEST:
                return False
            else:
                self.nodes[node] = None
                waiting += self._read_by(node)
        return True

    def _read_by(self, node: ir.Node) -> list[ir.Value]:
        """What a node reads inside the step: of a product's source only what is made of states."""
        read = [value for value in node.inputs if value is not None]
        if weight_of(node) is None:
            return read
        source, *others = read
        maker = source.producer()
        if source in self._before:
            return others
        if maker is not None and not maker.domain and maker.op_type in {"Concat", "Mul"}:
            parts = [value for value in maker.inputs if value is not None]
            if any(part in self._before for part in parts):
                self.nodes[maker] = None
                if maker.op_type == "Mul":
                    return [*others, *parts]
                self._give(part for part in parts if part not in self._before)
                return others
        self._give([source])
        return others

    def _give(self, values: Iterator[ir.Value] | list[ir.Value]) -> None:
        self.given |= {value: element_of(value) for value in values}

    def _at_one_moment(self) -> bool:
        """Whether all that goes in is one value, or elements with one index."""
        moments = {None if taken is None else taken.index for taken in self.given.values()}
        return len(self.given) == 1 or (len(moments) == 1 and None not in moments)


class _StepReader(Reader):
    """Reads the states before a step as states, and what goes in as this step's element."""

    def __init__(
        self, step: Step, given: dict[ir.Value, Element | None], graph: ir.Graph, opset: int, *, through: bool
    ) -> None:
        super().__init__(self._leaf, graph, opset, _RANK)
        self._step, self._given, self._through = step, given, through

    def _leaf(self, value: ir.Value) -> Expression | None:
        if value in self._given:
            return self._element(value, self._given[value])
        states = self._step.before
        # one value may be both states: zeros. Products read the hidden one, all else the other one.
        for index in reversed(range(len(states))):
            if value is states[index]:
                return _state(index, value)
        return None

    def _element(self, value: ir.Value, taken: Element | None) -> Expression | None:
        if taken is None:
            return of_atom(Leaf("step", Sequence(value), last_size(value)))
        return element(Sequence(taken.whole, taken.axis), _RANK, through=self._through)

    def _arguments(self, node: ir.Node) -> list[Expression]:
        found = super()._arguments(node)
        hidden = self._step.before[0]
        if weight_of(node) is not None or node.op_type == "Concat":
            return [
                _state(0, hidden) if value is hidden else each for value, each in zip(node.inputs, found, strict=True)
            ]
        return found


def _state(index: int, value: ir.Value) -> Expression:
    return of_atom(Leaf("state", index, last_size(value)))


def is_fixed(value: ir.Value) -> bool:
    """Whether a value is an initializer, or one that is only laid out anew."""
    while (node := value.producer()) is not None:
        if node.domain or node.op_type not in _MOVES or node.inputs[0] is None:
            return False
        if any(other is not None and constant(other) is None for other in node.inputs[1:]):
            return False
        value = node.inputs[0]
    return value.is_initializer() and not value.is_graph_input()


def again(step: Step, hidden: ir.Value) -> Step | None:
    """The step that ends in `hidden`, where it is the same operators on the same weights; None where it is not."""
    found = _Pairs(step)
    if not found.match(step.after[0], hidden):
        return None
    pair = found.pairs
    before, after, given = (tuple(pair[value] for value in each) for each in (step.before, step.after, step.given))
    before = before if found.hidden is None else (found.hidden, *before[1:])
    made = (next(pair[value] for value in node.outputs if value in pair) for node in step.nodes)
    nodes = tuple(node for value in made if (node := value.producer()) is not None)
    return Step(before, after, given, nodes) if all(rank(value) == _RANK for value in before) else None


_Pair = tuple["ir.Value | None", "ir.Value | None"]


class _Pairs:
    """Walks two steps at once, the known one and another."""

    def __init__(self, step: Step) -> None:
        self._ends = {*step.before, *step.given}
        self._both = step.before[0] if step.before.count(step.before[0]) > 1 else None
        self.pairs: dict[ir.Value, ir.Value] = {}
        self.hidden: ir.Value | None = None  # of the other step, where the known one has one value for both states

    def match(self, known: ir.Value, other: ir.Value) -> bool:
        waiting: list[_Pair] = [(known, other)]
        while waiting:
            one, two = waiting.pop()
            if one is None or two is None:
                if one is not two:
                    return False
            elif one in self.pairs:
                if self.pairs[one] is not two:
                    return False
            else:
                self.pairs[one] = two
                if one not in self._ends and not (is_fixed(one) and _equal(one, two)):
                    inner = _alike(one, two)
                    if inner is None or not self._is_hidden(one, inner):
                        return False
                    waiting += inner
        return True

    def _is_hidden(self, known: ir.Value, inner: list[_Pair]) -> bool:
        """Take the hidden state out of what a product reads; False where the other step has several."""
        node = known.producer()
        if self._both is None or node is None or (weight_of(node) is None and node.op_type != "Concat"):
            return True
        others = {two for one, two in inner if one is self._both} | ({self.hidden} if self.hidden else set())
        inner[:] = [pair for pair in inner if pair[0] is not self._both]
        self.hidden = next(iter(others), None)
        return len(others) <= 1


def _equal(one: ir.Value, other: ir.Value) -> bool:
    if one is other:
        return True
    first, second = constant(one), constant(other)
    if first is None or second is None:
        return False
    return first.dtype == second.dtype and first.shape == second.shape and np.array_equal(first, second)


def _alike(one: ir.Value, other: ir.Value) -> list[_Pair] | None:
    """Pairs of what two values are computed from, where one operator computes both; None where that is not so."""
    first, second = one.producer(), other.producer()
    if first is None or second is None or one.index() != other.index() or len(first.inputs) != len(second.inputs):
        return None
    if (first.op_type, first.domain) != (second.op_type, second.domain) or len(first.outputs) != len(second.outputs):
        return None
    kept = [{name: attribute.value for name, attribute in node.attributes.items()} for node in (first, second)]
    return list(zip(first.inputs, second.inputs, strict=True)) if kept[0] == kept[1] else None
