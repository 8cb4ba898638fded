"""The operator of ONNX that a cell is: its inputs and attributes, written before a node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph.recurrent.cells import Cell, Gate
from exporters.graph.recurrent.expression import Known, Sequence
from exporters.graph.recurrent.writer import Array, Writer


def name_of(node: ir.Node, cell: Cell) -> str:
    """What the weights are called after: the node in whose place the operator is."""
    return node.name or next((value.name for value in node.outputs if value.name), cell.kind)


def by_time(write: Writer, sequence: Sequence, *, batched: bool) -> ir.Value:
    """The sequence as (steps, samples, features)."""
    value = sequence.value
    if not batched:
        return write.one("Unsqueeze", value, write.constant(np.array([1], np.int64)))
    return value if sequence.axis == 0 else write.one("Transpose", value, perm=[1, 0, 2])


def for_each_sample(write: Writer, value: ir.Value, cell: Cell, samples: int) -> ir.Value:
    """A state for all samples, repeated for each one along the sequence's axis `samples`."""
    axis = write.constant(np.array([samples], np.int64))
    count = write.one("Gather", write.one("Shape", cell.sequence.value), axis)
    units = write.constant(np.array([cell.gates[0].recurrent.array.shape[0]], np.int64))
    return write.one("Expand", value, write.one("Concat", count, units, axis=0))


def hand_over(old: ir.Value, new: ir.Value) -> None:
    new.type, new.shape = old.type, old.shape if old.is_graph_output() else None
    name = old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name, new.name = f"{name}.looped", name


def attributes(cell: Cell) -> dict[str, Any]:
    """Hidden size, direction, activations with what coefficients they have, and how a GRU resets."""
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
    if cell.sequence.backwards:
        attributes["direction"] = "reverse"
    return attributes


def weights(write: Writer, name: str, cell: Cell) -> list[ir.Value | None]:
    """W, R and B; no B where no gate has a bias."""
    given = np.concatenate([gate.weights.array.T for gate in cell.gates])[None]
    recurrent = np.concatenate([gate.recurrent.array.T for gate in cell.gates])[None]
    bias = None
    if any(gate.bias or gate.recurrent_bias for gate in cell.gates):
        halves = [_joined(cell.gates, "bias"), _joined(cell.gates, "recurrent_bias")]
        bias = write.constant(np.concatenate(halves)[None], f"{name}.B")
    return [write.constant(given, f"{name}.W"), write.constant(recurrent, f"{name}.R"), bias]


def _joined(gates: tuple[Gate, ...], which: str) -> Array:
    """The gates' biases of one kind, zero where there is none."""
    zero = np.zeros(gates[0].recurrent.array.shape[0], gates[0].recurrent.array.dtype)
    found: list[Known | None] = [getattr(gate, which) for gate in gates]
    return np.concatenate([zero if bias is None else bias.array for bias in found])
