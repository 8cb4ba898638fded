"""LSTM, GRU and RNN: torch's own kernels where they compute the same, else a loop over cells."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from exporters.onnx_to_torch import kernels
from exporters.onnx_to_torch.indexing import reverse_sequence
from exporters.onnx_to_torch.table import TORCH


def _activate(name: str, x: Tensor, alpha: float, beta: float) -> Tensor:  # noqa: C901, PLR0911 - TorchScript has no tables of functions
    """ONNX's activations of recurrent cells, by their lower-case names."""
    if name == "sigmoid":
        return torch.sigmoid(x)
    if name == "tanh":
        return torch.tanh(x)
    if name == "relu":
        return torch.relu(x)
    if name == "affine":
        return alpha * x + beta
    if name == "leakyrelu":
        return nnf.leaky_relu(x, alpha)
    if name == "thresholdedrelu":
        return torch.where(x > alpha, x, torch.zeros_like(x))
    if name == "scaledtanh":
        return alpha * torch.tanh(beta * x)
    if name == "hardsigmoid":
        return torch.clamp(alpha * x + beta, 0.0, 1.0)
    if name == "elu":
        return nnf.elu(x, alpha)
    if name == "softsign":
        return nnf.softsign(x)
    return nnf.softplus(x)


def _default_alpha(name: str) -> float:
    if name == "hardsigmoid":
        return 0.2
    return 0.01 if name == "leakyrelu" else 1.0


def _default_beta(name: str) -> float:
    return 0.5 if name == "hardsigmoid" else 0.0 if name == "affine" else 1.0


def _coefficients(names: list[str], given: list[float] | None, alphas: bool) -> list[float]:
    """One number per activation: those given, in order, and the defaults for the rest."""
    result: list[float] = []
    for i, name in enumerate(names):
        if given is not None and i < len(given):
            result.append(given[i])
        else:
            result.append(_default_alpha(name) if alphas else _default_beta(name))
    return result


def _lowered(names: list[str] | None, defaults: list[str], directions: int) -> list[str]:
    result: list[str] = []
    if names is not None and len(names) > 0:
        for name in names:
            result.append(name.lower())  # noqa: PERF401 - TorchScript
        return result
    for _ in range(directions):
        result.extend(defaults)
    return result


def _clipped(x: Tensor, clip: float | None) -> Tensor:
    return x if clip is None else torch.clamp(x, -clip, clip)


def _backwards(x: Tensor, lengths: Tensor | None) -> Tensor:
    return x.flip([0]) if lengths is None else reverse_sequence(x, lengths, 1, 0)


def _states(state: Tensor | None, x: Tensor, directions: int, hidden: int) -> Tensor:
    """The first state (directions, batch, hidden): zeros where none is given."""
    if state is None:
        return kernels.first_state(x, directions, hidden)
    return state


def _alive(step: int, lengths: Tensor | None, like: Tensor) -> Tensor:
    """Which batch entries have not ended at `step`: (batch, 1)."""
    if lengths is None:
        return torch.ones([like.shape[0], 1], dtype=torch.bool, device=like.device)
    return (lengths > step).unsqueeze(1)


def _stacked(outputs: list[Tensor], h: Tensor) -> Tensor:
    """The steps' outputs (steps, batch, hidden), of which there may be none."""
    return torch.stack(outputs) if len(outputs) > 0 else h.unsqueeze(0)[:0]


def _split_bias(bias: Tensor | None, gates: int, direction: int) -> tuple[Tensor | None, Tensor | None]:
    if bias is None:
        return None, None
    half = gates
    return bias[direction, :half], bias[direction, half:]


