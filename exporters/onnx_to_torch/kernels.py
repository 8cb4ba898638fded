"""LSTM, GRU and RNN by torch's own kernels: their weights' order, and ONNX's order of what comes out.

No list is built in a loop here: PyTorch's older ONNX exporter wants to see each weight.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _in_order(x: Tensor, direction: str) -> Tensor:
    """The steps in the order in which torch's kernels, which know no other one, shall take them."""
    return x.flip([0]) if direction == "reverse" else x


def _gates(rows: Tensor, count: int) -> Tensor:
    """Blocks of rows as torch has them: input, forget, cell, output of an LSTM; reset, update, new of a GRU."""
    size = rows.shape[0] // count
    if count == 4:  # ONNX: input, output, forget, cell
        return torch.cat([rows[:size], rows[2 * size :], rows[size : 2 * size]], 0)
    if count == 3:  # ONNX: update, reset, new
        return torch.cat([rows[size : 2 * size], rows[:size], rows[2 * size :]], 0)
    return rows


def _weights(w: Tensor, r: Tensor, b: Tensor | None, gates: int, both: bool) -> list[Tensor]:
    """What torch's kernels take: per direction the input's and the recurrent weights, and both biases."""
    if b is None:
        if both:
            return [_gates(w[0], gates), _gates(r[0], gates), _gates(w[1], gates), _gates(r[1], gates)]
        return [_gates(w[0], gates), _gates(r[0], gates)]
    half = b.shape[1] // 2
    if both:
        return [
            _gates(w[0], gates), _gates(r[0], gates), _gates(b[0, :half], gates), _gates(b[0, half:], gates),
            _gates(w[1], gates), _gates(r[1], gates), _gates(b[1, :half], gates), _gates(b[1, half:], gates),
        ]  # fmt: skip
    return [_gates(w[0], gates), _gates(r[0], gates), _gates(b[0, :half], gates), _gates(b[0, half:], gates)]


def _by_direction(y: Tensor, direction: str) -> Tensor:
    """From torch's (steps, batch, directions * hidden) to ONNX's (steps, directions, batch, hidden)."""
    count = 2 if direction == "bidirectional" else 1
    y = _in_order(y, direction)
    return y.reshape([y.shape[0], y.shape[1], count, y.shape[2] // count]).permute([0, 2, 1, 3])


def first_state(x: Tensor, directions: int, hidden: int) -> Tensor:
    """Zeros (directions, batch, hidden)."""
    return torch.zeros([directions, x.shape[1], hidden], dtype=x.dtype, device=x.device)


def lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, h: Tensor, c: Tensor, direction: str
) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM with sigmoid and tanh over all steps of `x` (steps, batch, features)."""
    if x.shape[0] == 0:  # torch's kernels want a step at least
        return h.unsqueeze(0)[:0], h, c
    both = direction == "bidirectional"
    y, hn, cn = torch.lstm(
        _in_order(x, direction),
        [h.contiguous(), c.contiguous()],
        _weights(w, r, b, 4, both),
        b is not None,
        1,
        0.0,
        False,
        both,
        False,
    )
    return _by_direction(y, direction), hn, cn


def gru(x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, h: Tensor, direction: str) -> tuple[Tensor, Tensor]:
    """A GRU with sigmoid and tanh whose reset comes behind its linear part."""
    if x.shape[0] == 0:
        return h.unsqueeze(0)[:0], h
    both, given = direction == "bidirectional", _in_order(x, direction)
    weights = _weights(w, r, b, 3, both)
    y, hn = torch.gru(given, h.contiguous(), weights, b is not None, 1, 0.0, False, both, False)
    return _by_direction(y, direction), hn


def rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, h: Tensor, direction: str, rectified: bool
) -> tuple[Tensor, Tensor]:
    """A plain recurrent layer with tanh or relu."""
    if x.shape[0] == 0:
        return h.unsqueeze(0)[:0], h
    both, given = direction == "bidirectional", _in_order(x, direction)
    weights = _weights(w, r, b, 1, both)
    if rectified:
        y, hn = torch.rnn_relu(given, h.contiguous(), weights, b is not None, 1, 0.0, False, both, False)
    else:
        y, hn = torch.rnn_tanh(given, h.contiguous(), weights, b is not None, 1, 0.0, False, both, False)
    return _by_direction(y, direction), hn
