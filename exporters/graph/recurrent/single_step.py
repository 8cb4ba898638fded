"""LSTM, GRU and RNN operators that a loop runs for one step at a time, as arithmetic.

PyTorch's older exporter writes an `nn.LSTMCell` so: the operator itself, over a sequence of length 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.graph.recurrent.expression import (
    Activated,
    Array,
    Bias,
    Expression,
    Known,
    Lifted,
    Product,
    Sum,
    add,
    multiply,
    number,
    of_atom,
    total,
)

if TYPE_CHECKING:
    import onnx_ir as ir

_PLAIN = frozenset({"Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_SAID = frozenset({"activations", "hidden_size", "linear_before_reset"})  # all other attributes change the cell


def axes(node: ir.Node, arguments: list[Expression]) -> list[int] | None:
    """The axes of Squeeze or Unsqueeze, an attribute in older opsets; None where they are not known."""
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    given = arguments[1] if len(arguments) > 1 else None
    return [int(axis) for axis in given.array.reshape(-1)] if isinstance(given, Known) else None


def form(reader: Any, node: ir.Node, arguments: list[Expression], index: int) -> Expression | None:
    """What the operator gives for one step: all outputs as (1, 1, batch, units), the states as (1, batch, units)."""
    x, *weights = arguments[:4]
    states = [each.inner for each in arguments[5:] if isinstance(each, Lifted) and each.count == 1]
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    wanted = 2 if node.op_type == "LSTM" else 1
    if not isinstance(x, Lifted) or x.count != 1 or lengths is not None or len(states) != wanted:
        return None
    names = _activations(node)
    arrays = [each.array for each in weights if isinstance(each, Known)]
    if len(arguments) != 5 + wanted or names is None or len(arrays) != 3 or reader.rank != 2:
        return None
    gates = _GATES[node.op_type]
    linear = "linear_before_reset" in node.attributes and node.attributes["linear_before_reset"].as_int() == 1
    found = _CELLS[node.op_type](x.inner, states, _Weights(arrays, gates), names, linear)
    chosen = found[max(index - 1, 0)] if found is not None else None
    return None if chosen is None else Lifted(chosen, 2 if index == 0 else 1)


def _activations(node: ir.Node) -> tuple[str, ...] | None:
    if set(node.attributes) - _SAID and not _is_forward(node):
        return None
    named = node.attributes["activations"].as_strings() if "activations" in node.attributes else _USUAL[node.op_type]
    names = tuple(name.capitalize() for name in named)
    return names if set(names) <= _PLAIN and len(names) == len(_USUAL[node.op_type]) else None


def _is_forward(node: ir.Node) -> bool:
    """Whether the attributes beside those that are read say nothing new."""
    said = {name: attribute.value for name, attribute in node.attributes.items() if name not in _SAID}
    return said.items() <= {"direction": "forward", "layout": 0, "input_forget": 0}.items()


class _Weights:
    """The operator's weights gate by gate."""

    def __init__(self, arrays: list[Array], gates: int) -> None:
        self._w, self._r = (np.split(array[0], gates) for array in arrays[:2])
        bias = arrays[2]
        self._b = np.split(bias[0], 2 * gates) if bias.size else None
        self._gates = gates

    def given(self, gate: int, x: Sum) -> Sum:
        return self._affine(self._w[gate], x, gate)

    def recurrent(self, gate: int, h: Sum) -> Sum:
        return self._affine(self._r[gate], h, self._gates + gate)

    def both(self, gate: int, x: Sum, h: Sum) -> Sum:
        found = add(self.given(gate, x), self.recurrent(gate, h))
        assert found is not None
        return found

    def _affine(self, matrix: Array, source: Sum, bias: int) -> Sum:
        parts = [of_atom(Product(source, Known(matrix.T)))]
        parts += [of_atom(Bias(Known(self._b[bias])))] if self._b is not None else []
        found = total(parts)
        assert found is not None
        return found


def _lstm(x: Sum, states: list[Sum], weights: _Weights, names: tuple[str, ...], _: bool) -> list[Sum | None] | None:
    h, c = states
    kinds = (names[0], names[0], names[0], names[1])
    i, o, f, g = (of_atom(Activated(kind, weights.both(gate, x, h))) for gate, kind in enumerate(kinds))
    kept, new = multiply(f, c), multiply(i, g)
    cell = add(kept, new) if kept is not None and new is not None else None
    if cell is None:
        return None
    return [multiply(o, of_atom(Activated(names[2], cell))), cell]


def _gru(x: Sum, states: list[Sum], weights: _Weights, names: tuple[str, ...], linear: bool) -> list[Sum | None] | None:
    (h,) = states
    z, r = (of_atom(Activated(names[0], weights.both(gate, x, h))) for gate in (0, 1))
    if linear:
        inner = multiply(r, weights.recurrent(2, h))
    else:
        reset = multiply(r, h)
        inner = weights.recurrent(2, reset) if reset is not None else None
    argument = add(weights.given(2, x), inner) if inner is not None else None
    rest = add(number(1.0), z, -1.0)
    if argument is None or rest is None:
        return None
    kept, new = multiply(z, h), multiply(rest, of_atom(Activated(names[1], argument)))
    return [add(kept, new) if kept is not None and new is not None else None]


def _rnn(x: Sum, states: list[Sum], weights: _Weights, names: tuple[str, ...], _: bool) -> list[Sum | None] | None:
    return [of_atom(Activated(names[0], weights.both(0, x, states[0])))]


_CELLS = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
