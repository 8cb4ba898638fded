"""LSTMs whose hidden states are projected, which ONNX's operator does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor


@spells(torch.lstm)
def lstm(
    x: Tensor,
    states: Any,
    weights: Any,
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> Any:
    """Layer after layer as LSTMs without a projection: see `_one`. Packed sequences stay as they are."""
    if isinstance(states, Tensor):  # `batch_sizes`, of a packed sequence
        return NotImplemented
    hidden, cells = states
    if hidden.shape[-1] == cells.shape[-1] or (train and dropout):
        return NotImplemented
    each = 5 if biased else 3
    x = x.transpose(0, 1) if batch_first else x
    last_hidden, last_cells = [], []
    directions = 2 if bidirectional else 1
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            own = weights[place * each : (place + 1) * each]
            steps = x.flip(0) if direction else x
            output, h, c = _one(steps, hidden[place], cells[place], own)
            outputs.append(output.flip(0) if direction else output)
            last_hidden.append(h)
            last_cells.append(c)
        x = torch.cat(outputs, -1)
    return x.transpose(0, 1) if batch_first else x, torch.stack(last_hidden), torch.stack(last_cells)


def _one(x: Tensor, hidden: Tensor, cells: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """One layer in one direction: outputs (time, batch, projected), and the last states.

    The gates see P h, with P the projection and h the states before it. So an LSTM with the recurrent weights W P holds
    these h and starts from zeros; P is put to all of its outputs at once. The given first state is a projected one, and
    comes as more features of the first step, by the weights W.
    """
    input_weight, recurrent_weight, *biases, projection = weights
    given = torch.nn.functional.pad(hidden.unsqueeze(0), [0, 0, 0, 0, 0, x.shape[0] - 1])
    own = (torch.cat([input_weight, recurrent_weight], 1), recurrent_weight @ projection, *biases)
    cells = cells.unsqueeze(0).contiguous()  # torch.export wants states of one layout before and after a step
    start = (torch.zeros_like(cells), cells)
    output, h, c = torch.lstm(torch.cat([x, given], -1), start, own, bool(biases), 1, 0.0, False, False, False)
    by = projection.t()
    return output @ by, h.squeeze(0) @ by, c.squeeze(0)
