"""The headers of a JPEG 2000 codestream (annex A)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.bits import big_endian
from exporters.onnx_to_torch.pictures.jpeg2000.records import Coding, Frame, Quantities, Rules


def read_frame(data: list[int], at: int) -> Frame:
    """Marker SIZ, whose contents start at `at`."""
    numbers = [big_endian(data, at + 2 + 4 * i, 4) for i in range(8)]
    depths: list[int] = []
    assert at + 36 + 3 * big_endian(data, at + 34, 2) <= len(data), "ImageDecoder: a JPEG 2000 that ends too early"
    for i in range(big_endian(data, at + 34, 2)):
        own = data[at + 36 + 3 * i : at + 39 + 3 * i]
        assert own[0] == 7, "ImageDecoder: a JPEG 2000 of other than eight bits without sign"
        assert own[1] == 1 and own[2] == 1, "ImageDecoder: a JPEG 2000 with components of a coarser grid"
        depths.append(own[0] + 1)
    right, bottom, left, top, wide, high = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    assert right > left and bottom > top, "ImageDecoder: a JPEG 2000 without pixels"
    assert (right - left) * (bottom - top) <= 1 << 28, "ImageDecoder: a JPEG 2000 of more than 268435456 pixels"
    fits = numbers[6] <= left and numbers[7] <= top and numbers[6] + wide > left and numbers[7] + high > top
    assert fits, "ImageDecoder: a JPEG 2000 whose tiles are not where its picture is"
    assert len(depths) > 0 and len(depths) < 5, "ImageDecoder: a JPEG 2000 of other than 1 to 4 components"
    return Frame(left, top, right, bottom, numbers[6], numbers[7], wide, high, depths)


def _coding(data: list[int], at: int, has_precincts: bool) -> Coding:
    levels, style = data[at], data[at + 3]
    assert levels <= 32, "ImageDecoder: a JPEG 2000 of more than 32 levels"
    assert style & 64 == 0, "ImageDecoder: a JPEG 2000 of high throughput"
    width, height = data[at + 1] + 2, data[at + 2] + 2
    assert width <= 10 and height <= 10 and width + height <= 12, "ImageDecoder: a JPEG 2000 of large blocks"
    precincts = [[15, 15]] * (levels + 1)
    if has_precincts:
        precincts = [[data[at + 5 + i] & 15, data[at + 5 + i] >> 4] for i in range(levels + 1)]
    return Coding(levels, width, height, style, data[at + 4] == 1, precincts)


def _quantities(data: list[int], at: int, end: int) -> Quantities:
    kind, guard = data[at] & 31, data[at] >> 5
    exponents: list[int] = []
    mantissas: list[int] = []
    if kind == 0:
        for i in range(at + 1, end):
            exponents.append(data[i] >> 3)
            mantissas.append(0)
    elif kind == 2:
        for i in range((end - at - 1) // 2):
            both = big_endian(data, at + 1 + 2 * i, 2)
            exponents.append(both >> 11)
            mantissas.append(both & 2047)
    else:  # one for all, of which the others are derived
        assert kind == 1, "ImageDecoder: a JPEG 2000 quantised in no known way"
        both = big_endian(data, at + 1, 2)
        for i in range(97):
            exponents.append(max((both >> 11) - max(i - 1, 0) // 3, 0))
            mantissas.append(both & 2047)
    return Quantities(guard, exponents, mantissas)


def read_rules(data: list[int], segments: list[list[int]], before: Rules, components: int) -> Rules:
    """The rules `before`, changed by a header's segments: marker, first byte and end of each."""
    order, layers, mixed = before.order, before.layers, before.mixed
    codings, quantities, shifts = before.codings, before.quantities, before.shifts.copy()
    for segment in segments:  # what holds for all components
        at = segment[1]
        if segment[0] == 0xFF52:  # COD
            order, layers, mixed = data[at + 1], big_endian(data, at + 2, 2), data[at + 4] == 1
            codings = [_coding(data, at + 5, data[at] & 1 == 1)] * components
        elif segment[0] == 0xFF5C:  # QCD
            quantities = [_quantities(data, at, segment[2])] * components
        refused = segment[0] == 0xFF5F or segment[0] == 0xFF60 or segment[0] == 0xFF61
        assert not refused, "ImageDecoder: a JPEG 2000 that changes its order or collects its packets' headers"
    for segment in segments:  # what holds for one of them
        at = segment[1]
        if segment[0] == 0xFF53:  # COC
            assert data[at] < components, "ImageDecoder: a JPEG 2000 with a rule for no component"
            codings = codings.copy()
            codings[data[at]] = _coding(data, at + 2, data[at + 1] & 1 == 1)
        elif segment[0] == 0xFF5D:  # QCC
            assert data[at] < components, "ImageDecoder: a JPEG 2000 with a rule for no component"
            quantities = quantities.copy()
            quantities[data[at]] = _quantities(data, at + 1, segment[2])
        elif segment[0] == 0xFF5E:  # RGN
            assert data[at] < components and data[at + 2] < 32, "ImageDecoder: a JPEG 2000 with a broken region"
            shifts[data[at]] = data[at + 2]
    assert len(codings) > 0 and len(quantities) > 0, "ImageDecoder: a JPEG 2000 without its rules"
    return Rules(order, layers, mixed, codings, quantities, shifts)
