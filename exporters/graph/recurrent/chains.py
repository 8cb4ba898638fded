"""Chains of steps, each from the states that the one before ends in.

A chain is looked for where one weight is multiplied with twice or more, the second time with what depends on the
first: graphs without such a weight cost one look at each node.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.graph.recurrent import unrolled_step
from exporters.graph.recurrent.cells import Cell
from exporters.graph.recurrent.reader import READ
from exporters.graph.recurrent.steps import is_used
from exporters.graph.recurrent.unrolled_step import Step, sources, weight_of

if TYPE_CHECKING:
    import onnx_ir as ir

_NEAR = 96  # nodes between a hidden state and the product with the one before
_CANDIDATES = 4  # of states before, nearest first
_FEW = 16  # values that may be the next state


@dataclass(frozen=True)
class Chain:
    """Steps in their order, all of them the cell."""

    cell: Cell
    steps: tuple[Step, ...]


def chains(graph: ir.Graph, opset: int) -> list[Chain]:
    """All that there are, as long as they can be; no state belongs to two of them."""
    by_weight: dict[ir.Value, list[ir.Node]] = defaultdict(list)
    for node in graph:
        weight = weight_of(node)
        if weight is not None:
            by_weight[weight].append(node)
    found: list[Chain] = []
    known: set[ir.Value] = set()
    for products in by_weight.values():
        if len(products) > 1:
            for chain in _of_products(products, known, graph, opset):
                known |= {step.after[0] for step in chain.steps}
                found.append(chain)
    return found


def _of_products(products: list[ir.Node], known: set[ir.Value], graph: ir.Graph, opset: int) -> Iterator[Chain]:
    alike = set(products)
    tried: set[ir.Value] = set()
    for product in products:
        for hidden in sources(product):
            if hidden in tried or hidden in known or hidden.producer() is None:
                continue
            tried.add(hidden)
            for before in _before(hidden, alike):
                found = unrolled_step.read(hidden, before, graph, opset)
                if found is not None:
                    steps = tuple(_followed(found.step))
                    tried |= {step.after[0] for step in steps}
                    yield Chain(found.cell, steps)
                    break


def _before(hidden: ir.Value, products: set[ir.Node]) -> list[ir.Value]:
    """What the products that `hidden` is computed from multiply, the nearest ones first."""
    waiting, seen, looked_at = deque([hidden]), {hidden}, 0
    found: dict[ir.Value, None] = {}
    while waiting and looked_at < _NEAR and len(found) < _CANDIDATES:
        node = waiting.popleft().producer()
        if node is None or node.domain or node.op_type not in READ:
            continue
        looked_at += 1
        if node in products:
            found |= dict.fromkeys(value for value in sources(node) if value is not hidden)
        elif weight_of(node) is None:
            following = [value for value in node.inputs if value is not None and value not in seen]
            seen.update(following)
            waiting += following
    return list(found)


def _followed(step: Step) -> list[Step]:
    """The step with those before and behind it that do the same."""
    steps = deque([step])
    while (earlier := unrolled_step.again(step, steps[0].before[0])) is not None and earlier.after == steps[0].before:
        steps.appendleft(earlier)
    way = _way(step)
    while (later := _next(step, steps[-1], way)) is not None:
        steps.append(later)
    return list(steps)


_Hop = tuple[str, int, int]  # an operator, which of its inputs is come from, and which output it goes on to


def _way(step: Step) -> list[_Hop]:
    """The shortest way from the last of the states before a step to the hidden one after it."""
    inside = set(step.nodes)
    ways: dict[ir.Value, list[_Hop]] = {step.before[-1]: []}
    waiting = deque(ways)
    while waiting:
        value = waiting.popleft()
        if value is step.after[0]:
            return ways[value]
        for use in value.uses():
            for index, made in enumerate(use.node.outputs if use.node in inside else ()):
                if made not in ways:
                    ways[made] = [*ways[value], (use.node.op_type, use.idx, index)]
                    waiting.append(made)
    return []


def _next(step: Step, last: Step, way: list[_Hop]) -> Step | None:
    """The step behind `last` that does what `step` does; None where there is none, or more than can be tried."""
    reached = {last.after[-1]: None}
    for kind, place, index in way:
        reached = {
            use.node.outputs[index]: None
            for value in reached
            for use in value.uses()
            if use.node.op_type == kind and use.idx == place and index < len(use.node.outputs)
        }
        if len(reached) > _FEW:
            return None
    for hidden in reached:
        found = unrolled_step.again(step, hidden)
        if found is not None and found.before == last.after:
            return found
    return None


def parts(chain: Chain) -> list[Chain]:
    """The chain, parted where something else reads what an operator over many steps would not give.

    That is a cell state in the middle, or anything inside a step: such a step belongs to no part.
    """
    found: list[list[Step]] = [[]]
    following = (*chain.steps[1:], None)
    for step, behind in zip(chain.steps, following, strict=True):
        if not _is_closed(step):
            found.append([])
            continue
        found[-1].append(step)
        if behind is not None and not _reads_alone(step.after[1:], (*step.nodes, *behind.nodes)):
            found.append([])
    return [Chain(chain.cell, tuple(steps)) for steps in found if steps]


def _is_closed(step: Step) -> bool:
    inside = [value for node in step.nodes for value in node.outputs if value not in step.after]
    return _reads_alone(inside, step.nodes)


def _reads_alone(values: tuple[ir.Value, ...] | list[ir.Value], nodes: tuple[ir.Node, ...]) -> bool:
    """Whether nothing but `nodes` reads the values."""
    inside = set(nodes)
    return all(
        not value.is_graph_output() and all(use.node in inside for use in value.uses())
        for value in values
        if is_used(value)
    )
