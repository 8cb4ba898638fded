"""A loop as one step over sequences and states, whichever operator it is written with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporters.graph.recurrent import counting
from exporters.graph.recurrent.expression import (
    Expression,
    Known,
    Leaf,
    Sequence,
    Sum,
    add,
    as_sum,
    of_atom,
)
from exporters.graph.recurrent.reader import product

if TYPE_CHECKING:
    import onnx_ir as ir

LARGEST = 256  # nodes of a body: a cell has a few dozen


@dataclass(frozen=True)
class State:
    """A value carried from step to step: the first one, what a step makes of it, and where the last one goes."""

    first: ir.Value
    update: Expression
    last: ir.Value


@dataclass(frozen=True)
class Output:
    """What a step gives, and the value that holds all of them along `axis`, the last one first if `backwards`."""

    each: Expression
    value: ir.Value
    axis: int = 0
    backwards: bool = False


@dataclass(frozen=True)
class Steps:
    """A loop that takes one step for each element of the sequences that it reads."""

    node: ir.Node
    states: dict[int, State]
    outputs: tuple[Output, ...]


def element(sequence: Sequence, rank: int, *, through: bool) -> Expression | None:
    """A step's element of a sequence; None where it has not `rank` dimensions.

    Args:
        sequence: along one of its first two axes.
        rank: of the element.
        through: read it as the product with weights, or the sum with a bias, that the whole sequence was given before
            the loop.
    """
    shape = sequence.value.shape
    if shape is None or len(shape) != rank + 1 or not 0 <= sequence.axis < rank:
        return None
    if through and (found := _applied_before(sequence, rank)) is not None:
        return found
    last = shape[-1]
    return of_atom(Leaf("step", sequence, last if isinstance(last, int) else None))


def _applied_before(sequence: Sequence, rank: int) -> Expression | None:
    node = sequence.value.producer()
    if node is None or node.domain or node.op_type not in {"Add", "MatMul", "Transpose"}:
        return None
    whole = node.inputs[0]
    if node.op_type == "Transpose":
        swapped = "perm" in node.attributes and list(node.attributes["perm"].as_ints()) == [1, 0, 2]
        if not swapped or whole is None:
            return None
        return element(replace(sequence, value=whole, axis=1 - sequence.axis), rank, through=True)
    for given, weights in (node.inputs, node.inputs[::-1]):
        known = constant(weights)
        inner = None
        if known is not None and given is not None:
            inner = element(replace(sequence, value=given), rank, through=True)
        if not isinstance(inner, Sum) or known is None:
            continue
        if node.op_type == "MatMul":
            return product(inner, known) if weights is node.inputs[1] else None
        summand = as_sum(known)
        return add(inner, summand) if summand is not None else None
    return None


def constant(value: ir.Value | None) -> Known | None:
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return Known(value.const_value.numpy())


def rank_of(firsts: list[ir.Value | None]) -> int | None:
    """How many dimensions the states have: 1 or 2, all of them the same; None for anything else."""
    ranks = {len(first.shape) if first is not None and first.shape is not None else None for first in firsts}
    found = ranks.pop() if len(ranks) == 1 else None
    return found if found in (1, 2) else None


def last_size(value: ir.Value) -> int | None:
    size = value.shape[-1] if value.shape is not None and len(value.shape) else None
    return size if isinstance(size, int) else None


def is_used(value: ir.Value) -> bool:
    return bool(list(value.uses())) or value.is_graph_output()


def lengths(sequences: list[Sequence]) -> counting.Count | None:
    """The length that all sequences are known to have."""
    found = [counting.size(sequence.value, sequence.axis) for sequence in sequences]
    return found[0] if found and all(length == found[0] for length in found) else None
