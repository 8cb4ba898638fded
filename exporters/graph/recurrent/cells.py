"""The three recurrent cells, recognised in what a step computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from exporters.graph.recurrent.expression import (
    ONE,
    Activated,
    Atom,
    Bias,
    Known,
    Leaf,
    Product,
    Sequence,
    Sum,
    add,
    alone,
    close,
    divided,
    number,
    of_atom,
    of_terms,
    same,
    scaled,
)


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

    def negated(self) -> Gate:
        biases = (None if bias is None else Known(-bias.array) for bias in (self.bias, self.recurrent_bias))
        return Gate(Known(-self.weights.array), Known(-self.recurrent.array), *biases)


@dataclass(frozen=True)
class Cell:
    """An operator of ONNX; `gates` and `activations` in its order, `states` by number, hidden state first."""

    kind: str
    sequence: Sequence
    states: tuple[int, ...]
    gates: tuple[Gate, ...]
    activations: tuple[Activation, ...]
    linear_before_reset: bool = False


def recognise(updates: dict[int, Sum]) -> Cell | None:
    """The cell whose states are updated so; None where it is none of the three."""
    if len(updates) == 2:
        (one, first), (two, second) = updates.items()
        found = _lstm(one, first, two, second) or _lstm(two, second, one, first)
    elif len(updates) == 1:
        ((state, update),) = updates.items()
        found = _gru(state, update) or _simple(state, update)
    else:
        found = None
    return found if found is not None and _fits(found) else None


def _fits(cell: Cell) -> bool:
    """Whether all gates have one size, which is the state's."""
    units = cell.gates[0].recurrent.array.shape[0]
    inputs = cell.gates[0].weights.array.shape[0]
    kinds = {gate.weights.array.dtype for gate in cell.gates} | {gate.recurrent.array.dtype for gate in cell.gates}
    return len(kinds) == 1 and all(
        gate.weights.array.shape == (inputs, units)
        and gate.recurrent.array.shape == (units, units)
        and all(bias is None or bias.array.shape == (units,) for bias in (gate.bias, gate.recurrent_bias))
        for gate in cell.gates
    )


def _state(number_: int) -> Leaf:
    return Leaf("state", number_)


def _simple(state: int, update: Sum) -> Cell | None:
    """A simple one: h' = f(xW + hR + b)."""
    found = _activated(update, state)
    if found is None:
        return None
    activation, sequence, gate = found
    return Cell("RNN", sequence, (state,), (gate,), (activation,))


def _lstm(hidden: int, output: Sum, cell: int, update: Sum) -> Cell | None:
    """An LSTM: c' = f * c + i * g(...); h' = o * h(c')."""
    kept, new = divided(update, _state(cell))
    forget = alone(kept)
    if forget is None:
        return None
    for out, last in _shown(output, update):
        for enter in _factors(new):
            candidate, none = divided(new, enter)
            if none.terms:
                continue
            found = [_activated(of_atom(each), hidden) for each in (enter, out, forget)]
            found.append(_activated(candidate, hidden))
            parts = [each for each in found if each is not None]
            if len(parts) == 4 and len({each[1] for each in parts}) == 1 and parts[0][0] == parts[1][0] == parts[2][0]:
                gates, activations = tuple(each[2] for each in parts), (parts[0][0], parts[3][0], last)
                return Cell("LSTM", parts[0][1], (hidden, cell), gates, activations)
    return None


def _shown(output: Sum, update: Sum) -> Iterator[tuple[Atom, Activation]]:
    """The gates o, and activations h, for which the output is o * h(c')."""
    for out in _factors(output):
        inner, none = divided(output, out)
        shown = alone(inner)
        if none.terms:
            continue
        if isinstance(shown, Activated) and shown.name in _PLAIN and same(shown.argument, update):
            yield out, Activation(shown.name)
        if same(inner, update):
            yield out, Activation("Affine", 1.0, 0.0)


def _factors(whole: Sum) -> list[Atom]:
    """Activations that every term has as a factor."""
    common: list[set[Atom]] = [{atom for atom, _ in term if isinstance(atom, Activated)} for term in whole.terms]
    return sorted(set.intersection(*common), key=_weights_of) if common else []


def _weights_of(atom: Atom) -> bytes:
    """For an order that is the same in every process."""
    inside = atom.argument.terms if isinstance(atom, Activated) else {}
    products = (part for term in inside for part, _ in term if isinstance(part, Product))
    return next((part.matrix.array.tobytes() for part in products), b"")


def _gru(state: int, update: Sum) -> Cell | None:
    """A GRU: h' = z * h + (1 - z) * g(...), or with z and 1 - z exchanged."""
    kept, new = divided(update, _state(state))
    gate = alone(kept)
    if gate is not None:
        # new is g - z * g
        minus, candidate = divided(new, gate)
        return _gru_of(state, gate, candidate, kept=True) if same(minus, scaled(candidate, -1.0)) else None
    for gate in _atoms(kept):
        if same(kept, add(number(1.0), of_atom(gate), -1.0)):
            candidate, none = divided(new, gate)
            return None if none.terms else _gru_of(state, gate, candidate, kept=False)
    return None


def _atoms(whole: Sum) -> list[Atom]:
    return [atom for term in whole.terms for atom, _ in term]


