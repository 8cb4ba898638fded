"""The inverse short-time Fourier transform: frames back from their spectra, added where they overlap."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from exporters.torch_to_onnx.table import spells

Tensor = torch.Tensor


@spells(torch.istft, torch.Tensor.istft)
def istft(
    spectrum: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """`spectrum` ([batch,] frequencies, frames), complex -> ([batch,] samples)."""
    if return_complex or onesided is False:
        return NotImplemented
    hop, width = hop_length or n_fft // 4, win_length or n_fft
    real = torch.view_as_real(spectrum)[..., 0]
    window = torch.ones(width, dtype=real.dtype, device=real.device) if window is None else window
    before = (n_fft - width) // 2
    window = functional.pad(window, (before, n_fft - width - before))
    batched = spectrum if spectrum.dim() == 3 else spectrum.unsqueeze(0)
    frames = torch.fft.irfft(batched, n=n_fft, dim=1, norm="ortho" if normalized else "backward")
    frames = frames * window.unsqueeze(-1)
    total = _overlapped(frames, n_fft, hop)
    weight = _overlapped((window * window).reshape(1, -1, 1).expand(1, n_fft, batched.shape[-1]), n_fft, hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total.shape[-1] - start
    found = total[:, start:end] / weight[:, start:end]
    if length is not None:
        found = functional.pad(found, (0, length - found.shape[-1]))
    return found if spectrum.dim() == 3 else found.squeeze(0)


def _overlapped(frames: Tensor, size: int, hop: int) -> Tensor:
    """(batch, size, n) -> (batch, samples): every frame `hop` samples behind the one before it."""
    placed = torch.eye(size, dtype=frames.dtype, device=frames.device).unsqueeze(1)
    return functional.conv_transpose1d(frames, placed, stride=hop).squeeze(1)
