"""A tile of a JPEG 2000: its packets read, its bands decoded, its resolutions joined, its colours unmixed."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.jpeg2000 import arithmetic, bit_planes, layout, packets, wavelets
from exporters.onnx_to_torch.pictures.jpeg2000.records import Rules, Tile


def _bands(tile: Tile, rules: Rules) -> list[Tensor]:
    """The coefficients of each band: whole numbers if its component is reversible, else floats."""
    codings = rules.codings
    own, table = bit_planes.contexts_by_kind(), arithmetic.states()
    found = [
        torch.zeros([max(band.bottom - band.top, 0), max(band.right - band.left, 0)], dtype=torch.int64)
        for band in tile.bands
    ]
    for block in tile.blocks:
        if len(block.passes) > 0:
            band = tile.bands[block.band]
            shift, style = rules.shifts[band.component], codings[band.component].style
            # OpenJPEG and the standard differ there
            assert shift == 0 or style & 1 == 0, "ImageDecoder: a JPEG 2000 with a region and bits as they are"
            planes = band.planes + shift - block.state[1]
            assert planes < 32, "ImageDecoder: a JPEG 2000 of more than 31 planes of bits"
            width, height = block.right - block.left, block.bottom - block.top
            sizes, signs = bit_planes.block(
                block.coded, block.passes, width, height, planes, style, own[band.kind], table
            )
            coded = torch.tensor(sizes)
            if shift > 0:
                coded = torch.where(coded >= 1 << shift, coded >> shift, coded)
            twice = (coded * torch.tensor(signs)).reshape([height + 2, width + 2])
            x, y = block.left - band.left, block.top - band.top
            found[block.band][y : y + height, x : x + width] = twice[1 : height + 1, 1 : width + 1]
    for i, band in enumerate(tile.bands):
        if codings[band.component].reversible:
            found[i] = torch.div(found[i], 2, rounding_mode="trunc")
        else:
            found[i] = found[i].to(torch.float32) * (torch.tensor(band.step, dtype=torch.float32) * 0.5)
    return found


def _unmixed(planes: list[Tensor]) -> list[Tensor]:
    """Red, green and blue out of brightness and two differences; other components stay (annex G)."""
    y, blue, red = planes[0], planes[1], planes[2]
    if y.is_floating_point():
        first = [y + red * 1.402, y - blue * 0.34413 - red * 0.71414, y + blue * 1.772]
    else:
        green = y - ((blue + red) >> 2)
        first = [red + green, green, blue + green]
    return first + planes[3:]


def decode(data: list[int], area: list[int], rules: Rules, depths: list[int]) -> Tensor:
    """(height, width, components) of a tile of this area, out of the data of its packets."""
    tile = layout.tile(area, rules, depths)
    assert rules.layers * len(tile.precincts) <= len(data), "ImageDecoder: a JPEG 2000 that ends too early"
    at = 0
    for packet in layout.order(tile.precincts, rules.layers, rules.order):
        precinct = tile.precincts[packet[0]]
        style = rules.codings[precinct.component].style
        at = packets.read_packet(data, at, precinct, packet[1], style, tile.blocks)
    bands = _bands(tile, rules)
    planes: list[Tensor] = []
    first = 0
    for component in range(len(depths)):
        coding = rules.codings[component]
        plane = bands[first]
        for resolution in range(1, coding.levels + 1):
            bits = coding.levels - resolution
            left, top = layout.ceiling(area[0], bits), layout.ceiling(area[1], bits)
            three = bands[first + 3 * resolution - 2 : first + 3 * resolution + 1]
            plane = wavelets.joined([plane] + three, left, top, coding.reversible)  # noqa: RUF005 - TorchScript
        planes.append(plane)
        first += 3 * coding.levels + 1
    if rules.mixed and len(planes) > 2:
        planes = _unmixed(planes)
    bytes_ = [torch.clamp(torch.round(plane).to(torch.int64) + 128, 0, 255).to(torch.uint8) for plane in planes]
    return torch.stack(bytes_, -1)
