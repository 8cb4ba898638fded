"""Put LSTM, GRU and RNN operators in the place of the loops that compute them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx_ir.passes import common

from exporters.graph import clean
from exporters.graph.recurrent import cells, loop, masks, scan, written
from exporters.graph.recurrent.cells import Cell
from exporters.graph.recurrent.expression import Sum
from exporters.graph.recurrent.masks import Mask
from exporters.graph.recurrent.steps import Output, State, Steps, is_used
from exporters.graph.recurrent.writer import Writer, is_zero
from exporters.graph.values import same_size

if TYPE_CHECKING:
    import onnx_ir as ir

_READ = {"Loop": loop.read, "Scan": scan.read}


def replace(model: ir.Model) -> ir.Model:
    """Replace what can be replaced in the main graph. Shapes are inferred anew: loops hide the lengths of sequences."""
    stays: set[ir.Node] = set()
    if _next_loop(model.graph, stays) is None:
        return model
    model = clean.infer_shapes(model)
    while (node := _next_loop(model.graph, stays)) is not None:
        found = _found(node, model.opset_imports.get("", 18))
        if found is None:
            stays.add(node)
        else:
            _replace(model.graph, *found)
            model = clean.infer_shapes(common.RemoveUnusedNodesPass()(model).model)
    return model


def _next_loop(graph: ir.Graph, stays: set[ir.Node]) -> ir.Node | None:
    loops = (node for node in graph if node.op_type in _READ and node.domain == "")
    return next((node for node in loops if node not in stays), None)


def _found(node: ir.Node, opset: int) -> tuple[Steps, Cell, Mask | None] | None:
    """What the loop is, where every state, output and length is accounted for."""
    for through in (False, True):
        steps = _READ[node.op_type](node, opset, through=through)
        if steps is None:
            continue
        masked = masks.recognise(steps)
        found = masked or _plain(steps)
        if found is not None and _begins(steps, found[0]):
            return (steps, *found)
    return None


def _plain(steps: Steps) -> tuple[Cell, None] | None:
    updates = {index: state.update for index, state in steps.states.items() if isinstance(state.update, Sum)}
    cell = cells.recognise(updates) if len(updates) == len(steps.states) else None
    if cell is None or any(output.each != updates[cell.states[0]] for output in steps.outputs):
        return None
    return cell, None


def _begins(steps: Steps, cell: Cell) -> bool:
    """Whether the first states have the sizes that the operator asks for, or can be given them."""
    units = cell.gates[0].recurrent.array.shape[0]
    for index in cell.states:
        state = steps.states[index]
        assert state.first.shape is not None
        if not isinstance(state.first.shape[-1], int) or state.first.shape[-1] != units:
            return False
        if not _fits(state, cell) and state.first.shape[0] == 1 and is_used(state.last):
            return False  # a state for all samples, which without any step would be the last one as it is
    return True


def _fits(state: State, cell: Cell) -> bool:
    """Whether a first state is known to have as many rows as the steps have samples."""
    shape, first = cell.sequence.value.shape, state.first.shape
    return shape is not None and first is not None and (len(first) == 1 or same_size(first[0], shape[_batch(cell)]))


def _batch(cell: Cell) -> int:
    return 1 - cell.sequence.axis


def _replace(graph: ir.Graph, steps: Steps, cell: Cell, mask: Mask | None) -> None:
    write = Writer(graph, steps.node)
    batched = len(steps.states[cell.states[0]].first.shape or ()) == 2
    sequence = written.by_time(write, cell.sequence, batched=batched)
    moved = masks.move(write, sequence, mask) if mask is not None else None
    inputs = [
        moved.sequence if moved is not None else sequence,
        *written.weights(write, written.name_of(steps.node, cell), cell),
    ]
    inputs.append(moved.lengths if moved is not None else None)
    if not all(is_zero(steps.states[index].first) for index in cell.states):
        inputs += [_first(write, steps.states[index], cell, batched=batched) for index in cell.states]
    every, *lasts = write.node(cell.kind, inputs, outputs=1 + len(cell.states), **written.attributes(cell))
    axes = write.constant(np.array([1] if batched else [1, 2], np.int64))
    outputs = write.one("Squeeze", every, axes)
    if moved is not None and mask is not None:
        outputs = masks.put_back(write, outputs, moved, mask, cell.gates[0].recurrent.array.dtype)
    for output in steps.outputs:
        laid_out = _laid_out(write, outputs, output, cell)
        written.hand_over(output.value, write.one("Identity", laid_out) if is_used(laid_out) else laid_out)
    for index, last in zip(cell.states, lasts, strict=True):
        old = steps.states[index].last
        if is_used(old):
            written.hand_over(
                old, write.one("Squeeze", last, write.constant(np.array([0] if batched else [0, 1], np.int64)))
            )
    _remove(graph, steps)


def _first(write: Writer, state: State, cell: Cell, *, batched: bool) -> ir.Value:
    """A first state as (1, samples, units)."""
    value = state.first
    if batched and not _fits(state, cell):
        value = written.for_each_sample(write, value, cell, _batch(cell))
    return write.one("Unsqueeze", value, write.constant(np.array([0] if batched else [0, 1], np.int64)))


def _laid_out(write: Writer, outputs: ir.Value, output: Output, cell: Cell) -> ir.Value:
    """The steps' outputs, which the operator gives in the sequence's own order, as the loop gave them."""
    if output.backwards != cell.sequence.backwards:
        ends = [write.constant(np.array([number], np.int64)) for number in (-1, -(2**63) + 1, 0, -1)]
        outputs = write.one("Slice", outputs, *ends)
    return write.one("Transpose", outputs, perm=[1, 0, 2]) if output.axis == 1 else outputs


def _remove(graph: ir.Graph, steps: Steps) -> None:
    """Take away the loop, and what put its results together."""
    waiting = [output.value.producer() for output in steps.outputs]
    for node in (*waiting, steps.node):
        if node is not None and node.graph is graph:
            graph.remove(node, safe=True)
