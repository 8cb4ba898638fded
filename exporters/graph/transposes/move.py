"""Label every operator with the axis order that leaves the fewest transpositions, and rewrite the graph so.

1. Transpositions that swap two orders (channels last and first, time and batch, ...) make two values of one content.
2. Contents that operators of any order compute from each other get a colour: the order that they are in now.
3. An operator that works in one order alone pulls its contents to that order; a content needs a transposition where its
   producer and a consumer are in different orders. The labels that need the fewest are a smallest cut between the two.
4. Operators are turned, the old transpositions are removed, and one is put where two orders meet.

Nothing is rounded: elements are the same, in other places.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from exporters.graph.transposes.cut import INFINITE, SINK, SOURCE, Network
from exporters.graph.transposes.operators import Movable, Perm, constant, keeps_order, movable, rank_of

# Pairs of orders: the axes of the second in terms of the first. The first of a pair is the one with label 0.
FAMILIES: tuple[Perm, ...] = ((0, 3, 1, 2), (0, 4, 1, 2, 3), (0, 2, 1), (1, 0, 2), (0, 2, 1, 3))

_ONE = 1 << 32  # the cost of one transposition; its elements only decide between as many


def reduce_transposes(model: ir.Model) -> ir.Model:
    """Take transpositions out of the main graph of `model`, in place. Shapes must have been inferred."""
    graph = model.graph
    _reshapes_that_transpose(graph)
    for forth in FAMILIES:
        _Orders(graph, forth).rewrite()
    _transpositions_that_reshape(graph)
    return model


def inverse(perm: Perm) -> Perm:
    return tuple(int(axis) for axis in np.argsort(perm))


@dataclass
class _Content:
    """Values that hold the same elements in one order or the other; the first is what a node, or the caller, gives."""

    values: list[tuple[ir.Value, int]] = field(default_factory=list)
    transposes: list[ir.Node] = field(default_factory=list)

    @property
    def base(self) -> tuple[ir.Value, int]:
        return self.values[0]


class _Orders:
    """The orders of one family in one graph."""

    def __init__(self, graph: ir.Graph, forth: Perm) -> None:
        self.graph, self.rank = graph, len(forth)
        self.perms = {0: forth, 1: inverse(forth)}  # from label to the other one
        self._colours = _Colours()
        self.moving: dict[ir.Node, Movable] = {}
        self.swaps = [node for node in graph if _perm(node) in self.perms.values() and _is_inner(node)]

    def rewrite(self) -> None:
        if not self.swaps:
            return
        self._colour()
        contents = self._contents()
        ours = [content for content in contents if content.transposes]
        if not ours:
            return
        turned = self._turned(contents)
        if turned is not None:
            self._apply(contents, turned)

    def _colour(self) -> None:
        """Give each value the order it is in; where a node contradicts what is known, it is left where it is."""
        swaps = []
        for node in self.swaps:
            before, after = node.inputs[0], node.outputs[0]
            label = 0 if _perm(node) == self.perms[0] else 1
            if self.perms[0] == self.perms[1]:
                fits = self._colours.join(before, after, 1)
            else:
                fits = self._colours.join(before, None, label) and self._colours.join(after, None, 1 - label)
            if fits:
                swaps.append(node)
        self.swaps = swaps
        for node in self.graph:
            if node in self.swaps or (form := movable(node, self.rank)) is None:
                continue
            values = [*(node.inputs[index] for index in form.inputs), *(node.outputs[index] for index in form.outputs)]
            if all(self._colours.join(values[0], value, 0) for value in values[1:]):
                self.moving[node] = form
        for node, form in list(self.moving.items()):
            if not form.allows(self.perms[self._label(node, form)]):
                del self.moving[node]

    def _label(self, node: ir.Node, form: Movable) -> int:
        """The order that a node works in now."""
        return self._colours.of(node.inputs[form.inputs[0]])

    def _contents(self) -> list[_Content]:
        found: dict[ir.Value, _Content] = {}
        for value in self._values():
            if value.is_initializer() or rank_of(value) != self.rank:
                continue
            label, producer = self._colours.of(value), value.producer()
            if producer is not None and producer in self.swaps:
                before = producer.inputs[0]
                if before in found:
                    content = found[before]
                    content.transposes.append(producer)
                    content.values.append((value, label))
                    found[value] = content
                    continue
                self.swaps.remove(producer)
            found[value] = _Content([(value, label)])
        return list({id(content): content for content in found.values()}.values())

    def _values(self) -> Iterator[ir.Value]:
        yield from self.graph.inputs
        for node in self.graph:
            yield from node.outputs

    def _consumers(self, content: _Content) -> Iterator[tuple[ir.Node | None, int, ir.Value, int]]:
        """(node, input, value, its label) for every use that is no transposition; node is None for a graph's output."""
        for value, label in content.values:
            for node, index in value.uses():
                if node not in content.transposes:
                    yield node, index, value, label
            if value.is_graph_output():
                yield None, 0, value, label

    def _turned(self, contents: list[_Content]) -> set[ir.Node] | None:
        """The operators to turn; None where that would spare nothing."""
        network = Network()
        labels: dict[ir.Node, int] = {}
        before = 0
        sides = {0: SOURCE, 1: SINK}

        def side(node: ir.Node | None, index: int, label: int, *, made: bool) -> Hashable:
            form = self.moving.get(node) if node is not None else None
            if node is None or form is None or index not in (form.outputs if made else form.inputs):
                return sides[label]
            labels[node] = label
            return node

        for number, content in enumerate(contents):
            value, label = content.base
            producer = value.producer()
            source = side(producer, value.index() or 0, label, made=True)
            needs = [side(node, index, of, made=False) for node, index, _, of in self._consumers(content)]
            cost = self._cost(value)
            before += cost * len(content.transposes)
            others = [node for node in dict.fromkeys(needs) if node != source]
            if others:
                network.connect(source, ("to 1", number), cost)
                network.connect(("to 0", number), source, cost)
                for node in others:
                    network.connect(("to 1", number), node, INFINITE)
                    network.connect(node, ("to 0", number), INFINITE)
        zeros = network.source_side()
        turned = {node for node, label in labels.items() if (node in zeros) != (label == 0)}
        after = sum(self._cost(content.base[0]) for content in contents if self._meets(content, turned))
        return turned if after < before else None

    def _meets(self, content: _Content, turned: set[ir.Node]) -> bool:
        value, label = content.base
        made = self._new_label(value.producer(), value.index() or 0, label, turned, made=True)
        return any(
            self._new_label(node, index, of, turned, made=False) != made
            for node, index, _, of in self._consumers(content)
        )

    def _new_label(self, node: ir.Node | None, index: int, label: int, turned: set[ir.Node], *, made: bool) -> int:
        if node is None or node not in turned:
            return label
        form = self.moving[node]
        return 1 - label if index in (form.outputs if made else form.inputs) else label

    def _cost(self, value: ir.Value) -> int:
        shape = value.shape
        if shape is None:
            return _ONE
        if all(keeps_order(shape, perm) for perm in self.perms.values()):
            return 1
        sizes = [size for size in shape if isinstance(size, int)]
        return _ONE + min(int(np.prod(sizes, dtype=np.int64)), _ONE - 1)

    def _apply(self, contents: list[_Content], turned: set[ir.Node]) -> None:
        uses = [(content, list(self._consumers(content))) for content in contents]
        plans = []
        for content, consumers in uses:
            value, label = content.base
            made = self._new_label(value.producer(), value.index() or 0, label, turned, made=True)
            wanted = [(use, self._new_label(use[0], use[1], use[3], turned, made=False)) for use in consumers]
            plans.append((content, made, wanted))
        for node in turned:
            form = self.moving[node]
            perm = self.perms[self._label(node, form)]
            form.turn(perm)
            for index in form.outputs:
                _transpose_shape(node.outputs[index], perm)
        for content, made, wanted in plans:
            self._connect(content, made, wanted)

    def _connect(
        self, content: _Content, made: int, wanted: list[tuple[tuple[ir.Node | None, int, ir.Value, int], int]]
    ) -> None:
        base = content.base[0]
        other: ir.Value | None = None
        outputs = []
        for (node, index, value, _), label in wanted:
            if label != made and other is None:
                other = self._transposed(base, made)
            given = base if label == made else other
            assert given is not None
            if node is not None:
                node.replace_input_with(index, given)
            elif given is not value:
                outputs.append((value, given))
        for value, given in outputs:
            _replace_output(self.graph, value, given)
        for node in reversed(content.transposes):
            self.graph.remove(node, safe=True)

    def _transposed(self, value: ir.Value, label: int) -> ir.Value:
        perm = self.perms[label]
        node = ir.node("Transpose", [value], {"perm": perm})
        new = node.outputs[0]
        new.name = f"{value.name}__{'_'.join(map(str, perm))}"
        node.name = new.name
        new.type, new.shape = value.type, ir.Shape(list(value.shape)) if value.shape is not None else None
        _transpose_shape(new, perm)
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
        return new


