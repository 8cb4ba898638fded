"""The segments of a JPEG that say how it is coded (ITU-T T.81, annex B)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.bits import big_endian
from exporters.onnx_to_torch.pictures.codes import Code
from exporters.onnx_to_torch.pictures.jpeg import huffman
from exporters.onnx_to_torch.pictures.jpeg.records import Component, Frame, Scan
from exporters.onnx_to_torch.pictures.jpeg.scans import zigzag


def read_quantities(data: list[int], place: int, end: int, found: dict[int, list[int]]) -> None:
    """What each coefficient is multiplied by, per table."""
    order = zigzag()
    while place < end:
        wide = 2 if data[place] > 15 else 1
        table = [0] * 64
        for i in range(64):
            table[order[i]] = big_endian(data, place + 1 + wide * i, wide)
        found[data[place] & 15] = table
        place += 1 + 64 * wide


def read_codes(data: list[int], place: int, end: int, found: dict[int, Code]) -> None:
    while place < end:
        counts = data[place + 1 : place + 17]
        many = sum(counts)
        assert place + 17 + many <= end, "ImageDecoder: a broken Huffman code"
        found[data[place]] = huffman.made(counts, data[place + 17 : place + 17 + many])
        place += 17 + many


def read_frame(data: list[int], place: int, progressive: bool) -> Frame:
    assert data[place] == 8, "ImageDecoder: a JPEG of other than eight bits"
    height, width, many = big_endian(data, place + 1, 2), big_endian(data, place + 3, 2), data[place + 5]
    assert width > 0 and height > 0, "ImageDecoder: a JPEG without pixels"
    assert many == 1 or many == 3, "ImageDecoder: a JPEG of neither one nor three colours"
    sizes = [big_endian(data, place + 7 + 3 * i, 1) for i in range(many)]
    across, down = max([size >> 4 for size in sizes]), max([size & 15 for size in sizes])
    for size in sizes:
        fits = size >> 4 > 0 and size & 15 > 0 and across % max(size >> 4, 1) == 0 and down % max(size & 15, 1) == 0
        assert fits, "ImageDecoder: a JPEG with a colour in a grid that is no even part of another"
    units, lines = (width + 8 * across - 1) // (8 * across), (height + 8 * down - 1) // (8 * down)
    components: list[Component] = []
    for i in range(many):
        h, v = sizes[i] >> 4, sizes[i] & 15
        columns, rows = (width * h + 8 * across - 1) // (8 * across), (height * v + 8 * down - 1) // (8 * down)
        coefficients = [0] * (64 * units * h * lines * v)
        name, table = data[place + 6 + 3 * i], big_endian(data, place + 8 + 3 * i, 1)
        components.append(Component(name, h, v, table, columns, rows, units * h, coefficients, [0]))
    return Frame(width, height, progressive, across, down, units, lines, components)


def read_scan(data: list[int], place: int, end: int, frame: Frame, interval: int, codes: dict[int, Code]) -> Scan:
    many = big_endian(data, place, 1)
    assert many > 0 and place + 4 + 2 * many <= end, "ImageDecoder: a JPEG with a broken scan"
    rest = place + 1 + 2 * many
    first, last, low, finer = 0, 63, 0, False
    if frame.progressive:
        first, last, low, finer = data[rest], data[rest + 1], data[rest + 2] & 15, data[rest + 2] > 15
    fits = last < 64 and first <= last and low < 14 and (first == 0 or many == 1) and (first > 0 or last == 0)
    assert fits or not frame.progressive, "ImageDecoder: a JPEG with a broken scan"
    components: list[int] = []
    own: list[list[int]] = []
    for i in range(many):
        for j, component in enumerate(frame.components):
            if component.name == data[place + 1 + 2 * i]:
                both = data[place + 2 + 2 * i]
                components.append(j)
                own.append([both >> 4, 16 + (both & 15)])
                needed = (first > 0 or finer or both >> 4 in codes) and (last == 0 or 16 + (both & 15) in codes)
                assert needed, "ImageDecoder: a JPEG without a code that it uses"
    assert len(components) == many, "ImageDecoder: a JPEG with a broken scan"
    return Scan(components, own, first, last, finer, low, interval)
