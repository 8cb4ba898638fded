"""PNG: a compressed stream of rows, each filtered by its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import big_endian, low_bits, symbol


def _code(lengths: list[int]) -> tuple[list[int], list[int]]:
    """How many codes there are of each length, and the symbols in the order of their codes."""
    counts = [0] * 16
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    symbols: list[int] = []
    for length in range(1, 16):
        for i, own in enumerate(lengths):
            if own == length:
                symbols.append(i)
    return counts, symbols


def _lengths(data: list[int], place: list[int]) -> tuple[list[int], int]:
    """The code lengths of a block with a code of its own, and how many are of literals."""
    literals, distances, own = (
        low_bits(data, place, 5) + 257,
        low_bits(data, place, 5) + 1,
        low_bits(data, place, 4) + 4,
    )
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    first = [0] * 19
    for i in range(own):
        first[order[i]] = low_bits(data, place, 3)
    counts, symbols = _code(first)
    lengths: list[int] = []
    while len(lengths) < literals + distances:
        found = symbol(data, place, counts, symbols)
        if found < 16:
            lengths.append(found)
        elif found == 16:
            lengths += [lengths[-1]] * (3 + low_bits(data, place, 2))
        elif found == 17:
            lengths += [0] * (3 + low_bits(data, place, 3))
        else:
            lengths += [0] * (11 + low_bits(data, place, 7))
    return lengths, literals


def _runs() -> tuple[list[int], list[int]]:
    """Per symbol of a repetition, the shortest length that it stands for, and how many bits say how much more."""
    bases, extras = [3], [0]
    for i in range(1, 28):
        extras.append(max(i // 4 - 1, 0))
        bases.append(bases[i - 1] + (1 << extras[i - 1]))
    return bases + [258], extras + [0]  # noqa: RUF005 - TorchScript


def inflate(data: list[int], start: int) -> list[int]:
    """The bytes that a DEFLATE stream stands for."""
    bases = [
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        13,
        15,
        17,
        19,
        23,
        27,
        31,
        35,
        43,
        51,
        59,
        67,
        83,
        99,
        115,
        131,
        163,
        195,
        227,
        258,
    ]
    extras = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    place = [8 * start]
    out: list[int] = []
    last = 0
    while last == 0:
        last = low_bits(data, place, 1)
        kind = low_bits(data, place, 2)
        if kind == 0:
            at = (place[0] + 7) >> 3
            count = data[at] | (data[at + 1] << 8)
            out += data[at + 4 : at + 4 + count]
            place[0] = 8 * (at + 4 + count)
            continue
        lengths = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8 + [5] * 30
        literals = 288
        if kind == 2:
            lengths, literals = _lengths(data, place)
        counts, symbols = _code(lengths[:literals])
        far_counts, far_symbols = _code(lengths[literals:])
        found = symbol(data, place, counts, symbols)
        while found != 256:
            if found < 256:
                out.append(found)
            else:
                length = bases[found - 257] + low_bits(data, place, extras[found - 257])
                step = symbol(data, place, far_counts, far_symbols)
                more = step // 2 - 1 if step > 1 else 0
                distance = step + 1 if step < 2 else ((2 + (step & 1)) << more) + 1 + low_bits(data, place, more)
                for _ in range(length):
                    out.append(out[len(out) - distance])
            found = symbol(data, place, counts, symbols)
    return out


def _paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    return b if pb <= pc else c


def _unfiltered(raw: list[int], row: int, height: int, apart: int) -> list[int]:
    """The rows of `row` bytes, each element less what its neighbours (`apart` bytes to the left, above) let guess."""
    assert len(raw) >= (row + 1) * height, "ImageDecoder: a PNG with fewer rows than it should have"
    before = [0] * row
    rows: list[int] = []
    for y in range(height):
        kind = raw[y * (row + 1)]
        line = raw[y * (row + 1) + 1 : (y + 1) * (row + 1)]
        for x in range(row):
            left = line[x - apart] if x >= apart else 0
            corner = before[x - apart] if x >= apart else 0
            guess = 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = before[x]
            elif kind == 3:
                guess = (left + before[x]) >> 1
            elif kind == 4:
                guess = _paeth(left, before[x], corner)
            line[x] = (line[x] + guess) & 255
        rows += line
        before = line
    return rows


def _channels(color: int) -> int:
    if color == 2:
        return 3
    return 4 if color == 6 else (2 if color == 4 else 1)


def decode(data: list[int]) -> Tensor:
    """(height, width, channels) of a PNG of up to eight bits per channel that is not interlaced."""
    stream: list[int] = []
    palette: list[int] = []
    header: list[int] = []
    at = 8
    while at + 8 <= len(data):
        length, kind = big_endian(data, at, 4), big_endian(data, at + 4, 4)
        part = data[at + 8 : at + 8 + length]
        if kind == 0x49484452:  # IHDR
            header = part
        elif kind == 0x504C5445:  # PLTE
            palette = part
        elif kind == 0x49444154:  # IDAT
            stream += part
        at += length + 12
    width, height, depth, color = big_endian(header, 0, 4), big_endian(header, 4, 4), header[8], header[9]
    assert depth <= 8, "ImageDecoder: a PNG of 16 bits"
    assert header[12] == 0, "ImageDecoder: an interlaced PNG"
    channels = _channels(color)
    row = (width * channels * depth + 7) // 8
    rows = _unfiltered(inflate(stream, 2), row, height, max(channels * depth // 8, 1))
    image = torch.tensor(rows, dtype=torch.uint8).reshape([height, row])
    if depth < 8:  # several elements per byte, the first one in the highest bits
        shifts = [8 - depth * (i + 1) for i in range(8 // depth)]
        parts = [(image.to(torch.int64) >> shift) & ((1 << depth) - 1) for shift in shifts]
        image = torch.stack(parts, -1).flatten(1)[:, :width]
        image = (image if color == 3 else image * (255 // ((1 << depth) - 1))).to(torch.uint8)
    image = image.reshape([height, width, channels])
    if color == 3:
        return torch.tensor(palette, dtype=torch.uint8).reshape([-1, 3])[image[:, :, 0].to(torch.int64)]
    return image
