"""The patterns, and how one that matched is put in place.

A pattern is a function that looks at one node, the last one of the form that it knows, and says which operator the
form spells, or nothing. Its conditions are its own affair, but for those that hold for all and are checked here: the
operator is given everything that the form depends on, nobody else reads what lies between, and the number of
dimensions stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph.operator_table import FUSED
from exporters.graph.values import CONSTANT, COUNTING, constant, rank, scalar


@dataclass(frozen=True)
class Step:
    """One operator of what a form is replaced by; its inputs are values of the graph, arrays, or earlier steps."""

    op_type: str
    inputs: tuple[Operand, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    fused: bool = False  # the operator that the pattern is named after, which may be newer than the graph


Operand = ir.Value | np.ndarray[Any, Any] | Step
Rule = Callable[[ir.Node], Step | None]


@dataclass(frozen=True)
class Pattern:
    """`since`: the opset that has the operator as it is meant here; None where ONNX has none, or files are left alone.

    `opens`: what it makes is there for other patterns to see.
    """

    name: str
    roots: frozenset[str]
    since: int | None
    rule: Rule
    opens: bool = False

    @property
    def form(self) -> str:
        return (self.rule.__doc__ or "").strip()


PATTERNS: dict[str, Pattern] = {}


def pattern(name: str, *, roots: Iterable[str], since: int | None, opens: bool = False) -> Callable[[Rule], Rule]:
    """Register the decorated rule under `name`; it is shown the nodes whose operator is one of `roots`."""

    def register(rule: Rule) -> Rule:
        if name in PATTERNS:
            raise ValueError(f"a pattern '{name}' is already registered")
        PATTERNS[name] = Pattern(name, frozenset(roots), since, rule, opens)
        return rule

    return register


def replace(model: ir.Model, node: ir.Node, step: Step, since: int | None) -> bool:
    """Put `step` in the place of the form that ends in `node`; False where a condition common to all does not hold."""
    graph, old = node.graph, node.outputs[0]
    if not isinstance(graph, ir.Graph) or not _is_closed(node, list(_given(step))):
        return False
    fresh: list[ir.Node] = []
    opset = model.opset_imports.get("", 0)
    new = _built(step, {}, fresh, model, "" if since is not None and opset >= since else FUSED)
    if any(part.domain == FUSED for part in fresh):
        model.opset_imports[FUSED] = 1
    graph.insert_before(node, fresh)
    new.shape, new.type = old.shape, old.type
    name = old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name = f"{name}.spelled"
    new.name = name
    fresh[-1].name = node.name
    _remove(graph, node)
    return True


def _given(step: Step) -> Iterable[ir.Value]:
    for given in step.inputs:
        if isinstance(given, Step):
            yield from _given(given)
        elif isinstance(given, ir.Value):
            yield given


def _is_closed(root: ir.Node, given: list[ir.Value]) -> bool:
    """Whether all that leads to `root` starts at `given` or at constants, and only serves `root`."""
    inside: dict[ir.Node, None] = {root: None}
    waiting = list(root.inputs)
    while waiting:
        value = waiting.pop()
        if value is None or value in given or constant(value) is not None or scalar(value) is not None:
            continue
        if value.dtype in COUNTING:
            continue  # sizes and axes, which others may well share
        node = value.producer()
        if node is None or node.graph is not root.graph:
            return False
        if node not in inside:
            inside[node] = None
            waiting += node.inputs
    return all(
        not value.is_graph_output()
        and all(_serves(use.node, inside) or _asks_dtype(use.node, use.idx) for use in value.uses())
        for node in inside
        if node is not root
        for value in node.outputs
    )


def _serves(node: ir.Node, inside: dict[ir.Node, None], depth: int = 8) -> bool:
    """Whether `node` is one of `inside`, or asks for sizes that only these ask for."""
    if node in inside:
        return True
    if depth == 0 or any(value.dtype not in COUNTING or value.is_graph_output() for value in node.outputs):
        return False
    return all(_serves(use.node, inside, depth - 1) for value in node.outputs for use in value.uses())


def _asks_dtype(node: ir.Node, index: int) -> bool:
    """Whether `node` takes this input only to be told in which dtype a number is meant."""
    return node.op_type == "CastLike" and index == 1 and scalar(node.outputs[0]) is not None


def _built(step: Step, made: dict[int, ir.Value], fresh: list[ir.Node], model: ir.Model, domain: str) -> ir.Value:
    """The result of `step`; one that is an input twice is built once."""
    if id(step) in made:
        return made[id(step)]
    inputs: list[ir.Value | None] = []
    for given in step.inputs:
        if isinstance(given, Step):
            inputs.append(_built(given, made, fresh, model, domain))
        elif isinstance(given, np.ndarray):
            inputs.append(_initializer(model.graph, given))
        else:
            inputs.append(given)
    attributes = ir.convenience.convert_attributes(step.attributes)
    node = ir.Node(domain if step.fused else "", step.op_type, inputs, attributes, num_outputs=1)
    fresh.append(node)
    made[id(step)] = node.outputs[0]
    return node.outputs[0]


def _initializer(graph: ir.Graph, array: np.ndarray[Any, Any]) -> ir.Value:
    index = len(graph.initializers)
    while (name := f"pattern_constant_{index}") in graph.initializers:
        index += 1
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    value.meta[CONSTANT] = True
    graph.register_initializer(value)
    return value


def _remove(graph: ir.Graph, node: ir.Node) -> None:
    """Take away `node` and all that only it needed."""
    waiting = [node]
    while waiting:
        unused = waiting.pop()
        if unused.graph is not graph or any(value.uses() or value.is_graph_output() for value in unused.outputs):
            continue
        before = [given.producer() for given in unused.inputs if given is not None]
        graph.remove(unused, safe=True)
        waiting += [other for other in before if other is not None]


def keeps_rank(node: ir.Node, given: ir.Value) -> bool:
    """Whether the result of `node` is known to have as many dimensions as `given`."""
    count = rank(given)
    return count is not None and count == rank(node.outputs[0])
