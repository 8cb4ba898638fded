"""The three recurrent cells, recognised in what a step computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporters.graph.recurrent.expression import Affine, Expression, Known, Leaf, Made


@dataclass(frozen=True)
class Activation:
    """By ONNX's name; None where an operator has no such coefficient."""

    name: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True)
class Gate:
    """Its weights for the step's input and for the state; a bias for each, if there is one."""

    weights: Known
    recurrent: Known
    bias: Known | None
    recurrent_bias: Known | None


@dataclass(frozen=True)
class Cell:
    """An operator of ONNX; `gates` and `activations` in its order, `states` by number, hidden state first."""

    kind: str
    sequence: Leaf
    states: tuple[int, ...]
    gates: tuple[Gate, ...]
    activations: tuple[Activation, ...]
    linear_before_reset: bool = False


def recognise(updates: dict[int, Expression]) -> Cell | None:
    """The cell whose states are updated so; None where it is none of the three."""
    if len(updates) == 2:
        (one, first), (two, second) = updates.items()
        return _lstm(one, first, two, second) or _lstm(two, second, one, first)
    if len(updates) == 1:
        ((state, update),) = updates.items()
        return _gru(state, update) or _simple(state, update)
    return None


def _simple(state: int, update: Expression) -> Cell | None:
    """A simple one: h' = f(xW + hR + b)."""
    activation, affine = activated(update)
    gate = _gate(affine, state)
    if activation is None or gate is None:
        return None
    return Cell("RNN", gate[0], (state,), (gate[1],), (activation,))


def _lstm(hidden: int, output: Expression, cell: int, update: Expression) -> Cell | None:
    """An LSTM: c' = f * c + i * g(...); h' = o * h(c')."""
    for out, shown in _operands(output, "Mul"):
        last, inner = activated(shown)
        if inner != update or last is None:
            continue
        for kept, new in _operands(update, "Add"):
            for forget, state in _operands(kept, "Mul"):
                if state != Leaf("state", cell):
                    continue
                for enter, candidate in _operands(new, "Mul"):
                    found = _lstm_of(hidden, cell, (enter, out, forget, candidate), last)
                    if found is not None:
                        return found
    return None


def _lstm_of(hidden: int, cell: int, parts: tuple[Expression, ...], last: Activation) -> Cell | None:
    activations, affines = zip(*(activated(part) for part in parts), strict=True)
    gates = [_gate(affine, hidden) for affine in affines]
    enter, out, forget, candidate = activations
    if (
        None in gates
        or None in activations
        or not enter == out == forget
        or len({gate[0] for gate in gates if gate}) > 1
    ):
        return None
    found = [gate for gate in gates if gate]
    return Cell("LSTM", found[0][0], (hidden, cell), tuple(gate for _, gate in found), (enter, candidate, last))


def _gru(state: int, update: Expression) -> Cell | None:
    """A GRU: h' = z * h + (1 - z) * g(...)."""
    for kept, new in _operands(update, "Add"):
        for update_gate, old in _operands(kept, "Mul"):
            if old != Leaf("state", state):
                continue
            for rest, candidate in _operands(new, "Mul"):
                if _is_rest(rest, update_gate):
                    found = _gru_of(state, update_gate, candidate)
                    if found is not None:
                        return found
    return None


def _is_rest(rest: Expression, gate: Expression) -> bool:
    """Whether `rest` is 1 - gate."""
    if not isinstance(rest, Made) or rest.kind != "Sub" or rest.arguments[1] != gate:
        return False
    one = rest.arguments[0]
    return isinstance(one, Known) and one.array.size == 1 and float(one.array.reshape(())) == 1


def _gru_of(state: int, update_gate: Expression, candidate: Expression) -> Cell | None:
    activation, update = activated(update_gate)
    last, inner = activated(candidate)
    first = _gate(update, state)
    if activation is None or last is None or first is None:
        return None
    for reset, gate, linear in (*_reset_before(state, inner), *_reset_after(state, inner)):
        same, affine = activated(reset)
        second = _gate(affine, state)
        if same == activation and second is not None and second[0] == first[0] == gate[0]:
            return Cell("GRU", first[0], (state,), (first[1], second[1], gate[1]), (activation, last), linear)
    return None


