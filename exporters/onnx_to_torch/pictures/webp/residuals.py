"""The coefficients of a VP8 key frame (RFC 6386, section 13), and what they add to the prediction (section 14)."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.webp.booleans import bit, leaf


def _tables() -> list[list[int]]:
    """The tree of tokens, each place's band and position, what the large tokens start at, their further bits' odds."""
    return [
        [-11, 2, 0, 4, -1, 6, 8, 12, -2, 10, -3, -4, 14, 16, -5, -6, 18, 20, -7, -8, -9, -10],
        [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7],
        [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15],
        [5, 7, 11, 19, 35, 67],
        [159],
        [165, 145],
        [173, 148, 140],
        [176, 155, 140, 135],
        [180, 157, 141, 134, 130],
        [254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
    ]


def _read_block(
    data: list[int],
    coder: list[int],
    tables: list[list[int]],
    odds: list[int],
    kind: int,
    context: int,
    place: int,
    out: list[int],
    at: int,
    first: int,
    others: int,
) -> int:
    """Put the coefficients of a block to `out` from `at` on, from `place` in their order; the place after the last one.

    `first` and `others` are what they are multiplied by.
    """
    start = 0
    while place < 16:
        found = leaf(data, coder, tables[0], odds, 11 * (3 * (8 * kind + tables[1][place]) + context), start)
        if found == 11:
            return place
        start = 2 if found == 0 else 0  # after a 0, the end cannot come
        context = min(found, 2)
        if found > 0:
            value = found
            if found > 4:
                value = 0
                for likely in tables[found - 1]:
                    value = 2 * value + bit(data, coder, likely)
                value += tables[3][found - 5]
            if bit(data, coder, 128) == 1:
                value = -value
            out[at + tables[2][place]] = value * (first if place == 0 else others)
        place += 1
    return 16


def read_coefficients(
    data: list[int],
    coders: list[list[int]],
    blocks: list[list[int]],
    odds: list[int],
    quantities: list[list[int]],
    columns: int,
    rows: int,
) -> tuple[list[int], list[bool]]:
    """Per macroblock 25 blocks of 16 coefficients: luma, chroma, the means of luma; and if a block has more than one.

    The rows take turns in the parts of the file, one coder each.
    """
    tables = _tables()
    out = [0] * (400 * columns * rows)
    rich = [False] * (columns * rows)
    above = [0] * (9 * columns)  # 1 where the block above has coefficients: luma 4, chroma 2 and 2, means 1
    for y in range(rows):
        coder = coders[y % len(coders)]
        left = [0] * 9
        for x in range(columns):
            mine = y * columns + x
            block = blocks[mine]
            steps = quantities[block[0]]
            if block[1] == 1:
                for i in range(9 if block[2] < 4 else 8):
                    above[9 * x + i] = 0
                    left[i] = 0
                continue
            for j in range(25):
                i = (j + 24) % 25  # the means come first
                up, side, kind, step = 8, 8, 1, 2
                if i < 16:
                    up, side, kind, step = i % 4, i // 4, 3 if block[2] == 4 else 0, 0
                elif i < 24:
                    up, side = 4 + (i - 16) // 4 * 2 + i % 2, 4 + (i - 16) // 4 * 2 + i // 2 % 2
                    kind, step = 2, 4
                elif block[2] == 4:
                    continue
                start = 1 if kind == 0 else 0
                context = above[9 * x + up] + left[side]
                at = 400 * mine + 16 * i
                end = _read_block(
                    data, coder, tables, odds, kind, context, start, out, at, steps[step], steps[step + 1]
                )
                above[9 * x + up] = 1 if end > start else 0
                left[side] = above[9 * x + up]
                rich[mine] = rich[mine] or (end > 1 and i < 24)
    return out, rich


def _hadamard(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    return [a + d + b + c, a - d + b - c, a + d - b - c, a - d - b + c]


def _spread(means: Tensor) -> Tensor:
    """The first coefficients of the 16 blocks, out of the transformed ones (count, 16)."""
    rows = means.reshape([-1, 4, 4]).unbind(1)
    table = torch.stack(_hadamard(rows[0], rows[1], rows[2], rows[3]), 1).unbind(2)
    return (torch.stack(_hadamard(table[0], table[1], table[2], table[3]), 2).flatten(1) + 3) >> 3


def _cosine(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
    """The inverse transform of four values, in fixed point of 16 bits."""
    small = ((b * 35468) >> 16) - d - ((d * 20091) >> 16)
    large = b + ((b * 20091) >> 16) + ((d * 35468) >> 16)
    return [a + c + large, a - c + small, a - c - small, a + c - large]


def residuals(coefficients: list[int], whole: list[bool]) -> tuple[Tensor, Tensor]:
    """What is added to each predicted pixel, (macroblocks, 24, 4, 4), and which macroblocks have a block with a mean.

    `whole` macroblocks are those that have transformed means.
    """
    table = torch.tensor(coefficients).reshape([-1, 25, 16])
    means = torch.where(torch.tensor(whole).unsqueeze(1), _spread(table[:, 24]), table[:, :16, 0])
    table[:, :16, 0] = means
    table = table[:, :24]
    rows = table.reshape([-1, 24, 4, 4]).unbind(2)
    columns = torch.stack(_cosine(rows[0], rows[1], rows[2], rows[3]), 2).unbind(3)
    out = torch.stack(_cosine(columns[0] + 4, columns[1], columns[2], columns[3]), 3) >> 3
    return out, (table[:, :, 0] != 0).any(1)