class _Colours:
    """Values joined to each other with a parity: the same order, or the other one; None stands for label 0."""

    def __init__(self) -> None:
        self._parents: dict[ir.Value | None, tuple[ir.Value | None, int]] = {}

    def _root(self, value: ir.Value | None) -> tuple[ir.Value | None, int]:
        parity = 0
        root = value
        while root in self._parents:
            root, step = self._parents[root]
            parity ^= step
        return root, parity

    def join(self, first: ir.Value | None, second: ir.Value | None, parity: int) -> bool:
        """Say that two values' orders are equal (0) or not (1). False, and nothing said, where that is contradicted."""
        (root, one), (other, two) = self._root(first), self._root(second)
        if root is other:
            return one ^ two == parity
        if root is None:
            root, other = other, root
        self._parents[root] = (other, one ^ two ^ parity)
        return True

    def of(self, value: ir.Value | None) -> int:
        return self._root(value)[1]


def _perm(node: ir.Node) -> Perm | None:
    if node.op_type != "Transpose" or node.domain != "" or "perm" not in node.attributes:
        return None
    return tuple(node.attributes["perm"].as_ints())


def _is_inner(node: ir.Node) -> bool:
    """Not a transposed weight: that is the business of whoever folds."""
    return node.inputs[0] is not None and not node.inputs[0].is_initializer()


