"""LSTM, GRU and SimpleRNN as Keras' own layers, for constant weights and ONNX's default activations."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "softsign": "softsign", "softplus": "softplus"}


def _require(what: str, **given: Any) -> None:
    """Raise for the first option that is set though Keras' layers know nothing like it."""
    for name, value in given.items():
        if value is not None and not (isinstance(value, int | float) and value == 0):
            raise UnsupportedOperator(f"{what} with '{name}' has no Keras form")


def _constant(what: str, *values: Any) -> None:
    if any(value is not None and not isinstance(value, Constant) for value in values):
        raise UnsupportedOperator(f"{what} with weights computed when the model runs has no Keras form")


def _names(what: str, activations: list[str] | None, defaults: list[str], directions: int) -> list[list[str]]:
    """Per direction the activations as Keras calls them."""
    given = [name.lower() for name in activations or []] or defaults * directions
    unknown = [name for name in given if name not in ACTIVATIONS]
    if unknown:
        raise UnsupportedOperator(f"{what} with activation '{unknown[0]}' has no Keras form")
    count = len(defaults)
    return [[ACTIVATIONS[name] for name in given[i * count : (i + 1) * count]] for i in range(directions)]


def _ordered(array: Any, order: list[int]) -> Any:
    """Gate blocks along the first axis in Keras' order."""
    blocks = np.split(array, len(order), 0)
    return np.concatenate([blocks[i] for i in order], 0)


def _run(
    x: KerasTensor, layer: Any, weights: list[Any], states: list[KerasTensor] | None, scope: Any, back: bool
) -> list[KerasTensor]:
    """The layer's outputs (batch, steps, hidden) in the order of time, then its last states."""
    results = layer(x, initial_state=states) if states else layer(x)
    layer.set_weights(weights)
    y, *last = results
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
    return held[:, direction] if layout else held[(direction,)]


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
    _require("LSTM", sequence_lens=sequence_lens, P=P, clip=clip, input_forget=input_forget)
    _constant("LSTM", W, R, B)
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units, order = R.shape[0], R.shape[2], [0, 2, 3, 1]
    names = _names("LSTM", activations, ["sigmoid", "tanh", "tanh"], directions)
    runs = []
    for d in range(directions):
        if names[d][1] != names[d][2]:
            raise UnsupportedOperator("LSTM with different activations of cell and output has no Keras form")
        back = d == 1 or direction == "reverse"
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
        runs.append(_run(x, layer, weights, None if states[0] is None else states, W.scope, back))
    return _assembled(runs, layout)


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
    _require("GRU", sequence_lens=sequence_lens, clip=clip)
    _constant("GRU", W, R, B)
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units = R.shape[0], R.shape[2]
    names = _names("GRU", activations, ["sigmoid", "tanh"], directions)
    runs = []
    for d in range(directions):
        back = d == 1 or direction == "reverse"
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
        runs.append(_run(x, layer, weights, None if state is None else [state], W.scope, back))
    return _assembled(runs, layout)


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
    activations: list[str] = ("Tanh", "Tanh"),  # type: ignore[assignment]
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[KerasTensor, ...]:
    _require("RNN", sequence_lens=sequence_lens, clip=clip)
    _constant("RNN", W, R, B)
    assert isinstance(W, Constant)
    assert isinstance(R, Constant)
    x = X if layout else ops.transpose(X, (1, 0, 2))
    directions, units = R.shape[0], R.shape[2]
    names = _names("RNN", list(activations), ["tanh"], directions)
    runs = []
    for d in range(directions):
        back = d == 1 or direction == "reverse"
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
        runs.append(_run(x, layer, weights, None if state is None else [state], W.scope, back))
    return _assembled(runs, layout)
