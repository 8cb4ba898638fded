"""Recurrent layers that torch's own kernels compute, steps first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporters.onnx_to_torch import kernels
from exporters.onnx_to_torch.plain.call import Call, Rule

_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}  # the positions of their first states
_USUAL = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}


def _layer(kernel: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> Any:
        kind = given.node.op_type
        form = _form(given, kind)
        shape = given.shape(2)
        if form is None or shape is None or not all(isinstance(size, int) for size in shape):
            return None
        x, w, r, b = (given.argument(place) for place in range(4))
        states = [
            given.argument(place)
            if given.argument(place) is not None
            else given.make(kernels.first_state, x, shape[0], shape[2])
            for place in _STATES[kind]
        ]
        return given.make(kernel, x, w, r, b, *states, *form)

    return rule


def _form(given: Call, kind: str) -> tuple[Any, ...] | None:
    """The direction, and for a plain layer whether it rectifies; None for what the kernels do not compute."""
    direction = given.keyword("direction", "forward")
    count = 2 if direction == "bidirectional" else 1
    usual = _USUAL[kind] * count
    names = [name.lower() for name in given.keyword("activations", None) or usual][: len(usual)]
    rectified = kind == "RNN" and names == ["relu"] * count
    if names != usual and not rectified:
        return None
    if given.argument(4) is not None or given.argument(7) is not None or given.keyword("layout", 0):
        return None
    if given.keyword("clip", None) is not None or given.keyword("input_forget", 0):
        return None
    if kind == "GRU" and given.keyword("linear_before_reset", 0) != 1:
        return None
    return (direction, rectified) if kind == "RNN" else (direction,)


RULES: dict[str, Rule] = {
    "GRU": _layer(kernels.gru),
    "LSTM": _layer(kernels.lstm),
    "RNN": _layer(kernels.rnn),
}