def _gru_of(state: int, update_gate: Atom, candidate: Sum, *, kept: bool) -> Cell | None:
    first = _activated(of_atom(update_gate), state)
    if first is None:
        return None
    activation, sequence, update = first
    if not kept:  # the operator keeps z of the state: 1 - f(x) is f(-x)
        if activation.name != "Sigmoid" and (activation.name, activation.beta) != ("HardSigmoid", 0.5):
            return None
        update = update.negated()
    for last, inner in _insides(candidate):
        for reset, gate, linear in (*_reset_before(state, inner), *_reset_after(state, inner)):
            second = _activated(of_atom(reset), state)
            if second is not None and second[0] == activation and second[1] == gate[0] == sequence:
                return Cell("GRU", sequence, (state,), (update, second[2], gate[1]), (activation, last), linear)
    return None


def _insides(whole: Sum) -> Iterator[tuple[Activation, Sum]]:
    """A plain activation and what it is applied to; or none, and all of it."""
    atom = alone(whole)
    if isinstance(atom, Activated) and atom.name in _PLAIN:
        yield Activation(atom.name), atom.argument
    else:
        yield Activation("Affine", 1.0, 0.0), whole


Found = tuple[Sequence, Gate]


def _reset_before(state: int, inner: Sum) -> Iterator[tuple[Atom, Found, bool]]:
    """Its candidate is xW + (r * h)R + b."""
    for atom in _atoms(inner):
        if isinstance(atom, Product) and isinstance(atom.source, Sum):
            reset = alone(divided(atom.source, _state(state))[0])
            gate = _gate(inner, atom.source) if reset is not None and len(atom.source.terms) == 1 else None
            if reset is not None and gate is not None:
                yield reset, gate, False


def _reset_after(state: int, inner: Sum) -> Iterator[tuple[Atom, Found, bool]]:
    """Its candidate is xW + b + r * (hR + d)."""
    for reset in dict.fromkeys(atom for atom in _atoms(inner) if isinstance(atom, Activated)):
        recurrent, given = divided(inner, reset)
        products = [_parts(part) for part in (given, recurrent)]
        if any(part is None for part in products):
            continue
        (ins, bias), (outs, other) = (part for part in products if part is not None)
        if len(ins) != 1 or len(outs) != 1 or outs[0].source != of_atom(_state(state)):
            continue
        source = alone(ins[0].source)
        if isinstance(source, Leaf) and isinstance(source.of, Sequence):
            yield reset, (source.of, Gate(ins[0].matrix, outs[0].matrix, bias, other)), True


def _parts(affine: Sum) -> tuple[list[Product], Known | None] | None:
    """The products of a sum, and its biases as one; None where it has anything else."""
    found = _affine(affine, 1.0)
    if found is None:
        return None
    products, biases = found
    return products, _added(biases)


def _affine(affine: Sum, factor: float) -> tuple[list[Product], list[Known]] | None:
    """The products and biases of a sum whose terms all have that factor; numbers become biases."""
    products, biases, width = [], [], None
    for term, found in affine.terms.items():
        if term == ONE:
            continue
        ((atom, power), *more) = term
        if more or power != 1:
            return None
        if isinstance(atom, Product) and close(found, factor):
            products.append(atom)
            width = atom.matrix.array
        elif isinstance(atom, Bias) and any(close(found, often * factor) for often in (1, 2)):
            biases += [atom.vector] * round(found / factor)  # two biases may be equal: zeros, before any training
        else:
            return None
    offset = affine.terms.get(ONE)
    if offset is not None:
        if width is None:
            return None
        biases.append(Known(np.full(width.shape[1], offset / factor, width.dtype)))
    return products, biases


def _added(biases: list[Known]) -> Known | None:
    if len(biases) < 2:
        return biases[0] if biases else None
    summed = np.sum([bias.array.astype(np.float64) for bias in biases], axis=0)
    return Known(summed.astype(biases[0].array.dtype))


def _gate(affine: Sum, recurrent: Sum, factor: float = 1.0) -> Found | None:
    """The sequence and the weights, where `affine` is xW + hR and biases."""
    found = _affine(affine, factor)
    if found is None or len(found[0]) != 2:
        return None
    products, biases = found
    for given, other in (products, products[::-1]):
        source = alone(given.source)
        if isinstance(source, Leaf) and isinstance(source.of, Sequence) and other.source == recurrent:
            return source.of, Gate(given.matrix, other.matrix, _added(biases[:1]), _added(biases[1:]))
    return None


_PLAIN = frozenset({"Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})


def _activated(whole: Sum, state: int) -> tuple[Activation, Sequence, Gate] | None:
    """A gate of the step's input and the state: its activation and its weights; Affine where there is none."""
    atom = alone(whole)
    hidden = of_atom(_state(state))
    if not isinstance(atom, Activated):
        found = _gate(whole, hidden)
        return None if found is None else (Activation("Affine", 1.0, 0.0), *found)
    if atom.name in _PLAIN:
        found = _gate(atom.argument, hidden)
        return None if found is None else (Activation(atom.name), *found)
    return _hard(atom, hidden)


def _hard(atom: Activated, hidden: Sum) -> tuple[Activation, Sequence, Gate] | None:
    """A hard sigmoid: the factor that all products share is its slope, the number beside them its offset."""
    factors = [factor for term, factor in atom.argument.terms.items() if term != ONE]
    offset = atom.argument.terms.get(ONE, 0.0)
    plain = of_terms({term: factor for term, factor in atom.argument.terms.items() if term != ONE})
    if not factors or factors[0] <= 0:
        return None
    found = _gate(plain, hidden, factors[0])
    return None if found is None else (Activation("HardSigmoid", factors[0], offset), *found)


__all__ = ["Activation", "Cell", "Gate", "recognise"]
