"""The lossless form of WebP, VP8L (RFC 9649)."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.webp import transforms
from exporters.onnx_to_torch.pictures.webp.entropy import read_cache, read_codes, read_pixels, read_small
from exporters.onnx_to_torch.pictures.webp.prefix_codes import number
from exporters.onnx_to_torch.pictures.webp.records import Coded, Transform


def _squares(size: int, bits: int) -> int:
    return (size + (1 << bits) - 1) >> bits


def _read_transforms(data: list[int], place: list[int], width: int, height: int) -> tuple[list[Transform], int]:
    """What was done to the pixels, in that order, and the width of the image that it gave."""
    found: list[Transform] = []
    seen = [False] * 4
    while number(data, place, 1) == 1:
        kind, bits = number(data, place, 2), 0
        assert not seen[kind], "ImageDecoder: a WebP with a transform twice"
        seen[kind] = True
        columns, rows = 0, 0
        if kind < 2:
            bits = number(data, place, 3) + 2
            columns, rows = _squares(width, bits), _squares(height, bits)
        elif kind == 3:
            columns, rows = number(data, place, 8) + 1, 1
            bits = 3 if columns <= 2 else (2 if columns <= 4 else (1 if columns <= 16 else 0))
        image: list[int] = []
        if kind != 2:
            image = read_small(data, place, columns, rows)
        found.append(Transform(kind, width, bits, image))
        if kind == 3:
            width = _squares(width, bits)
    return found, width


def _read_image(data: list[int], place: list[int], width: int, height: int) -> list[int]:
    """The pixels as they are before the transforms are undone."""
    cache = read_cache(data, place)
    groups: list[int] = []
    bits, many = 0, 1
    if number(data, place, 1) == 1:
        bits = number(data, place, 3) + 2
        image = read_small(data, place, _squares(width, bits), _squares(height, bits))
        groups = [(pixel >> 8) & 0xFFFF for pixel in image]
        many = max(groups) + 1
    return read_pixels(data, place, width, height, Coded(read_codes(data, place, cache, many), cache, bits, groups))


def decode(data: list[int], start: int, end: int) -> Tensor:
    """(height, width, 3) in RGB of the picture that lies from `start` to before `end`."""
    data = data[start:end] + [0] * 4
    assert data[0] == 47, "ImageDecoder: a lossless WebP without its signature"
    place = [8]
    width, height = number(data, place, 14) + 1, number(data, place, 14) + 1
    assert number(data, place, 4) < 2, "ImageDecoder: a lossless WebP of a later version"  # after a bit for alpha
    undone, own = _read_transforms(data, place, width, height)
    pixels = torch.tensor(_read_image(data, place, own, height)).reshape([height, own])
    for i in range(len(undone)):
        last = undone[len(undone) - 1 - i]
        if last.kind == 0:
            numbers: list[int] = pixels.flatten().tolist()
            table = transforms.predicted(numbers, last.width, last.bits, last.image)
            pixels = torch.tensor(table).reshape([height, last.width])
        elif last.kind == 1:
            shares = torch.tensor(last.image).reshape([-1, _squares(last.width, last.bits)])
            pixels = transforms.mixed(pixels, last.bits, shares)
        elif last.kind == 2:
            pixels = transforms.greened(pixels)
        else:
            pixels = transforms.looked_up(pixels, last.width, last.bits, last.image)
    return torch.stack([(pixels >> 16) & 255, (pixels >> 8) & 255, pixels & 255], -1).to(torch.uint8)
