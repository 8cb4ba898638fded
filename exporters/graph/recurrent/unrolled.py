"""Put one LSTM, GRU or RNN operator in the place of steps that a trace wrote out one by one.

What the steps read are elements of one tensor in their order, or from the last to the first; or any values that the
chain's own states have no part in, which are then put together. What it gives are the operator's outputs, step by step
or all at once where the graph stacks them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import TYPE_CHECKING

import numpy as np
from onnx_ir.passes import common

from exporters.graph import clean
from exporters.graph.recurrent import written
from exporters.graph.recurrent.cells import Cell
from exporters.graph.recurrent.chains import Chain, chains, parts
from exporters.graph.recurrent.elements import element_of
from exporters.graph.recurrent.expression import Sequence
from exporters.graph.recurrent.stacked import stacks
from exporters.graph.recurrent.steps import is_used
from exporters.graph.recurrent.unrolled_step import Step, weight_of
from exporters.graph.recurrent.writer import Writer, is_zero
from exporters.graph.values import rank, same_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

_RANK = 3  # of a sequence: steps, samples, features
_OLDEST = 10  # the first opset whose Slice takes a part backwards


def replace(model: ir.Model, shortest: int) -> ir.Model:
    """Replace what can be replaced in the main graph, layer by layer: one may read what another one gives."""
    while model.opset_imports.get("", 18) >= _OLDEST and _replaced_some(model, shortest):
        model = clean.infer_shapes(common.RemoveUnusedNodesPass()(model).model)
    return model


def _replaced_some(model: ir.Model, shortest: int) -> bool:
    """Whether there was a chain to replace; one that reads what another one gives waits for the next time."""
    opset = model.opset_imports.get("", 18)
    found = [part for chain in chains(model.graph, opset) for part in parts(chain) if len(part.steps) >= shortest]
    gone: set[ir.Value] = set()
    for part in found:
        given = _of_one_tensor(part)
        if given is not None and gone.isdisjoint((given.sequence.value, *part.steps[0].before)):
            gone |= _write(model.graph, part, given)
    if gone:
        return True
    apart = next((part for part in found if _is_given_before(part)), None)
    if apart is None:
        return False
    _write(model.graph, apart, None)
    model.graph.sort()  # the operator stands where the last step was, what reads the first states before it
    return True


@dataclass(frozen=True)
class _Given:
    """The elements `first` to `last` of a tensor, in this order or from the last to the first."""

    sequence: Sequence
    first: int
    last: int


def _of_one_tensor(part: Chain) -> _Given | None:
    """What the steps read, where each reads the element that follows the one before."""
    places = []
    for values in zip(*(step.given for step in part.steps), strict=True):
        taken = [element_of(value) for value in values]
        elements = [each for each in taken if each is not None]
        if len(elements) != len(taken) or len({(each.whole, each.axis) for each in elements}) != 1:
            return None
        places.append([each.index for each in elements])
    first, last = places[0][0], places[0][-1]
    step = 1 if last > first else -1
    if any(indices != list(range(first, last + step, step)) for indices in places):
        return None
    sequence = replaced(part.cell.sequence, backwards=step < 0)
    return _Given(sequence, min(first, last), max(first, last)) if _fits(part, sequence) else None


def _fits(part: Chain, sequence: Sequence) -> bool:
    """Whether the first states are known to have as many rows as the sequence has samples, or one for all."""
    shape, units = sequence.value.shape, part.cell.gates[0].recurrent.array.shape[0]
    if shape is None or len(shape) != _RANK or shape[-1] != part.cell.gates[0].weights.array.shape[0]:
        return False
    return all(_is_state(state, shape[1 - sequence.axis], units) for state in part.steps[0].before)


def _is_state(state: ir.Value, samples: int | ir.SymbolicDim, units: int) -> bool:
    shape = state.shape
    return shape is not None and shape[-1] == units and (shape[0] == 1 or same_size(shape[0], samples))


def _is_given_before(part: Chain) -> bool:
    """Whether each step reads one value, of known features, that no state of the chain has a part in."""
    if any(len(step.given) != 1 for step in part.steps):
        return False
    values = [step.given[0] for step in part.steps]
    shapes = [value.shape for value in values]
    features, units = (part.cell.gates[0].weights.array.shape[0], part.cell.gates[0].recurrent.array.shape[0])
    first = shapes[0]
    if first is None or any(
        shape is None or len(shape) != _RANK - 1 or shape[-1] != features or not same_size(shape[0], first[0])
        for shape in shapes
    ):
        return False
    if not all(_is_state(state, first[0], units) for state in part.steps[0].before):
        return False
    own = {node for step in part.steps for node in step.nodes}
    return not _depends(values, own)


def _depends(values: list[ir.Value], nodes: set[ir.Node]) -> bool:
    waiting, seen = list(values), set(values)
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        if node in nodes:
            return True
        following = {value for value in node.inputs if value is not None} - seen
        seen |= following
        waiting += following
    return False


def _write(graph: ir.Graph, part: Chain, given: _Given | None) -> set[ir.Value]:
    """Write the operator; what it gives instead of the steps is handed over, and the values that are gone returned."""
    first, last = part.steps[0], part.steps[-1]
    place = (first if given is not None else last).after[0].producer()
    assert place is not None
    write = Writer(graph, place)
    cell, sequence = _sequence(write, part, given)
    inputs = [sequence, *written.weights(write, _name(first) or written.name_of(place, cell), cell), None]
    if not all(is_zero(state) for state in first.before):
        inputs += [_state(write, state, cell) for state in first.before]
    every, *lasts = write.node(cell.kind, inputs, outputs=1 + len(first.before), **written.attributes(cell))
    outputs = write.one("Squeeze", every, write.constant(np.array([1], np.int64)))
    hidden = [step.after[0] for step in part.steps]
    in_order = hidden[::-1] if cell.sequence.backwards else hidden
    instead: dict[ir.Value, ir.Value] = {}
    for stack in stacks(in_order):
        laid_out = _laid_out(write, outputs, axis=stack.axis, backwards=stack.backwards)
        # an output of the graph may not be two: each stack has a value of its own
        instead[stack.value] = write.one("Identity", laid_out) if laid_out in instead.values() else laid_out
    single = [value for value in in_order if _is_read_outside(value, part, instead)]
    if single == hidden[-1:]:
        instead[hidden[-1]] = _without_directions(write, lasts[0])
    else:  # the last one too, so that all are elements of one tensor for a layer that reads them
        for value in single:
            index = write.constant(np.array(in_order.index(value), np.int64))
            instead[value] = write.one("Gather", outputs, index, axis=0)
    if len(lasts) > 1 and is_used(last.after[1]):
        instead[last.after[1]] = _without_directions(write, lasts[1])
    for old, new in instead.items():
        written.hand_over(old, new)
    return set(instead)


def _name(step: Step) -> str:
    """What the names of the step's weights have in common: `cell` of `cell.weight_ih` and `cell.weight_hh`."""
    weights = [weight for node in step.nodes if (weight := weight_of(node)) is not None]
    stems = {re.sub(r"[./:][^./:]*$", "", weight.name or "") for weight in weights}
    return stems.pop() if len(stems) == 1 else ""


