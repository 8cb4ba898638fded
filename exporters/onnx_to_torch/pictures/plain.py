"""Formats that hold their pixels as they are: BMP, PNM and uncompressed TIFF."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import big_endian, little_endian


def decode_bmp(data: list[int]) -> Tensor:
    """(height, width, 3): rows from the bottom up, each filled up to four bytes, blue first."""
    start, width, height = little_endian(data, 10, 4), little_endian(data, 18, 4), little_endian(data, 22, 4)
    bits = little_endian(data, 28, 2)
    assert bits == 24 and little_endian(data, 30, 4) == 0, "ImageDecoder: a BMP of other than 24 plain bits"
    from_top = height >= 2147483648
    rows = 4294967296 - height if from_top else height
    stride = (3 * width + 3) // 4 * 4
    table = _bytes(data, start, stride * rows).reshape([rows, stride])
    image = table[:, : 3 * width].reshape([rows, width, 3]).flip([2])
    return image if from_top else image.flip([0])


def decode_pnm(data: list[int]) -> Tensor:
    """(height, width, 1 or 3) of a binary PGM or PPM of eight bits."""
    assert data[1] == 53 or data[1] == 54, "ImageDecoder: a PNM that is neither P5 nor P6"
    numbers: list[int] = []
    at = 2
    while len(numbers) < 3:
        if data[at] == 35:  # a comment
            while data[at] != 10:
                at += 1
        if data[at] >= 48 and data[at] <= 57:
            value = 0
            while data[at] >= 48 and data[at] <= 57:
                value = 10 * value + data[at] - 48
                at += 1
            numbers.append(value)
        else:
            at += 1
    assert numbers[2] == 255, "ImageDecoder: a PNM of other than eight bits"
    channels = 3 if data[1] == 54 else 1
    size = numbers[0] * numbers[1] * channels
    return _bytes(data, at + 1, size).reshape([numbers[1], numbers[0], channels])


def decode_tiff(data: list[int]) -> Tensor:
    """(height, width, samples) of an uncompressed TIFF of eight bits per sample, in strips."""
    small = data[0] == 73
    tags: dict[int, list[int]] = {}
    at = _number(data, 4, 4, small)
    for i in range(_number(data, at, 2, small)):
        entry = at + 2 + 12 * i
        kind, count = _number(data, entry + 2, 2, small), _number(data, entry + 4, 4, small)
        width = 2 if kind == 3 else 4
        if kind == 3 or kind == 4:
            first = entry + 8 if width * count <= 4 else _number(data, entry + 8, 4, small)
            tags[_number(data, entry, 2, small)] = [
                _number(data, first + width * j, width, small) for j in range(count)
            ]
    for needed in [256, 257, 258, 259, 262, 273, 279]:
        assert needed in tags and len(tags[needed]) > 0, "ImageDecoder: a TIFF without a tag that it needs"
    assert tags[259][0] == 1, "ImageDecoder: a TIFF that is packed"
    assert max(tags[258]) == 8, "ImageDecoder: a TIFF of other than eight bits"
    assert tags[262][0] == 1 or tags[262][0] == 2, "ImageDecoder: a TIFF that is neither grey nor RGB"
    samples = tags[277][0] if 277 in tags else 1
    pixels: list[int] = []
    for offset, count in zip(tags[273], tags[279]):  # noqa: B905 - TorchScript
        pixels += data[offset : offset + count]
    size = tags[257][0] * tags[256][0] * samples
    assert len(pixels) == size, "ImageDecoder: a TIFF with more or fewer pixels than its size tells"
    return _bytes(pixels, 0, size).reshape([tags[257][0], tags[256][0], samples])


def _bytes(data: list[int], start: int, count: int) -> Tensor:
    assert start + count <= len(data), "ImageDecoder: a file that ends too early"
    return torch.tensor(data[start : start + count], dtype=torch.uint8)


def _number(data: list[int], at: int, count: int, small: bool) -> int:
    return little_endian(data, at, count) if small else big_endian(data, at, count)
