"""Packets: which blocks each one holds some data of, and how much (annex B.10)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.jpeg2000.records import Block, Grid, Precinct
from exporters.onnx_to_torch.pictures.jpeg2000.trees import bit, is_below


def _number(data: list[int], reader: list[int], bits: int) -> int:
    value = 0
    for _ in range(bits):
        value = (value << 1) | bit(data, reader)
    return value


def _passes(data: list[int], reader: list[int]) -> int:
    """How many passes of a block's coding follow."""
    if bit(data, reader) == 0:
        return 1
    if bit(data, reader) == 0:
        return 2
    few = _number(data, reader, 2)
    if few < 3:
        return 3 + few
    more = _number(data, reader, 5)
    return 6 + more if more < 31 else 37 + _number(data, reader, 7)


def _limit(before: list[int], style: int) -> int:
    """How many passes the next segment of a block takes: without bits that are written as they are, all or one."""
    if style & 4 > 0:
        return 1
    if style & 1 == 0:
        return 164
    if len(before) == 0:
        return 10
    return 2 if before[len(before) - 1] != 2 else 1


def _lengths(data: list[int], reader: list[int], block: Block, style: int, index: int) -> list[list[int]]:
    """What follows of a block: its index, to which of its segments, and how many bytes."""
    passes = _passes(data, reader)
    while bit(data, reader) == 1:
        block.state[2] += 1
    found: list[list[int]] = []
    while passes > 0:
        last = len(block.passes) - 1
        if last < 0 or block.passes[last] == block.limits[last]:
            nothing: list[int] = []
            block.passes.append(0)
            block.limits.append(_limit(block.limits, style))
            block.coded.append(nothing)
            last += 1
        taken = min(passes, block.limits[last] - block.passes[last])
        bits = block.state[2]
        while taken >> (bits - block.state[2] + 1) > 0:
            bits += 1
        assert bits <= 32, "ImageDecoder: a JPEG 2000 with a broken packet"
        found.append([index, last, _number(data, reader, bits)])
        block.passes[last] += taken
        passes -= taken
    return found


def _is_included(data: list[int], reader: list[int], grid: Grid, block: Block, x: int, y: int, layer: int) -> bool:
    """Whether the packet holds something of the block; where it is the first, its empty planes are read, too."""
    if block.state[0] == 1:
        return bit(data, reader) == 1
    if not is_below(data, reader, grid.included, x, y, layer + 1):
        return False
    planes = 0
    while not is_below(data, reader, grid.empty, x, y, planes + 1):
        planes += 1
        assert planes < 75, "ImageDecoder: a JPEG 2000 with a broken packet"
    block.state[0] = 1
    block.state[1] = planes
    return True


def read_packet(data: list[int], at: int, precinct: Precinct, layer: int, style: int, blocks: list[Block]) -> int:
    """Add what the packet at `at` holds to the blocks; where the next packet starts."""
    if at + 1 < len(data) and data[at] == 255 and data[at + 1] == 0x91:  # the packet's number, SOP
        at += 6
    reader = [at, 0, 0]
    parts: list[list[int]] = []
    if bit(data, reader) == 1:
        for grid in precinct.grids:
            for i in range(grid.width * grid.height):
                block = blocks[grid.first + i]
                if _is_included(data, reader, grid, block, i % grid.width, i // grid.width, layer):
                    parts += _lengths(data, reader, block, style, grid.first + i)
    at = reader[0] + (1 if reader[1] == 255 else 0)
    if at + 1 < len(data) and data[at] == 255 and data[at + 1] == 0x92:  # the header's end, EPH
        at += 2
    for part in parts:
        assert at + part[2] <= len(data), "ImageDecoder: a JPEG 2000 that ends too early"
        blocks[part[0]].coded[part[1]].extend(data[at : at + part[2]])
        at += part[2]
    return at
