"""The LSTM that `onnxruntime.quantization.quantize_dynamic` makes: integer products, floats in between."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from exporters.graph.contributed.linear import matmul_integer_to_float
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, NotKnown, Value, Writer, known_size

_PLAIN = ["sigmoid", "tanh", "tanh"]


@REWRITTEN.op("DynamicQuantizeLSTM", since=1, domain=DOMAIN, outputs=3)
def dynamic_quantize_lstm(
    write: Writer,
    X: Value,
    W: Value,
    R: Value,
    B: Value | None,
    sequence_lens: Value | None,
    initial_h: Value | None,
    initial_c: Value | None,
    P: Value | None,
    W_scale: Value,
    W_zero_point: Value,
    R_scale: Value,
    R_zero_point: Value,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
) -> tuple[Value, Value, Value]:
    """An LSTM that quantises its input once, and its state anew at each step, over all entries of the batch.

    So does ONNX Runtime on one thread; on several it may quantise parts of the batch apart, which gives other numbers.
    W is (directions, input, 4 * hidden), gates input, output, forget, cell. Only with an LSTM's own activations.
    """
    hidden = hidden_size or known_size(R, 1)
    given = [name.lower() for name in activations or []]
    if hidden is None or given != _PLAIN * (len(given) // len(_PLAIN)):
        raise NotKnown("an LSTM with other activations")
    integers, scale, point = write.several("DynamicQuantizeLinear", 3, X)
    parts = []
    for index, back in enumerate({"forward": [0], "reverse": [1]}.get(direction, [0, 1])):
        weights, steps, offset, again, factor, shift = (
            write.Gather(value, index) for value in (W, W_scale, W_zero_point, R, R_scale, R_zero_point)
        )
        ahead = _projected(write, integers, scale, point, (weights, steps, offset), _bias(write, B, index, hidden))
        states = [_state(write, X, state, index, hidden) for state in (initial_h, initial_c)]
        body = _step(write, (again, factor, shift), index, hidden)
        parts.append(
            write.several(
                "Scan", 3, *states, ahead, body=body, num_scan_inputs=1, scan_input_directions=[back],
                scan_output_directions=[back],
            )
        )  # fmt: skip
    h, c, y = (
        write.Concat(*[write.Unsqueeze(part[i], axes=[axis]) for part in parts], axis=axis)
        for i, axis in enumerate((0, 0, 1))
    )
    return y, h, c


Weights = tuple[Value, Value, Value]  # integers, their scale, their zero point


def _projected(
    write: Writer, integers: Value, scale: Value, point: Value, weights: Weights, bias: Value | None
) -> Value:
    """What quantised numbers add to the gates."""
    matrix, steps, offset = weights
    for value in (scale, steps):
        value.type = ir.TensorType(ir.DataType.FLOAT)
    steps.shape = steps.shape or ir.Shape([None])  # one for all, or one per column: no batch
    return matmul_integer_to_float(write, integers, matrix, scale, steps, point, offset, bias)


def _bias(write: Writer, bias: Value | None, index: int, hidden: int) -> Value | None:
    """The sum of the biases of inputs and of states."""
    if bias is None:
        return None
    one, other = write.several("Split", 2, write.Gather(bias, index), split=[4 * hidden] * 2, axis=0)
    return write.Add(one, other)


def _state(write: Writer, x: Value, state: Value | None, index: int, hidden: int) -> Value:
    if state is not None:
        return write.Gather(state, index)
    shape = write.Concat(write.sizes(x, 1, 2), [hidden], axis=0)
    return write.Expand(write.constant(np.zeros([1, 1], np.float32)), shape)


def _step(write: Writer, weights: Weights, index: int, hidden: int) -> ir.Graph:
    """The body of the loop: both states and what the input adds to the gates, to the new states and the output."""
    inner = write.within(f"step_{index}")
    names = ("h", "c", "x")
    h, c, x = (inner.argument(name, [None, 4 * hidden if name == "x" else hidden]) for name in names)
    integers, scale, point = inner.several("DynamicQuantizeLinear", 3, h)
    gates = inner.Add(x, _projected(inner, integers, scale, point, weights, None))
    i, o, f, g = inner.several("Split", 4, gates, split=[hidden] * 4, axis=-1)
    kept = inner.Mul(inner.Sigmoid(f), c)
    memory = inner.Add(kept, inner.Mul(inner.Sigmoid(i), inner.Tanh(g)))
    state = inner.Mul(inner.Sigmoid(o), inner.Tanh(memory))
    return ir.Graph([h, c, x], [state, memory, inner.Identity(state)], nodes=inner.nodes, name=f"step_{index}")
