"""Fourier transforms; ONNX holds complex numbers as a last axis of two."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("DFT", since=20)
def dft(input: Tensor, dft_length: int | None = None, axis: int = -2, inverse: int = 0, onesided: int = 0) -> Tensor:
    """ONNX DFT: `onesided` leaves out the redundant half, or takes it as left out where `inverse` is asked for."""
    place = axis + input.dim() if axis < 0 else axis
    if input.shape[-1] == 2:
        x = torch.view_as_complex(input.contiguous())
    else:
        x = torch.complex(input.squeeze(-1), torch.zeros_like(input.squeeze(-1)))
    if inverse == 1 and onesided == 1:
        length = 2 * (x.shape[place] - 1) if dft_length is None else dft_length
        real: Tensor = torch.fft.irfft(x, length, place)
        return real.unsqueeze(-1)
    if inverse == 1:
        return torch.view_as_real(torch.fft.ifft(x, dft_length, place))
    y = torch.fft.fft(x, dft_length, place)
    if onesided == 1:
        y = y.narrow(place, 0, y.shape[place] // 2 + 1)
    return torch.view_as_real(y)


@TORCH.op("DFT", since=17)
def dft_17(input: Tensor, dft_length: int | None = None, axis: int = 1, inverse: int = 0, onesided: int = 0) -> Tensor:
    """ONNX DFT up to opset 19, whose axis is an attribute."""
    return dft(input, dft_length, axis, inverse, onesided)


@TORCH.op("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: int,
    dft_length: int,
    sample_rate: int,
    lower_edge_hertz: float,
    upper_edge_hertz: float,
    output_datatype: torch.dtype = torch.float32,
) -> Tensor:
    """ONNX MelWeightMatrix: (bins of the spectrum, mel bins), each column a triangle."""
    lowest = 2595.0 * math.log10(1.0 + lower_edge_hertz / 700.0)
    highest = 2595.0 * math.log10(1.0 + upper_edge_hertz / 700.0)
    mels = torch.arange(num_mel_bins + 2, dtype=torch.float64) * ((highest - lowest) / (num_mel_bins + 2)) + lowest
    hertz = 700.0 * torch.expm1(mels * (math.log(10.0) / 2595.0))
    edges = torch.floor((dft_length + 1) * hertz / sample_rate)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    place = torch.arange(dft_length // 2 + 1, dtype=torch.float64).unsqueeze(1)
    rising = torch.where(center > left, (place - left) / (center - left), torch.ones_like(place))
    falling = (right - place) / (right - center)
    nothing = torch.zeros_like(rising)
    weights = torch.where((place >= left) & (place <= center), rising, nothing)
    return torch.where((place >= center) & (place < right), falling, weights).to(output_datatype)


@TORCH.op("STFT", since=17)
def stft(
    signal: Tensor, frame_step: int, window: Tensor | None = None, frame_length: int | None = None, onesided: int = 1
) -> Tensor:
    """ONNX STFT: (batch, frames, bins, 2)."""
    length = 0
    if frame_length is not None:
        length = frame_length
    elif window is not None:
        length = window.shape[0]
    axis = 1
    frames = signal.unfold(axis, length, frame_step).movedim(-1, 2)  # (batch, frames, length, 1 or 2)
    if window is not None:
        frames = frames * window.reshape([1, 1, -1, 1])
    return dft(frames, None, 2, 0, onesided)
