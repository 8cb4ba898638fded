"""A key frame of VP8: header, modes, coefficients, prediction, smoothing, colours."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import little_endian
from exporters.onnx_to_torch.pictures.webp import booleans, colours, header, modes, prediction, residuals, smoothing


def _strengths(segments: list[list[int]], how: list[int], blocks: list[list[int]]) -> Tensor:
    """(macroblocks, 3): how strongly each one's edges are smoothed, 0 where not at all."""
    found: list[list[int]] = []
    for segment in range(4):
        for divided in range(2):
            level = how[1]
            if len(segments[1]) > 0:
                level = segments[1][segment] if segments[3][0] == 1 else level + segments[1][segment]
            level = min(max(level + how[3] + how[4] * divided, 0), 63)
            found.append(smoothing.strength(level, how[2]) if level > 0 else [0, 0, 0])
    return torch.tensor([found[2 * block[0] + (1 if block[2] == 4 else 0)] for block in blocks])


def _cut(plane: list[int], width: int) -> Tensor:
    """A plane without what surrounds it."""
    return torch.tensor(plane).reshape([-1, width + 5])[1:, 1 : width + 1]


def decode(data: list[int], start: int, end: int) -> Tensor:
    """(height, width, 3) in RGB of the frame that lies from `start` to before `end`."""
    tag = little_endian(data, start, 3)
    assert tag & 1 == 0, "ImageDecoder: a WebP that starts with no key frame"
    assert data[start + 3 : start + 6] == [157, 1, 42], "ImageDecoder: a WebP whose frame has no start code"
    width, height = little_endian(data, start + 6, 2) & 16383, little_endian(data, start + 8, 2) & 16383
    assert width > 0 and height > 0, "ImageDecoder: a WebP without pixels"
    columns, rows = (width + 15) // 16, (height + 15) // 16
    second = start + 10 + (tag >> 5)
    coder = booleans.started(data, start + 10, second)
    booleans.number(data, coder, 2)  # the kind of colours, and whether pixels could leave their range
    segments = header.read_segments(data, coder)
    how = header.read_filter(data, coder)
    parts = header.read_parts(data, coder, second, end)
    quantities = header.read_quantities(data, coder, segments)
    booleans.number(data, coder, 1)  # whether later frames would use these probabilities
    odds = header.read_probabilities(data, coder)
    skipped = booleans.given_or(data, coder, 8, False, -1)
    blocks, part_modes = modes.read_modes(data, coder, segments[2], skipped, columns, rows)
    coders = [booleans.started(data, part[0], part[1]) for part in parts]
    coefficients, rich = residuals.read_coefficients(data, coders, blocks, odds, quantities, columns, rows)
    more, dark = residuals.residuals(coefficients, [block[2] < 4 for block in blocks])
    luma = more[:, :16].reshape([-1, 4, 4, 4, 4]).permute([0, 1, 3, 2, 4]).flatten()
    rest = more[:, 16:].reshape([-1, 2, 2, 2, 4, 4]).permute([1, 0, 2, 4, 3, 5]).reshape([2, -1])
    luma_more: list[int] = luma.tolist()
    u_more: list[int] = rest[0].tolist()
    v_more: list[int] = rest[1].tolist()
    y = _cut(prediction.luma(blocks, part_modes, luma_more, columns, rows), 16 * columns)
    u = _cut(prediction.chroma(blocks, u_more, columns, rows), 8 * columns)
    v = _cut(prediction.chroma(blocks, v_more, columns, rows), 8 * columns)
    if how[1] > 0:
        inner = dark | torch.tensor(rich) | torch.tensor([block[2] == 4 for block in blocks])
        pixels = torch.cat([y.flatten(), u.flatten(), v.flatten()])
        pixels = smoothing.smoothed(pixels, _strengths(segments, how, blocks), inner, columns, rows, how[0] == 1)
        size = 256 * columns * rows
        y = pixels[:size].reshape(y.shape)
        u = pixels[size : size + size // 4].reshape(u.shape)
        v = pixels[size + size // 4 :].reshape(v.shape)
    half = [(height + 1) // 2, (width + 1) // 2]
    return colours.to_rgb(y[:height, :width], u[: half[0], : half[1]], v[: half[0], : half[1]])
