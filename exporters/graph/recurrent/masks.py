"""Masked steps, as Keras has them: the state stays, and the output is the last one, or zero.

ONNX can only end a sequence early. So the steps that are not masked are moved to the front, in their order, and the
outputs are put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.recurrent import cells
from exporters.graph.recurrent.cells import Cell
from exporters.graph.recurrent.expression import Expression, Known, Leaf, Made, Sequence, Sum, alone, of_atom
from exporters.graph.recurrent.steps import Output, Steps, is_used
from exporters.graph.recurrent.writer import Writer, is_zero

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Mask:
    """A sequence of truths, and whether a masked step gives zero, else the output before."""

    truths: ir.Value
    zeros: bool


def recognise(steps: Steps) -> tuple[Cell, Mask] | None:
    """The cell of a loop with one output, every state of which may be masked; None where it is anything else."""
    if len(steps.outputs) != 1 or steps.outputs[0] != Output(steps.outputs[0].each, steps.outputs[0].value):
        return None
    output = steps.outputs[0].each
    truths = _truths(output)
    if truths is None:
        return None
    new, other = _choices(output)
    updates: dict[int, Sum] = {}
    previous = None
    for index, state in steps.states.items():
        if _truths(state.update) is not truths:
            return None
        chosen, kept = _choices(state.update)
        if chosen == new and kept == other and not is_used(state.last) and is_zero(state.first):
            previous = index  # the output of the step before, which starts as zero
        elif kept == of_atom(Leaf("state", index)) and isinstance(chosen, Sum):
            updates[index] = chosen
        else:
            return None
    cell = cells.recognise(updates)
    if cell is None or new != updates[cell.states[0]] or cell.sequence != Sequence(cell.sequence.value):
        return None
    zeros = _is_nothing(other)
    if not zeros and (previous is None or other != of_atom(Leaf("state", previous))):
        return None
    return cell, Mask(truths, zeros)


def _is_nothing(expression: Expression) -> bool:
    if isinstance(expression, Known):
        return not expression.array.any()
    leaf = alone(expression)
    value = leaf.of if isinstance(leaf, Leaf) and leaf.kind == "outer" else None
    return value is not None and not isinstance(value, int | Sequence) and is_zero(value)


def _truths(expression: Expression) -> ir.Value | None:
    """The sequence of truths by which an expression is the new value or the old one."""
    chosen = alone(expression)
    if not isinstance(chosen, Made) or chosen.kind != "Where":
        return None
    condition = alone(chosen.arguments[0])
    while isinstance(condition, Made) and condition.kind in {"Tile", "Expand", "Cast"}:
        condition = alone(condition.arguments[0])
    if not isinstance(condition, Leaf) or not isinstance(condition.of, Sequence):
        return None
    value = condition.of.value
    fits = value.shape is not None and len(value.shape) == 3 and value.shape[2] == 1
    return value if fits and condition.of == Sequence(value) else None


def _choices(expression: Expression) -> tuple[Expression, Expression]:
    chosen = alone(expression)
    assert isinstance(chosen, Made)
    return chosen.arguments[1], chosen.arguments[2]


@dataclass(frozen=True)
class Moved:
    """The sequence with its masked steps at the end, how many steps are not masked, and the truths as numbers."""

    sequence: ir.Value
    lengths: ir.Value
    counted: ir.Value


def move(write: Writer, sequence: ir.Value, mask: Mask) -> Moved:
    truths = write.one("Squeeze", mask.truths, write.constant(np.array([2], np.int64)))
    counted = write.one("Cast", truths, to=_INT64)
    total = write.one("ReduceSum", counted, write.constant(np.array([0], np.int64)), keepdims=0)
    return Moved(_at_front(write, sequence, truths), write.one("Cast", total, to=_INT32), counted)


_INT64, _INT32 = 7, 6  # ONNX's numbers of these types


def _at_front(write: Writer, sequence: ir.Value, truths: ir.Value) -> ir.Value:
    """The steps that are not masked first, in their order: (time, batch, features), truths (time, batch)."""
    zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
    first, last = write.constant(np.array([0], np.int64)), write.constant(np.array([-1], np.int64))
    count = write.one("Gather", write.one("Shape", truths), zero)
    places = write.one("Unsqueeze", write.one("Range", zero, count, one), last)
    ranks = write.one("Where", truths, places, write.one("Add", places, count))
    size = write.one("Unsqueeze", count, first)
    order = write.node("TopK", [ranks, size], outputs=2, axis=0, largest=0, sorted=1)[1]
    index = write.one("Expand", write.one("Unsqueeze", order, last), write.one("Shape", sequence))
    return write.one("GatherElements", sequence, index, axis=0)


def put_back(write: Writer, outputs: ir.Value, moved: Moved, mask: Mask, kind: np.dtype[np.generic]) -> ir.Value:
    """Each step's output: that of the last step up to it that is not masked, or zero before the first."""
    last = write.constant(np.array([-1], np.int64))
    done = write.one("CumSum", moved.counted, write.constant(np.array(0, np.int64)))
    index = write.one("Expand", write.one("Unsqueeze", done, last), write.one("Shape", outputs))
    from_zero = write.one("Pad", outputs, write.constant(np.array([1, 0, 0, 0, 0, 0], np.int64)))
    found = write.one("GatherElements", from_zero, index, axis=0)
    if not mask.zeros:
        return found
    nothing = write.constant(np.zeros((), kind))
    return write.one("Where", mask.truths, found, nothing)