def _sequence(write: Writer, part: Chain, given: _Given | None) -> tuple[Cell, ir.Value]:
    """The steps' elements as (steps, samples, features), and the cell as it reads them."""
    if given is None:
        zero = write.constant(np.array([0], np.int64))
        each = [write.one("Unsqueeze", step.given[0], zero) for step in part.steps]
        return part.cell, write.one("Concat", *each, axis=0)
    whole = written.by_time(write, given.sequence, batched=True)
    shape = given.sequence.value.shape
    assert shape is not None
    if given.first > 0 or given.last + 1 != shape[given.sequence.axis]:
        bounds = [write.constant(np.array([number], np.int64)) for number in (given.first, given.last + 1, 0)]
        whole = write.one("Slice", whole, *bounds)
    return replaced(part.cell, sequence=given.sequence), whole


def _state(write: Writer, state: ir.Value, cell: Cell) -> ir.Value:
    """A first state as (1, samples, units)."""
    sequence = cell.sequence
    samples = 1 - sequence.axis if rank(sequence.value) == _RANK else 0
    shape, wanted = state.shape, sequence.value.shape
    assert shape is not None
    assert wanted is not None
    if not same_size(shape[0], wanted[samples]):
        state = written.for_each_sample(write, state, cell, samples)
    return write.one("Unsqueeze", state, write.constant(np.array([0], np.int64)))


def _without_directions(write: Writer, state: ir.Value) -> ir.Value:
    return write.one("Squeeze", state, write.constant(np.array([0], np.int64)))


def _laid_out(write: Writer, outputs: ir.Value, *, axis: int, backwards: bool) -> ir.Value:
    if backwards:
        ends = [write.constant(np.array([number], np.int64)) for number in (-1, -(2**63) + 1, 0, -1)]
        outputs = write.one("Slice", outputs, *ends)
    return write.one("Transpose", outputs, perm=[1, 0, 2]) if axis == 1 else outputs


def _is_read_outside(value: ir.Value, part: Chain, instead: Mapping[ir.Value, ir.Value]) -> bool:
    """Whether anything reads a hidden state but the steps, and stacks that are there already."""
    inside = {node for step in part.steps for node in step.nodes}
    return value.is_graph_output() or any(
        use.node not in inside and not _goes_to(use.node, instead) for use in value.uses()
    )


def _goes_to(node: ir.Node, instead: Mapping[ir.Value, ir.Value], depth: int = 3) -> bool:
    """Whether all that a node gives ends in values that others stand for."""
    return depth > 0 and all(
        value in instead
        or (not value.is_graph_output() and all(_goes_to(use.node, instead, depth - 1) for use in value.uses()))
        for value in node.outputs
    )
