"""LSTM, GRU and SimpleRNN as Keras' own layers where these compute the same; else step by step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras import recurrent_steps
from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from exporters.onnx_to_keras.table import KERAS

ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "softsign": "softsign", "softplus": "softplus"}


@dataclass(frozen=True)
class Options:
    """What the three operators have in common."""

    what: str
    sequence_lens: Operand | None
    alpha: list[float] | None
    beta: list[float] | None
    names: list[list[str]]  # per direction
    clip: float | None
    back: list[bool]  # per direction
    layout: int

    def fits_a_layer(self, steps: int | None, *weights: Operand | None) -> bool:
        """Whether one of Keras' layers computes the same."""
        held = all(value is None or isinstance(value, Constant) for value in weights)
        plain = not self.clip and all(name in ACTIVATIONS for names in self.names for name in names)
        return held and plain and recurrent_steps.lengths_of(self.sequence_lens, steps) is None

    def functions(self, direction: int) -> list[recurrent_steps.Function]:
        """The activations of one direction; the lists of alpha and beta run through all directions."""
        every = [name for names in self.names for name in names]
        count = len(self.names[0])
        found = recurrent_steps.activations(self.what, every, self.alpha, self.beta, self.clip)
        return found[direction * count : (direction + 1) * count]

    def steps(self, x: KerasTensor, cells: list[recurrent_steps.Cell]) -> tuple[KerasTensor, ...]:
        lengths = recurrent_steps.lengths_of(self.sequence_lens, x.shape[1])
        runs = [
            recurrent_steps.run(x, cell, back, lengths, self.what) for cell, back in zip(cells, self.back, strict=True)
        ]
        return _assembled(runs, self.layout)


def _options(
    what: str,
    sequence_lens: Operand | None,
    alpha: list[float] | None,
    beta: list[float] | None,
    activations: list[str] | None,
    defaults: list[str],
    clip: float | None,
    direction: str,
    directions: int,
    layout: int,
) -> Options:
    given = [name.lower() for name in activations or []] or defaults * directions
    count = len(defaults)
    names = [given[i * count : (i + 1) * count] for i in range(directions)]
    back = [d == 1 or direction == "reverse" for d in range(directions)]
    return Options(what, sequence_lens, alpha, beta, names, clip, back, layout)


def _direction(value: Operand | None, direction: int) -> KerasTensor | None:
    return None if value is None else tensor(value)[(direction,)]


def _first_state(state: Operand | None, direction: int, layout: int, x: KerasTensor, hidden: int) -> KerasTensor:
    held = _state(state, direction, layout)
    return recurrent_steps.zeros(x, hidden) if held is None else held


def _ordered(array: Any, order: list[int]) -> Any:
    """Gate blocks along the first axis in Keras' order."""
    blocks = np.split(array, len(order), 0)
    return np.concatenate([blocks[i] for i in order], 0)


def _run(
    x: KerasTensor,
    layer: Any,
    weights: list[Any],
    states: list[KerasTensor] | None,
    sources: list[Operand | None],
    direction: int,
    back: bool,
) -> list[KerasTensor]:
    """The layer's outputs (batch, steps, hidden) in the order of time, then its last states."""
    held = [each if isinstance(each, Constant) else None for each in sources]
    assert held[0] is not None, "a layer of Keras holds its weights"
    options = {"initial_state": states} if states else {}
    scope = held[0].scope
    same = scope.known(layer, weights, held, direction)
    if same is None:
        scope.keep(layer, held, direction)
    y, *last = (same or layer)(x, **options)
    if same is None:
        layer.set_weights(weights)
    return [ops.flip(y, 1) if back else y, *last]


def _assembled(runs: list[list[KerasTensor]], layout: int) -> tuple[KerasTensor, ...]:
    """All directions together: Y (steps, directions, batch, hidden), states (directions, batch, hidden)."""
    y = ops.stack([run[0] for run in runs], 2)  # (batch, steps, directions, hidden)
    y = y if layout else ops.transpose(y, (1, 2, 0, 3))
    states = [ops.stack([run[i] for run in runs], 1 if layout else 0) for i in range(1, len(runs[0]))]
    return (y, *states)


