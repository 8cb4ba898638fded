"""Put LSTM, GRU and RNN operators in the place of the loops that compute them.

Keras skips masked steps, wherever they are: the state stays, and the output is the last one, or zero. ONNX can only end
a sequence early. So the steps that are not masked are moved to the front, in their order, and the outputs are put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph import clean
from exporters.graph.recurrent import cells, loop
from exporters.graph.recurrent.cells import Cell, Gate
from exporters.graph.recurrent.expression import Expression, Known, Leaf, Made

Array = np.ndarray[Any, Any]


def recover(model: ir.Model) -> ir.Model:
    """Replace what can be replaced in the main graph. Shapes are inferred anew: loops hide the lengths of sequences."""
    stays: set[str | None] = set()
    model = clean.infer_shapes(model)
    while (node := _next_loop(model.graph, stays)) is not None:
        steps = loop.read(node, model.opset_imports.get("", 18))
        layer = _layer(steps) if steps is not None else None
        if steps is None or layer is None:
            stays.add(node.outputs[0].name)
        else:
            _replace(model.graph, steps, layer)
            model = clean.infer_shapes(model)
    return model


def _next_loop(graph: ir.Graph, stays: set[str | None]) -> ir.Node | None:
    loops = (node for node in graph if node.op_type == "Loop" and node.domain == "")
    return next((node for node in loops if node.outputs[0].name not in stays), None)


@dataclass(frozen=True)
class _Layer:
    """A cell over a sequence; `mask` is a sequence of truths, and `zeros` whether a masked step gives zero."""

    cell: Cell
    mask: ir.Value | None
    zeros: bool


def _layer(steps: loop.Steps) -> _Layer | None:
    """What the loop is, where every state, output and length is accounted for."""
    if len(steps.outputs) != 1:
        return None
    output, _ = steps.outputs[0]
    mask = _mask(output)
    if mask is None:
        cell = cells.recognise({index: state.update for index, state in steps.states.items()})
        fits = cell is not None and output == steps.states[cell.states[0]].update
        return _Layer(cell, None, zeros=False) if cell is not None and fits else None
    return _masked_layer(steps, output, mask)


def _masked_layer(steps: loop.Steps, output: Expression, mask: ir.Value) -> _Layer | None:
    new, other = _choices(output)
    updates, previous = {}, None
    for index, state in steps.states.items():
        if _mask(state.update) is not mask:
            return None
        chosen, kept = _choices(state.update)
        if chosen == new and kept == other and not _is_used(state.last) and _is_zero(state.first):
            previous = index  # the output of the step before, which starts as zero
        elif kept == Leaf("state", index):
            updates[index] = chosen
        else:
            return None
    cell = cells.recognise(updates)
    if cell is None or new != updates[cell.states[0]]:
        return None
    zeros = isinstance(other, Known) and not other.array.any()
    zeros = zeros or (isinstance(other, Leaf) and isinstance(other.of, ir.Value) and _is_zero(other.of))
    if not zeros and (previous is None or other != Leaf("state", previous)):
        return None
    return _Layer(cell, mask, zeros)


def _mask(expression: Expression) -> ir.Value | None:
    """The sequence of truths by which an expression is the new value or the old one."""
    if not isinstance(expression, Made) or expression.kind != "Where":
        return None
    condition = expression.arguments[0]
    while isinstance(condition, Made) and condition.kind in ("Tile", "Expand", "Cast"):
        condition = condition.arguments[0]
    if not isinstance(condition, Leaf) or condition.kind != "step" or not isinstance(condition.of, ir.Value):
        return None
    shape = condition.of.shape
    return condition.of if shape is not None and len(shape) == 3 and shape[2] == 1 else None


def _choices(expression: Expression) -> tuple[Expression, Expression]:
    assert isinstance(expression, Made)
    return expression.arguments[1], expression.arguments[2]


def _is_used(value: ir.Value) -> bool:
    return bool(list(value.uses())) or value.is_graph_output()


def _is_zero(value: ir.Value) -> bool:
    """Whether a tensor is known to be nothing but zeros, of whatever size."""
    node = value.producer()
    if node is None:
        return value.const_value is not None and value.is_initializer() and not value.const_value.numpy().any()
    if node.op_type == "ConstantOfShape":
        return "value" not in node.attributes or not node.attributes["value"].as_tensor().numpy().any()
    inner = node.inputs[0] if node.op_type in ("Expand", "Identity", "Cast", "Unsqueeze") else None
    return inner is not None and _is_zero(inner)


class _Writer:
    """Adds nodes before one that is there, and initializers beside it, under its name."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self._graph, self._node, self._count = graph, node, 0

    def name(self, what: str) -> str:
        self._count += 1
        return f"{self._node.outputs[0].name}/{what}_{self._count}"

    def constant(self, array: Array) -> ir.Value:
        name = self.name("constant")
        tensor = ir.tensor(np.asarray(array, order="C"), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def node(
        self, kind: str, inputs: Sequence[ir.Value | None], outputs: int = 1, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        made = ir.node(kind, inputs, attributes, num_outputs=outputs, name=self.name(kind))
        for value in made.outputs:
            value.name = self.name(kind)
        self._graph.insert_before(self._node, made)
        return tuple(made.outputs)

    def one(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        return self.node(kind, inputs, **attributes)[0]


def _replace(graph: ir.Graph, steps: loop.Steps, layer: _Layer) -> None:
    write, cell = _Writer(graph, steps.node), layer.cell
    sequence = cell.sequence.of
    assert isinstance(sequence, ir.Value)
    firsts = [steps.states[index].first for index in cell.states]
    lengths = None
    if layer.mask is not None:
        truths = write.one("Squeeze", layer.mask, write.constant(np.array([2], np.int64)))
        counted = write.one("Cast", truths, to=ir.DataType.INT64)
        sequence = _at_front(write, sequence, truths)
        lengths = _lengths(write, counted)
    inputs = [sequence, *_weights(write, cell), lengths]
    if not all(_is_zero(first) for first in firsts):
        zero = write.constant(np.array([0], np.int64))
        inputs += [write.one("Unsqueeze", first, zero) for first in firsts]
    every, *lasts = write.node(cell.kind, inputs, outputs=1 + len(firsts), **_attributes(cell))
    axis_one, axis_zero = (write.constant(np.array([axis], np.int64)) for axis in (1, 0))
    outputs = write.one("Squeeze", every, axis_one)
    if layer.mask is not None:
        outputs = _put_back(write, outputs, counted, layer)
    _hand_over(steps.outputs[0][1], outputs)
    for index, last in zip(cell.states, lasts, strict=True):
        old = steps.states[index].last
        if _is_used(old):
            _hand_over(old, write.one("Squeeze", last, axis_zero))
    graph.remove(steps.node, safe=True)


def _hand_over(old: ir.Value, new: ir.Value) -> None:
    new.type, new.shape = old.type, old.shape if old.is_graph_output() else None
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def _attributes(cell: Cell) -> dict[str, Any]:
    """Hidden size, activations with what coefficients they have, and how a GRU resets."""
    attributes: dict[str, Any] = {"hidden_size": int(cell.gates[0].recurrent.array.shape[0])}
    usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
    names = [activation.name for activation in cell.activations]
    if names != usual[cell.kind]:
        attributes["activations"] = names
        alphas = [activation.alpha for activation in cell.activations if activation.alpha is not None]
        betas = [activation.beta for activation in cell.activations if activation.beta is not None]
        if alphas:
            attributes |= {"activation_alpha": alphas, "activation_beta": betas}
    if cell.linear_before_reset:
        attributes["linear_before_reset"] = 1
    return attributes


def _weights(write: _Writer, cell: Cell) -> list[ir.Value | None]:
    """W, R and B; no B where no gate has a bias."""
    weights = np.concatenate([gate.weights.array.T for gate in cell.gates])[None]
    recurrent = np.concatenate([gate.recurrent.array.T for gate in cell.gates])[None]
    bias = None
    if any(gate.bias or gate.recurrent_bias for gate in cell.gates):
        halves = [_joined(cell.gates, "bias"), _joined(cell.gates, "recurrent_bias")]
        bias = write.constant(np.concatenate(halves)[None])
    return [write.constant(weights), write.constant(recurrent), bias]


def _joined(gates: tuple[Gate, ...], which: str) -> Array:
    """The gates' biases of one kind, zero where there is none."""
    zero = np.zeros(gates[0].recurrent.array.shape[0], gates[0].recurrent.array.dtype)
    found: list[Known | None] = [getattr(gate, which) for gate in gates]
    return np.concatenate([zero if bias is None else bias.array for bias in found])


def _lengths(write: _Writer, counted: ir.Value) -> ir.Value:
    total = write.one("ReduceSum", counted, write.constant(np.array([0], np.int64)), keepdims=0)
    return write.one("Cast", total, to=ir.DataType.INT32)


def _at_front(write: _Writer, sequence: ir.Value, truths: ir.Value) -> ir.Value:
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


def _put_back(write: _Writer, outputs: ir.Value, counted: ir.Value, layer: _Layer) -> ir.Value:
    """Each step's output: that of the last step up to it that is not masked, or zero before the first."""
    last = write.constant(np.array([-1], np.int64))
    done = write.one("CumSum", counted, write.constant(np.array(0, np.int64)))
    index = write.one("Expand", write.one("Unsqueeze", done, last), write.one("Shape", outputs))
    from_zero = write.one("Pad", outputs, write.constant(np.array([1, 0, 0, 0, 0, 0], np.int64)))
    found = write.one("GatherElements", from_zero, index, axis=0)
    if not layer.zeros:
        return found
    nothing = write.constant(np.zeros((), layer.cell.gates[0].recurrent.array.dtype))
    return write.one("Where", layer.mask, found, nothing)
