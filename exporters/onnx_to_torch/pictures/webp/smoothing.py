"""The edges of macroblocks and of their parts, smoothed (RFC 6386, section 15).

An edge needs those above and to the left of it to be done, so the macroblocks are taken in waves, x + 2 y = 0, 1, ...
"""

from __future__ import annotations

import torch
from torch import Tensor


def strength(level: int, sharpness: int) -> list[int]:
    """How much pixels may differ beside an edge that is smoothed, across it, and where a difference is kept as such."""
    within = level
    if sharpness > 0:
        within = min(level >> (2 if sharpness > 4 else 1), 9 - sharpness)
    within = max(within, 1)
    return [within, 2 * level + within, 2 if level >= 40 else (1 if level >= 15 else 0)]


def _byte(values: Tensor) -> Tensor:
    return torch.clamp(values, -128, 127)


def _edge(pixels: Tensor, places: Tensor, across: Tensor, within: Tensor, sharp: Tensor, outer: bool) -> None:
    """Smooth lines of eight pixels, four on each side of an edge; `places` (lines, 8) tells where in `pixels` they are.

    `across`, `within` and `sharp` are the strengths of each line, `outer` says that the edge is a macroblock's.
    """
    lines = pixels[places]
    steps = (lines[:, 1:] - lines[:, :7]).abs()
    p2, p1, p0, q0, q1, q2 = lines[:, 1:7].unbind(1)
    smooth = 4 * steps[:, 3] + (p1 - q1).abs() <= 2 * across + 1
    smooth = smooth & ((steps <= within.unsqueeze(1)) | (torch.arange(7) == 3)).all(1)
    rough = (steps[:, 2] > sharp) | (steps[:, 4] > sharp)
    far = _byte(p1 - q1)
    jump = _byte(3 * (q0 - p0) + (far if outer else torch.where(rough, far, torch.zeros_like(far))))
    near_q, near_p = _byte(jump + 4) >> 3, _byte(jump + 3) >> 3  # where a difference is kept, and within a macroblock
    zero = torch.zeros_like(jump)
    if outer:
        full = _byte(3 * (q0 - p0) + far)
        third, second, first = (9 * full + 63) >> 7, (18 * full + 63) >> 7, (27 * full + 63) >> 7
        near_p, near_q = torch.where(rough, near_p, first), torch.where(rough, near_q, first)
        second, third = torch.where(rough, zero, second), torch.where(rough, zero, third)
    else:
        second, third = torch.where(rough, zero, (near_q + 1) >> 1), zero
    made = torch.stack([p2 + third, p1 + second, p0 + near_p, q0 - near_q, q1 - second, q2 - third], 1)
    made = torch.where(smooth.unsqueeze(1), torch.clamp(made, 0, 255), lines[:, 1:7])
    pixels[places[:, 1:7]] = made


def _lines(starts: Tensor, stride: int, size: int, edge: int, down: bool) -> Tensor:
    """Places (macroblocks x size, 8) across the edge `edge` pixels after the start of each macroblock."""
    along, over = (1, stride) if down else (stride, 1)
    offsets = (torch.arange(size) * along).unsqueeze(1) + ((torch.arange(8) + edge - 4) * over).unsqueeze(0)
    return (starts.reshape([-1, 1, 1]) + offsets.unsqueeze(0)).flatten(0, 1)


def smoothed(pixels: Tensor, strengths: Tensor, inner: Tensor, columns: int, rows: int, simple: bool) -> Tensor:
    """The pixels of the three planes, one after another in one vector, with their edges smoothed.

    `strengths` (macroblocks, 3) are those of `strength`, 0 where nothing is smoothed; `inner` are the macroblocks whose
    inner edges are smoothed. `simple`: luma alone, by the difference across an edge.
    """
    pixels = pixels.clone()
    luma, chroma = 256 * columns * rows, 64 * columns * rows
    y, x = torch.arange(rows).repeat_interleave(columns), torch.arange(columns).repeat(rows)
    starts = 256 * columns * y + 16 * x
    colours = luma + 64 * columns * y + 8 * x
    wanted = strengths[:, 1] > 0
    if simple:
        strengths = torch.stack([torch.full_like(y, 255), strengths[:, 1], torch.full_like(y, -1)], 1)
    for wave in range(columns + 2 * rows - 2):
        own = wanted & (x + 2 * y == wave)
        for side in range(8):  # the edges down at 0, 4, 8 and 12, then those across
            edge, down = side % 4 * 4, side >= 4
            chosen = own & (((y if down else x) > 0) if edge == 0 else inner)
            mine = chosen.nonzero().flatten()
            if mine.shape[0] == 0:
                continue
            places = [_lines(starts[mine], 16 * columns, 16, edge, down)]
            counts = [16]
            if edge < 8 and not simple:
                first = colours[mine]
                places += [
                    _lines(first, 8 * columns, 8, edge, down),
                    _lines(first + chroma, 8 * columns, 8, edge, down),
                ]
                counts += [8, 8]
            own_strengths = torch.cat([strengths[mine].repeat_interleave(count, 0) for count in counts])
            within, across, sharp = own_strengths.unbind(1)
            _edge(pixels, torch.cat(places), across + (4 if edge == 0 else 0), within, sharp, edge == 0)
    return pixels
