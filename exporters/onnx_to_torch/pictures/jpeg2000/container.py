"""The boxes of a JP2 file, and the tiles of the codestream in it (annexes A and I)."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import big_endian
from exporters.onnx_to_torch.pictures.jpeg2000 import markers, tiles
from exporters.onnx_to_torch.pictures.jpeg2000.records import Coding, Frame, Quantities, Rules


def _codestream(data: list[int], at: int, end: int) -> int:
    """Where the codestream starts among the boxes from `at` to before `end`; -1 if it is in none of them."""
    while at + 8 <= end:
        size, kind, start = big_endian(data, at, 4), big_endian(data, at + 4, 4), at + 8
        if size == 1:
            size, start = big_endian(data, at + 8, 8), at + 16
        if kind == 0x6A703263:  # "jp2c"
            return start
        assert kind != 0x70636C72, "ImageDecoder: a JPEG 2000 with a palette"  # "pclr"
        if kind == 0x6A703268:  # "jp2h", which holds boxes
            size = start - at
        if kind == 0x636F6C72 and data[start] == 1:  # "colr"
            colours = big_endian(data, start + 3, 4)
            assert colours == 16 or colours == 17, "ImageDecoder: a JPEG 2000 that is neither grey nor RGB"
        assert size >= 8, "ImageDecoder: a JPEG 2000 with a broken box"
        at += size
    return -1


def _segments(data: list[int], at: int, until: int) -> tuple[list[list[int]], int]:
    """The segments of a header up to the marker `until`: marker, first byte and end of each; where that marker is."""
    found: list[list[int]] = []
    while big_endian(data, at, 2) != until:
        size = big_endian(data, at + 2, 2)
        marker = big_endian(data, at, 2)
        assert size >= 2 and marker > 0xFF4F, "ImageDecoder: a JPEG 2000 with a broken header"
        found.append([marker, at + 4, at + 2 + size])
        at += 2 + size
    return found, at


def _area(frame: Frame, across: int, number: int) -> list[int]:
    """Left, top, right and bottom of a tile."""
    x = frame.tile_left + number % across * frame.tile_width
    y = frame.tile_top + number // across * frame.tile_height
    return [
        max(x, frame.left),
        max(y, frame.top),
        min(x + frame.tile_width, frame.right),
        min(y + frame.tile_height, frame.bottom),
    ]


def decode(data: list[int]) -> Tensor:
    """(height, width, components) of a JP2 file or of a bare codestream."""
    at = 0 if data[0] == 255 else _codestream(data, 0, len(data))
    assert at >= 0 and big_endian(data, at, 4) == 0xFF4FFF51, "ImageDecoder: a JPEG 2000 without a codestream"
    frame = markers.read_frame(data, at + 6)
    components = len(frame.depths)
    segments, at = _segments(data, at + 2, 0xFF90)
    no_codings: list[Coding] = []
    no_quantities: list[Quantities] = []
    rules = markers.read_rules(
        data, segments, Rules(0, 0, False, no_codings, no_quantities, [0] * components), components
    )
    across = (frame.right - frame.tile_left + frame.tile_width - 1) // frame.tile_width
    down = (frame.bottom - frame.tile_top + frame.tile_height - 1) // frame.tile_height
    own: dict[int, Rules] = {}
    bodies: dict[int, list[int]] = {}
    while at + 12 <= len(data) and big_endian(data, at, 2) == 0xFF90:
        number, size = big_endian(data, at + 4, 2), big_endian(data, at + 6, 4)
        assert number < across * down, "ImageDecoder: a JPEG 2000 with more tiles than it has room for"
        end = len(data) - 2 if size == 0 else at + size
        segments, start = _segments(data, at + 12, 0xFF93)
        assert start + 2 <= end <= len(data), "ImageDecoder: a JPEG 2000 that ends too early"
        if number not in own:
            own[number] = rules
            nothing: list[int] = []
            bodies[number] = nothing
        own[number] = markers.read_rules(data, segments, own[number], components)
        bodies[number].extend(data[start + 2 : end])
        at = end
    assert len(own) == across * down, "ImageDecoder: a JPEG 2000 that ends too early"
    image = torch.zeros([frame.bottom - frame.top, frame.right - frame.left, components], dtype=torch.uint8)
    for number in range(across * down):
        area = _area(frame, across, number)
        tile = tiles.decode(bodies[number], area, own[number], frame.depths)
        image[area[1] - frame.top : area[3] - frame.top, area[0] - frame.left : area[2] - frame.left] = tile
    return image