def _state(state: Operand | None, direction: int, layout: int) -> KerasTensor | None:
    if state is None:
        return None
    held = tensor(state)
    return held[(slice(None), direction)] if layout else held[(direction,)]


def _layer_name(weight: Constant, direction: int, directions: int) -> str:
    base = re.sub(r"[./](weight|W)$", "", weight.name)
    return weight.scope.name(base if directions == 1 else f"{base}_{'forward' if direction == 0 else 'backward'}")


@KERAS.op("LSTM", since=7, outputs=3)
def lstm(
    X: KerasTensor,
    W: Operand,
    R: Operand,
    B: Operand | None = None,
    sequence_lens: Operand | None = None,
    initial_h: Operand | None = None,
    initial_c: Operand | None = None,
    P: Operand | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[KerasTensor, ...]:
    """ONNX LSTM: gates are input, output, forget, cell; Keras' are input, forget, cell, output."""
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units, order = R.shape[0], R.shape[2], [0, 2, 3, 1]
    options = _options(
        "LSTM", sequence_lens, activation_alpha, activation_beta, activations, ["sigmoid", "tanh", "tanh"], clip,
        direction, directions, layout,
    )  # fmt: skip
    names = options.names
    same = all(cell == output for _, cell, output in names)
    if P is not None or input_forget or not same or not options.fits_a_layer(x.shape[1], W, R, B):
        return options.steps(x, _lstm_cells(x, options, W, R, B, [initial_h, initial_c], P, input_forget))
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    runs = []
    for d, back in enumerate(options.back):
        layer = keras.layers.LSTM(
            units,
            activation=names[d][1],
            recurrent_activation=names[d][0],
            use_bias=B is not None,
            return_sequences=True,
            return_state=True,
            go_backwards=back,
            dtype=X.dtype,
            name=_layer_name(W, d, directions),
        )
        weights = [_ordered(value.array[d], order).T for value in (W, R)]
        if isinstance(B, Constant):
            weights.append(_ordered(B.array[d, : 4 * units] + B.array[d, 4 * units :], order))
        states = [_state(initial_h, d, layout), _state(initial_c, d, layout)]
        if (states[0] is None) != (states[1] is None):
            states = [ops.zeros_like(states[1]) if s is None else s for s in states]
        runs.append(_run(x, layer, weights, None if states[0] is None else states, [W, R, B], d, back))
    return _assembled(runs, layout)


def _lstm_cells(
    x: KerasTensor,
    options: Options,
    W: Operand,
    R: Operand,
    B: Operand | None,
    states: list[Operand | None],
    P: Operand | None,
    input_forget: int,
) -> list[recurrent_steps.Cell]:
    cells = []
    units = R.shape[2]
    for d in range(len(options.back)):
        w, r, b, p = (_direction(value, d) for value in (W, R, B, P))
        bias = None if b is None else recurrent_steps.added(b[(slice(0, 4 * units),)], b[(slice(4 * units, None),)])
        step = recurrent_steps.lstm_step(r, p, options.functions(d), input_forget)
        first = [_first_state(state, d, options.layout, x, units) for state in states]
        cells.append(recurrent_steps.Cell(w, bias, step, first))
    return cells


@KERAS.op("GRU", since=7, outputs=2)
def gru(
    X: KerasTensor,
    W: Operand,
    R: Operand,
    B: Operand | None = None,
    sequence_lens: Operand | None = None,
    initial_h: Operand | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[KerasTensor, ...]:
    """ONNX GRU: gates are update, reset, hidden, as in Keras; `linear_before_reset` is Keras' `reset_after`."""
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units = R.shape[0], R.shape[2]
    options = _options(
        "GRU", sequence_lens, activation_alpha, activation_beta, activations, ["sigmoid", "tanh"], clip, direction,
        directions, layout,
    )  # fmt: skip
    names = options.names
    if not options.fits_a_layer(x.shape[1], W, R, B):
        return options.steps(x, _gru_cells(x, options, W, R, B, initial_h, linear_before_reset))
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    runs = []
    for d, back in enumerate(options.back):
        layer = keras.layers.GRU(
            units,
            activation=names[d][1],
            recurrent_activation=names[d][0],
            use_bias=B is not None,
            reset_after=bool(linear_before_reset),
            return_sequences=True,
            return_state=True,
            go_backwards=back,
            dtype=X.dtype,
            name=_layer_name(W, d, directions),
        )
        weights = [np.ascontiguousarray(value.array[d].T) for value in (W, R)]
        if isinstance(B, Constant):
            both = B.array[d].reshape(2, 3 * units)
            weights.append(both if linear_before_reset else both[0] + both[1])
        state = _state(initial_h, d, layout)
        runs.append(_run(x, layer, weights, None if state is None else [state], [W, R, B], d, back))
    return _assembled(runs, layout)


def _gru_cells(
    x: KerasTensor,
    options: Options,
    W: Operand,
    R: Operand,
    B: Operand | None,
    initial_h: Operand | None,
    linear_before_reset: int,
) -> list[recurrent_steps.Cell]:
    cells = []
    units = R.shape[2]
    for d in range(len(options.back)):
        w, r, b = (_direction(value, d) for value in (W, R, B))
        bias = inner = None
        if b is not None:
            inner = b[(slice(5 * units, None),)]
            outer = recurrent_steps.added(b[(slice(0, 2 * units),)], b[(slice(3 * units, 5 * units),)])
            bias = ops.concatenate([outer, b[(slice(2 * units, 3 * units),)]], 0)
        step = recurrent_steps.gru_step(r, inner, options.functions(d), linear_before_reset)
        cells.append(recurrent_steps.Cell(w, bias, step, [_first_state(initial_h, d, options.layout, x, units)]))
    return cells


@KERAS.op("RNN", since=7, outputs=2)
def rnn(
    X: KerasTensor,
    W: Operand,
    R: Operand,
    B: Operand | None = None,
    sequence_lens: Operand | None = None,
    initial_h: Operand | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] = ("Tanh", "Tanh"),  # type: ignore[assignment]  # as of the other table
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[KerasTensor, ...]:
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units = R.shape[0], R.shape[2]
    options = _options(
        "RNN", sequence_lens, activation_alpha, activation_beta, list(activations), ["tanh"], clip, direction,
        directions, layout,
    )  # fmt: skip
    names = options.names
    if not options.fits_a_layer(x.shape[1], W, R, B):
        return options.steps(x, _rnn_cells(x, options, W, R, B, initial_h))
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    runs = []
    for d, back in enumerate(options.back):
        layer = keras.layers.SimpleRNN(
            units,
            activation=names[d][0],
            use_bias=B is not None,
            return_sequences=True,
            return_state=True,
            go_backwards=back,
            dtype=X.dtype,
            name=_layer_name(W, d, directions),
        )
        weights = [np.ascontiguousarray(value.array[d].T) for value in (W, R)]
        if isinstance(B, Constant):
            weights.append(B.array[d, :units] + B.array[d, units:])
        state = _state(initial_h, d, layout)
        runs.append(_run(x, layer, weights, None if state is None else [state], [W, R, B], d, back))
    return _assembled(runs, layout)


def _rnn_cells(
    x: KerasTensor, options: Options, W: Operand, R: Operand, B: Operand | None, initial_h: Operand | None
) -> list[recurrent_steps.Cell]:
    cells = []
    units = R.shape[2]
    for d in range(len(options.back)):
        w, r, b = (_direction(value, d) for value in (W, R, B))
        bias = None if b is None else recurrent_steps.added(b[(slice(0, units),)], b[(slice(units, None),)])
        step = recurrent_steps.rnn_step(r, options.functions(d))
        cells.append(recurrent_steps.Cell(w, bias, step, [_first_state(initial_h, d, options.layout, x, units)]))
    return cells
