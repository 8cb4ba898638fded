"""The file around a WebP's pictures: RIFF's chunks."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import little_endian
from exporters.onnx_to_torch.pictures.webp import lossless, lossy


def _chunks(data: list[int], start: int, end: int) -> list[list[int]]:
    """Name (four letters, the first in the lowest byte), first byte and end of each chunk."""
    found: list[list[int]] = []
    at = start
    while at + 8 <= end:
        size = little_endian(data, at + 4, 4)
        found.append([little_endian(data, at, 4), at + 8, min(at + 8 + size, end)])
        at += 8 + size + size % 2
    return found


def _picture(data: list[int], chunks: list[list[int]]) -> Tensor:
    """(height, width, 3) of the first picture among the chunks."""
    for chunk in chunks:
        if chunk[0] == 0x20385056:  # "VP8 "
            return lossy.decode(data, chunk[1], chunk[2])
        if chunk[0] == 0x4C385056:  # "VP8L"
            return lossless.decode(data, chunk[1], chunk[2])
    raise AssertionError("ImageDecoder: a WebP without a picture")


def decode(data: list[int]) -> Tensor:
    """(height, width, 3) in RGB of a still WebP, or of the first picture of a moving one on its black canvas."""
    chunks = _chunks(data, 12, min(len(data), 8 + little_endian(data, 4, 4)))
    canvas, corner = [0, 0], [0, 0]
    moving = False
    for chunk in chunks:
        at = chunk[1]
        if chunk[0] == 0x58385056:  # "VP8X"
            canvas = [little_endian(data, at + 7, 3) + 1, little_endian(data, at + 4, 3) + 1]
        if chunk[0] == 0x464D4E41 and not moving:  # "ANMF"
            moving = True
            corner = [2 * little_endian(data, at + 3, 3), 2 * little_endian(data, at, 3)]
            chunks = _chunks(data, at + 16, chunk[2])
    picture = _picture(data, chunks)  # once in the code, which TorchScript copies to wherever it is called
    if not moving:
        return picture
    height, width = picture.shape[0], picture.shape[1]
    fits = corner[0] + height <= canvas[0] and corner[1] + width <= canvas[1]
    assert fits, "ImageDecoder: a WebP whose picture is larger than its canvas"
    image = torch.zeros([canvas[0], canvas[1], 3], dtype=torch.uint8)
    image[corner[0] : corner[0] + height, corner[1] : corner[1] + width] = picture
    return image