def _transpose_shape(value: ir.Value, perm: Perm) -> None:
    if value.shape is not None:
        value.shape = ir.Shape([value.shape[axis] for axis in perm])


def _replace_output(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Make `new` the graph's output in the place of `old`, under its name."""
    name = old.name
    old.name = f"{name}__before"
    if new.is_graph_output() or new.is_graph_input():
        node = ir.node("Identity", [new])
        node.outputs[0].type, node.outputs[0].shape = new.type, new.shape
        graph.append(node)
        new = node.outputs[0]
    for index, output in enumerate(graph.outputs):
        if output is old:
            graph.outputs[index] = new
    new.name = name


def _reshapes_that_transpose(graph: ir.Graph) -> None:
    """(batch, 1, 1, channels) reshaped to (batch, channels, 1, 1) is a transposition like any other."""
    for node in list(graph):
        if node.op_type != "Reshape" or node.domain != "" or constant(node.inputs[1]) is None:
            continue
        value, shape = node.inputs[0], node.inputs[0].shape if node.inputs[0] is not None else None
        if value is None or shape is None or _is_weight(value) or node.outputs[0].shape is None:
            continue
        for forth in FAMILIES:
            for perm in (forth, inverse(forth)):
                if len(shape) != len(perm) or not keeps_order(shape, perm):
                    continue
                if list(node.outputs[0].shape) == [shape[axis] for axis in perm] != list(shape):
                    new = ir.node("Transpose", [value], {"perm": perm}, name=node.name, num_outputs=1)
                    _take_place(graph, node, new)
                    break
            else:
                continue
            break


def _transpositions_that_reshape(graph: ir.Graph) -> None:
    """And back: what moves no element is a Reshape, which costs nothing."""
    for node in list(graph):
        perm = _perm(node)
        value = node.inputs[0] if perm else None
        if perm is None or value is None or value.shape is None or not keeps_order(value.shape, perm):
            continue
        sizes = [value.shape[axis] for axis in perm]
        free = [size for size in sizes if not isinstance(size, int)]
        if len(free) > 1 or _is_weight(value):
            continue
        target = np.array([size if isinstance(size, int) else -1 for size in sizes], np.int64)
        name = f"{node.outputs[0].name}__shape"
        shape = ir.Value(name=name, shape=ir.Shape(target.shape), type=ir.TensorType(ir.DataType.INT64))
        shape.const_value = ir.tensor(target, name=name)
        graph.register_initializer(shape)
        _take_place(graph, node, ir.node("Reshape", [value, shape], name=node.name, num_outputs=1))


def _is_weight(value: ir.Value) -> bool:
    return value.is_initializer()


def _take_place(graph: ir.Graph, old: ir.Node, new: ir.Node) -> None:
    before, after = old.outputs[0], new.outputs[0]
    after.type, after.shape, name = before.type, before.shape, before.name
    graph.insert_after(old, new)
    if before.is_graph_output():
        _replace_output(graph, before, after)
    else:
        before.name, after.name = f"{name}__before", name
    ir.convenience.replace_all_uses_with(before, after)
    graph.remove(old, safe=True)


__all__ = ["FAMILIES", "inverse", "rank_of", "reduce_transposes"]