def _reset_before(state: int, inner: Expression) -> Iterator[tuple[Expression, tuple[Leaf, Gate], bool]]:
    """Its candidate is xW + (r * h)R + b."""
    if isinstance(inner, Affine):
        for source, _ in inner.terms:
            for reset, old in _operands(source, "Mul"):
                gate = _gate(inner, state, source) if old == Leaf("state", state) else None
                if gate is not None:
                    yield reset, gate, False


def _reset_after(state: int, inner: Expression) -> Iterator[tuple[Expression, tuple[Leaf, Gate], bool]]:
    """Its candidate is xW + b + r * (hR + d)."""
    for given, product in _operands(inner, "Add"):
        for reset, recurrent in _operands(product, "Mul"):
            if isinstance(given, Affine) and isinstance(recurrent, Affine) and len(given.terms) == 1:
                gate = _gate(Affine(given.terms + recurrent.terms, ()), state)
                if gate is not None and len(given.biases) <= 1 and len(recurrent.biases) <= 1:
                    bias, other = (next(iter(each.biases), None) for each in (given, recurrent))
                    yield reset, (gate[0], Gate(gate[1].weights, gate[1].recurrent, bias, other)), True


def _gate(affine: Expression | None, state: int, recurrent: Expression | None = None) -> tuple[Leaf, Gate] | None:
    """The step's input and the weights, where `affine` is xW + hR and up to two biases."""
    if not isinstance(affine, Affine) or len(affine.terms) != 2 or len(affine.biases) > 2:
        return None
    wanted = recurrent or Leaf("state", state)
    for (x, weights), (h, matrix) in (affine.terms, affine.terms[::-1]):
        if isinstance(x, Leaf) and x.kind == "step" and h == wanted:
            bias, other = (*affine.biases, None, None)[:2]
            return x, Gate(weights, matrix, bias, other)
    return None


def _operands(expression: Expression, kind: str) -> list[tuple[Expression, Expression]]:
    """The two operands in both orders where it is that operator; else nothing."""
    if not isinstance(expression, Made) or expression.kind != kind or len(expression.arguments) != 2:
        return []
    first, second = expression.arguments
    return [(first, second), (second, first)]


_PLAIN = {"Relu": None, "Sigmoid": None, "Softplus": None, "Softsign": None, "Tanh": None}


def activated(expression: Expression) -> tuple[Activation | None, Expression]:
    """The activation and what it is applied to; Affine with alpha 1 where there is none."""
    if isinstance(expression, Made) and expression.kind in _PLAIN:
        return Activation(expression.kind), expression.arguments[0]
    hard = _hard_sigmoid(expression)
    if hard is not None:
        return hard
    if isinstance(expression, Affine):
        return Activation("Affine", 1.0, 0.0), expression
    return None, expression


def _hard_sigmoid(expression: Expression) -> tuple[Activation, Expression] | None:
    """Clip(x + 3, 0, 6) / 6, as Keras has it; its coefficients are read, not assumed."""
    for part, scale in ((a, _scalar(b)) for a, b in (*_operands(expression, "Mul"), *_operands(expression, "Div")[:1])):
        if scale is None or not isinstance(part, Made) or part.kind != "Clip" or len(part.arguments) != 3:
            continue
        inner, low, high = part.arguments
        factor = 1 / scale if isinstance(expression, Made) and expression.kind == "Div" else scale
        top = _scalar(high)
        if _scalar(low) != 0 or top is None or abs(top * factor - 1) > 1e-6:
            continue
        for affine, shift in ((a, _scalar(b)) for a, b in _operands(inner, "Add")):
            if shift is not None:
                return Activation("HardSigmoid", factor, shift * factor), affine
    return None


def _scalar(expression: Expression) -> float | None:
    if isinstance(expression, Known) and expression.array.size == 1:
        return float(expression.array.reshape(()))
    return None
