"""LSTM, GRU and RNN step by step, for what Keras' own layers do not know: any activation, peepholes, clipped gates,
sequences of several lengths, weights that are computed when the model runs. The number of steps must be known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from toolkit.errors import UnsupportedOperator

Function = Callable[[KerasTensor], KerasTensor]
LONGEST = 1024  # steps written out

# name -> default alpha and beta (None: it has none), and the function of the two
FUNCTIONS: dict[str, tuple[float | None, float | None, Callable[[Any, Any, Any], Any]]] = {
    "relu": (None, None, lambda x, _a, _b: ops.relu(x)),
    "tanh": (None, None, lambda x, _a, _b: ops.tanh(x)),
    "sigmoid": (None, None, lambda x, _a, _b: ops.sigmoid(x)),
    "softsign": (None, None, lambda x, _a, _b: ops.softsign(x)),
    "softplus": (None, None, lambda x, _a, _b: ops.softplus(x)),
    "affine": (1.0, 0.0, lambda x, a, b: ops.add(ops.multiply(x, a), b)),
    "leakyrelu": (0.01, None, lambda x, a, _b: ops.leaky_relu(x, a)),
    "thresholdedrelu": (1.0, None, lambda x, a, _b: ops.where(ops.greater(x, a), x, ops.zeros_like(x))),
    "scaledtanh": (1.0, 1.0, lambda x, a, b: ops.multiply(ops.tanh(ops.multiply(x, b)), a)),
    "hardsigmoid": (0.2, 0.5, lambda x, a, b: ops.clip(ops.add(ops.multiply(x, a), b), 0.0, 1.0)),
    "elu": (1.0, None, lambda x, a, _b: ops.where(ops.less(x, 0), ops.multiply(ops.expm1(x), a), x)),
}


@dataclass(frozen=True)
class Cell:
    """One direction of one operator.

    `step` takes the projected input (batch, gates * hidden) and the states, and gives the new states, h first.
    """

    w: KerasTensor  # (gates * hidden, input)
    bias: KerasTensor | None  # what is added to the projected input
    step: Callable[[KerasTensor, list[KerasTensor]], list[KerasTensor]]
    states: list[KerasTensor]


def activations(
    what: str, names: list[str], alpha: list[float] | None, beta: list[float] | None, clip: float | None
) -> list[Function]:
    """ONNX's activations; those that have an alpha or a beta take theirs from the lists in turn."""
    unknown = [name for name in names if name.lower() not in FUNCTIONS]
    if unknown:
        raise UnsupportedOperator(f"{what} with activation '{unknown[0]}' has no Keras form")
    alphas, betas = iter(alpha or []), iter(beta or [])
    return [_function(name.lower(), alphas, betas, clip) for name in names]


def _function(name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None) -> Function:
    alpha, beta, function = FUNCTIONS[name]
    a = next(alphas, alpha) if alpha is not None else None
    b = next(betas, beta) if beta is not None else None
    return lambda x: function(ops.clip(x, -clip, clip) if clip else x, a, b)


def run(x: KerasTensor, cell: Cell, back: bool, lengths: KerasTensor | None, what: str) -> list[KerasTensor]:
    """Outputs (batch, steps, hidden) in the order of time, then the last states; `x` is (batch, steps, input)."""
    steps = x.shape[1]
    if steps is None or steps > LONGEST:
        known = "an unknown number of" if steps is None else f"more than {LONGEST}"
        raise UnsupportedOperator(f"{what} with options that Keras' layer lacks, over {known} steps, has no Keras form")
    projected = ops.matmul(x, ops.transpose(cell.w))
    if cell.bias is not None:
        projected = plus(projected, cell.bias)
    states = cell.states
    outputs: dict[int, KerasTensor] = {}
    for t in reversed(range(steps)) if back else range(steps):
        fresh = cell.step(projected[(slice(None), t)], states)
        outputs[t] = fresh[0]
        if lengths is not None:
            on = ops.reshape(ops.greater(lengths, t), (-1, 1))
            outputs[t] = ops.where(on, fresh[0], ops.zeros_like(fresh[0]))
            fresh = [ops.where(on, new, old) for new, old in zip(fresh, states, strict=True)]
        states = fresh
    return [ops.stack([outputs[t] for t in range(steps)], 1), *states]


