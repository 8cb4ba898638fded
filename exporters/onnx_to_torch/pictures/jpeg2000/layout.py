"""What a tile is made of: resolutions, bands, precincts and blocks (annex B), and in which order its packets come."""

from __future__ import annotations

import torch

from exporters.onnx_to_torch.pictures.jpeg2000 import trees
from exporters.onnx_to_torch.pictures.jpeg2000.records import (
    Band,
    Block,
    Coding,
    Grid,
    Precinct,
    Quantities,
    Rules,
    Tile,
)


def ceiling(number: int, bits: int) -> int:
    """A number of 2 ** bits-ths, rounded up."""
    return -((-number) >> bits)


def _band(
    area: list[int], coding: Coding, quantities: Quantities, depth: int, component: int, resolution: int, kind: int
) -> Band:
    """A band of the tile's area (left, top, right, bottom)."""
    bits = coding.levels - max(resolution - 1, 0)
    across, down = ((kind & 1) << bits) >> 1, ((kind >> 1) << bits) >> 1
    index = 0 if resolution == 0 else 3 * (resolution - 1) + kind
    assert index < len(quantities.exponents), "ImageDecoder: a JPEG 2000 with too few steps of quantisation"
    exponent = quantities.exponents[index]
    step = (1.0 + quantities.mantissas[index] / 2048) * 2.0 ** (depth - exponent)
    return Band(
        component,
        resolution,
        kind,
        ceiling(area[0] - across, bits),
        ceiling(area[1] - down, bits),
        ceiling(area[2] - across, bits),
        ceiling(area[3] - down, bits),
        quantities.guard + exponent - 1,
        step,
    )


def _grid(band: Band, index: int, place: list[int], size: list[int], coding: Coding, blocks: list[Block]) -> Grid:
    """The blocks of a band in the precinct at `place` of so large ones, added to the list of all blocks."""
    left, top = max(band.left, place[0] << size[0]), max(band.top, place[1] << size[1])
    right, bottom = min(band.right, (place[0] + 1) << size[0]), min(band.bottom, (place[1] + 1) << size[1])
    across, down = min(coding.block_width, size[0]), min(coding.block_height, size[1])
    width, height, first = 0, 0, len(blocks)
    if right > left and bottom > top:
        width, height = ceiling(right, across) - (left >> across), ceiling(bottom, down) - (top >> down)
    for j in range(height):
        for i in range(width):
            x, y = (left >> across) + i, (top >> down) + j
            nothing: list[int] = []
            no_limits: list[int] = []
            no_data: list[list[int]] = []
            blocks.append(
                Block(
                    index,
                    max(left, x << across),
                    max(top, y << down),
                    min(right, (x + 1) << across),
                    min(bottom, (y + 1) << down),
                    [0, 0, 3],
                    nothing,
                    no_limits,
                    no_data,
                )
            )
    return Grid(first, width, height, trees.planted(width, height), trees.planted(width, height))


def tile(area: list[int], rules: Rules, depths: list[int]) -> Tile:
    """All that a tile of this area (left, top, right, bottom) consists of."""
    bands: list[Band] = []
    blocks: list[Block] = []
    precincts: list[Precinct] = []
    for component in range(len(depths)):
        coding, quantities = rules.codings[component], rules.quantities[component]
        for resolution in range(coding.levels + 1):
            first = len(bands)
            bands += [
                _band(area, coding, quantities, depths[component], component, resolution, kind)
                for kind in range(0 if resolution == 0 else 1, 1 if resolution == 0 else 4)
            ]
            bits = coding.levels - resolution
            size = coding.precincts[resolution]
            assert resolution == 0 or min(size) > 0, "ImageDecoder: a JPEG 2000 with precincts of no width"
            sides = [ceiling(side, bits) for side in area]
            if sides[2] <= sides[0] or sides[3] <= sides[1]:
                continue
            inner = size if resolution == 0 else [size[0] - 1, size[1] - 1]
            left, right = sides[0] >> size[0], ceiling(sides[2], size[0])
            number = 0
            for y in range(sides[1] >> size[1], ceiling(sides[3], size[1])):
                for x in range(left, right):
                    grids = [_grid(bands[i], i, [x, y], inner, coding, blocks) for i in range(first, len(bands))]
                    start_x, start_y = max(x << (size[0] + bits), area[0]), max(y << (size[1] + bits), area[1])
                    precincts.append(Precinct(component, resolution, number, start_x, start_y, grids))
                    number += 1
    return Tile(bands, blocks, precincts)


def order(precincts: list[Precinct], layers: int, progression: int) -> list[list[int]]:
    """The packets in the order in which they come: of each its precinct and its layer."""
    assert progression < 5, "ImageDecoder: a JPEG 2000 in no known order"
    rows = [[p.resolution, p.component, p.number, p.x, p.y] for p in precincts]
    table = torch.tensor(rows).reshape([-1, 5]).repeat([layers, 1])
    layer = torch.arange(layers).repeat_interleave(len(precincts)).unsqueeze(1)
    table = torch.cat([layer, table, torch.arange(len(precincts)).repeat(layers).unsqueeze(1)], 1)
    # layer 0, resolution 1, component 2, number 3, x 4, y 5: what counts most comes first
    keys = [[0, 1, 2, 3], [1, 0, 2, 3], [1, 5, 4, 2, 0], [5, 4, 2, 1, 0], [2, 5, 4, 1, 0]][progression]
    for i in range(len(keys)):
        column = table[:, keys[len(keys) - 1 - i]]
        table = table[torch.argsort(column, stable=True)]
    found: list[list[int]] = torch.stack([table[:, 6], table[:, 0]], 1).tolist()
    return found