def _lstm_direction(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    wb: Tensor | None,
    rb: Tensor | None,
    h: Tensor,
    c: Tensor,
    p: Tensor | None,
    lengths: Tensor | None,
    names: list[str],
    alpha: list[float],
    beta: list[float],
    clip: float | None,
    input_forget: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction of an LSTM, cell by cell; gates are input, output, forget, cell."""
    outputs: list[Tensor] = []
    projected = nnf.linear(x, w, wb)
    for step in range(x.shape[0]):
        i, o, f, g = (projected[step] + nnf.linear(h, r, rb)).chunk(4, 1)
        if p is not None:
            pi, po, pf = p.chunk(3, 0)
            i, f = i + pi * c, f + pf * c
        else:
            po = torch.zeros([1], dtype=x.dtype, device=x.device)
        i = _activate(names[0], _clipped(i, clip), alpha[0], beta[0])
        f = 1.0 - i if input_forget == 1 else _activate(names[0], _clipped(f, clip), alpha[0], beta[0])
        g = _activate(names[1], _clipped(g, clip), alpha[1], beta[1])
        cell = f * c + i * g
        o = _activate(names[0], _clipped(o + po * cell, clip), alpha[0], beta[0])
        hidden = o * _activate(names[2], cell, alpha[2], beta[2])
        alive = _alive(step, lengths, h)
        h, c = torch.where(alive, hidden, h), torch.where(alive, cell, c)
        outputs.append(torch.where(alive, hidden, torch.zeros_like(hidden)))
    return _stacked(outputs, h), h, c


def _gru_direction(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    wb: Tensor | None,
    rb: Tensor | None,
    h: Tensor,
    lengths: Tensor | None,
    names: list[str],
    alpha: list[float],
    beta: list[float],
    clip: float | None,
    linear_before_reset: int,
) -> tuple[Tensor, Tensor]:
    """One direction of a GRU, cell by cell; gates are update, reset, hidden."""
    size = h.shape[1]
    outputs: list[Tensor] = []
    projected = nnf.linear(x, w, wb)
    for step in range(x.shape[0]):
        recurrent = nnf.linear(h, r, rb)
        z = _activate(names[0], _clipped(projected[step, :, :size] + recurrent[:, :size], clip), alpha[0], beta[0])
        reset = projected[step, :, size : 2 * size] + recurrent[:, size : 2 * size]
        reset = _activate(names[0], _clipped(reset, clip), alpha[0], beta[0])
        if linear_before_reset == 1:
            inner = reset * recurrent[:, 2 * size :]
        else:
            inner = nnf.linear(reset * h, r[2 * size :], None if rb is None else rb[2 * size :])
        new = _activate(names[1], _clipped(projected[step, :, 2 * size :] + inner, clip), alpha[1], beta[1])
        hidden = (1.0 - z) * new + z * h
        alive = _alive(step, lengths, h)
        h = torch.where(alive, hidden, h)
        outputs.append(torch.where(alive, hidden, torch.zeros_like(hidden)))
    return _stacked(outputs, h), h


def _rnn_direction(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    wb: Tensor | None,
    rb: Tensor | None,
    h: Tensor,
    lengths: Tensor | None,
    name: str,
    alpha: float,
    beta: float,
    clip: float | None,
) -> tuple[Tensor, Tensor]:
    outputs: list[Tensor] = []
    projected = nnf.linear(x, w, wb)
    for step in range(x.shape[0]):
        hidden = _activate(name, _clipped(projected[step] + nnf.linear(h, r, rb), clip), alpha, beta)
        alive = _alive(step, lengths, h)
        h = torch.where(alive, hidden, h)
        outputs.append(torch.where(alive, hidden, torch.zeros_like(hidden)))
    return _stacked(outputs, h), h


@TORCH.op("LSTM", since=7, outputs=3)
def lstm(
    X: Tensor,
    W: Tensor,
    R: Tensor,
    B: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    P: Tensor | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX LSTM: (steps, directions, batch, hidden) and both last states; `layout=1` puts the batch first."""
    x = X.transpose(0, 1) if layout == 1 else X
    directions, size = 2 if direction == "bidirectional" else 1, R.shape[2]
    names = _lowered(activations, ["sigmoid", "tanh", "tanh"], directions)
    h, c = initial_h, initial_c
    if layout == 1:
        h = None if initial_h is None else initial_h.transpose(0, 1)
        c = None if initial_c is None else initial_c.transpose(0, 1)
    h0, c0 = _states(h, x, directions, size), _states(c, x, directions, size)
    plain = names == ["sigmoid", "tanh", "tanh"] * directions and clip is None and input_forget == 0
    if plain and P is None and sequence_lens is None:
        y, hn, cn = kernels.lstm(x, W, R, B, h0, c0, direction)
    else:
        alpha = _coefficients(names, activation_alpha, True)
        beta = _coefficients(names, activation_beta, False)
        ys: list[Tensor] = []
        hs: list[Tensor] = []
        cs: list[Tensor] = []
        for d in range(directions):
            back = d == 1 or direction == "reverse"
            wb, rb = _split_bias(B, 4 * size, d)
            yd, hd, cd = _lstm_direction(
                _backwards(x, sequence_lens) if back else x,
                W[d],
                R[d],
                wb,
                rb,
                h0[d],
                c0[d],
                None if P is None else P[d],
                sequence_lens,
                names[3 * d : 3 * d + 3],
                alpha[3 * d : 3 * d + 3],
                beta[3 * d : 3 * d + 3],
                clip,
                input_forget,
            )
            ys.append(_backwards(yd, sequence_lens) if back else yd)
            hs.append(hd)
            cs.append(cd)
        y, hn, cn = torch.stack(ys, 1), torch.stack(hs), torch.stack(cs)
    if layout == 1:
        return y.permute([2, 0, 1, 3]), hn.transpose(0, 1), cn.transpose(0, 1)
    return y, hn, cn


@TORCH.op("GRU", since=7, outputs=2)
def gru(
    X: Tensor,
    W: Tensor,
    R: Tensor,
    B: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    activations: list[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Tensor, Tensor]:
    """ONNX GRU: (steps, directions, batch, hidden) and the last state; `layout=1` puts the batch first."""
    x = X.transpose(0, 1) if layout == 1 else X
    directions, size = 2 if direction == "bidirectional" else 1, R.shape[2]
    names = _lowered(activations, ["sigmoid", "tanh"], directions)
    h = initial_h
    if layout == 1:
        h = None if initial_h is None else initial_h.transpose(0, 1)
    h0 = _states(h, x, directions, size)
    plain = names == ["sigmoid", "tanh"] * directions and clip is None and linear_before_reset == 1
    if plain and sequence_lens is None:
        y, hn = kernels.gru(x, W, R, B, h0, direction)
    else:
        alpha = _coefficients(names, activation_alpha, True)
        beta = _coefficients(names, activation_beta, False)
        ys: list[Tensor] = []
        hs: list[Tensor] = []
        for d in range(directions):
            back = d == 1 or direction == "reverse"
            wb, rb = _split_bias(B, 3 * size, d)
            yd, hd = _gru_direction(
                _backwards(x, sequence_lens) if back else x,
                W[d],
                R[d],
                wb,
                rb,
                h0[d],
                sequence_lens,
                names[2 * d : 2 * d + 2],
                alpha[2 * d : 2 * d + 2],
                beta[2 * d : 2 * d + 2],
                clip,
                linear_before_reset,
            )
            ys.append(_backwards(yd, sequence_lens) if back else yd)
            hs.append(hd)
        y, hn = torch.stack(ys, 1), torch.stack(hs)
    if layout == 1:
        return y.permute([2, 0, 1, 3]), hn.transpose(0, 1)
    return y, hn


@TORCH.op("RNN", since=7, outputs=2)
def rnn(
    X: Tensor,
    W: Tensor,
    R: Tensor,
    B: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    activations: list[str] = ("Tanh", "Tanh"),  # type: ignore[assignment]
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[Tensor, Tensor]:
    """ONNX RNN: (steps, directions, batch, hidden) and the last state; `layout=1` puts the batch first."""
    x = X.transpose(0, 1) if layout == 1 else X
    directions, size = 2 if direction == "bidirectional" else 1, R.shape[2]
    names = _lowered(activations, ["tanh"], directions)
    alpha = _coefficients(names, activation_alpha, True)
    beta = _coefficients(names, activation_beta, False)
    h = initial_h
    if layout == 1:
        h = None if initial_h is None else initial_h.transpose(0, 1)
    h0 = _states(h, x, directions, size)
    rectified, plain = names == ["relu"] * directions, names == ["tanh"] * directions
    if (plain or rectified) and clip is None and sequence_lens is None:
        y, hn = kernels.rnn(x, W, R, B, h0, direction, rectified)
    else:
        ys: list[Tensor] = []
        hs: list[Tensor] = []
        for d in range(directions):
            back = d == 1 or direction == "reverse"
            wb, rb = _split_bias(B, size, d)
            yd, hd = _rnn_direction(
                _backwards(x, sequence_lens) if back else x,
                W[d],
                R[d],
                wb,
                rb,
                h0[d],
                sequence_lens,
                names[d],
                alpha[d],
                beta[d],
                clip,
            )
            ys.append(_backwards(yd, sequence_lens) if back else yd)
            hs.append(hd)
        y, hn = torch.stack(ys, 1), torch.stack(hs)
    if layout == 1:
        return y.permute([2, 0, 1, 3]), hn.transpose(0, 1)
    return y, hn