def lengths_of(sequence_lens: Operand | None, steps: int | None) -> KerasTensor | None:
    """The rows' lengths, where any may be shorter than all the steps."""
    if sequence_lens is None or (isinstance(sequence_lens, Constant) and (sequence_lens.array == steps).all()):
        return None
    return ops.cast(tensor(sequence_lens), "int32")


def zeros(x: KerasTensor, hidden: int) -> KerasTensor:
    """A state of zeros (batch, hidden) for `x` (batch, steps, input)."""
    column = ops.sum(ops.zeros_like(x), (1, 2))
    return ops.repeat(ops.expand_dims(column, 1), hidden, 1)


def _gates(x: KerasTensor, count: int) -> list[KerasTensor]:
    size = x.shape[-1] // count
    return [x[(slice(None), slice(i * size, (i + 1) * size))] for i in range(count)]


def added(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """The sum of tensors of one shape, past Keras' mistaken bias_add."""
    return ops.subtract(a, ops.negative(b))


def lstm_step(
    r: KerasTensor, peepholes: KerasTensor | None, functions: list[Function], input_forget: int
) -> Callable[[KerasTensor, list[KerasTensor]], list[KerasTensor]]:
    """ONNX LSTM: gates input, output, forget, cell; peepholes input, output, forget."""
    f, g, h = functions
    turned = ops.transpose(r)
    looks = None if peepholes is None else _gates(ops.expand_dims(peepholes, 0), 3)

    def step(x: KerasTensor, states: list[KerasTensor]) -> list[KerasTensor]:
        hidden, memory = states
        i, o, forget, c = _gates(added(x, ops.matmul(hidden, turned)), 4)
        if looks is not None:
            i, forget = plus(i, ops.multiply(memory, looks[0])), plus(forget, ops.multiply(memory, looks[2]))
        opened = f(i)
        kept = ops.subtract(1.0, opened) if input_forget else f(forget)
        memory = added(ops.multiply(kept, memory), ops.multiply(opened, g(c)))
        o = o if looks is None else plus(o, ops.multiply(memory, looks[1]))
        return [ops.multiply(f(o), h(memory)), memory]

    return step


def gru_step(
    r: KerasTensor, inner: KerasTensor | None, functions: list[Function], linear_before_reset: int
) -> Callable[[KerasTensor, list[KerasTensor]], list[KerasTensor]]:
    """ONNX GRU: gates update, reset, hidden; `inner` is the bias of the recurrent hidden gate."""
    f, g = functions
    turned = ops.transpose(r)
    size = r.shape[1]
    outer = turned[(slice(None), slice(0, 2 * size))]
    own = turned[(slice(None), slice(2 * size, None))]

    def step(x: KerasTensor, states: list[KerasTensor]) -> list[KerasTensor]:
        (hidden,) = states
        gates = x[(slice(None), slice(0, 2 * size))]
        update, reset = (f(gate) for gate in _gates(added(gates, ops.matmul(hidden, outer)), 2))
        if linear_before_reset:
            back = ops.matmul(hidden, own)
            back = ops.multiply(reset, back if inner is None else plus(back, inner))
        else:
            back = ops.matmul(ops.multiply(reset, hidden), own)
            back = back if inner is None else plus(back, inner)
        fresh = g(added(x[(slice(None), slice(2 * size, None))], back))
        return [added(ops.multiply(ops.subtract(1.0, update), fresh), ops.multiply(update, hidden))]

    return step


def rnn_step(
    r: KerasTensor, functions: list[Function]
) -> Callable[[KerasTensor, list[KerasTensor]], list[KerasTensor]]:
    turned = ops.transpose(r)
    return lambda x, states: [functions[0](added(x, ops.matmul(states[0], turned)))]
