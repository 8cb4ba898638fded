"""Baseline JPEG, byte for byte as libjpeg-turbo decodes it: its integer transform and its smooth upsampling."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.pictures.bits import big_endian, high_bits, symbol


def _half(rows: list[Tensor], shift: int) -> list[Tensor]:
    """The inverse cosine transform of eight values, in fixed point of 13 bits, rounded by `shift` bits."""
    z1 = (rows[2] + rows[6]) * 4433
    t2, t3 = z1 - rows[6] * 15137, z1 + rows[2] * 6270
    t0, t1 = (rows[0] + rows[4]) << 13, (rows[0] - rows[4]) << 13
    even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3]
    o0, o1, o2, o3 = rows[7], rows[5], rows[3], rows[1]
    z5 = (o0 + o2 + o1 + o3) * 9633
    z3, z4 = (o0 + o2) * -16069 + z5, (o1 + o3) * -3196 + z5
    z1, z2 = (o0 + o3) * -7373, (o1 + o2) * -20995
    odd = [o3 * 12299 + z1 + z4, o2 * 25172 + z2 + z3, o1 * 16819 + z2 + z4, o0 * 2446 + z1 + z3]
    half = 1 << (shift - 1)
    first = [(even[i] + odd[i] + half) >> shift for i in range(4)]
    return first + [(even[3 - i] - odd[3 - i] + half) >> shift for i in range(4)]


def _pixels(blocks: Tensor) -> Tensor:
    """Dequantised blocks (count, 8, 8) as pixels from 0 to 255."""
    columns = torch.stack(_half(list(blocks.unbind(1)), 11), 1)
    rows = torch.stack(_half(list(columns.unbind(2)), 18), 2)
    return torch.clamp(rows + 128, 0, 255)


def _smoothed(near: Tensor, axis: int, first: int, second: int, shift: int) -> Tensor:
    """Twice as many elements along an axis: three parts of the nearer and one of the farther neighbour.

    `first` and `second` round the two elements that each one becomes; at both ends an element is its own neighbour.
    """
    size = near.shape[axis]
    before = torch.cat([near.narrow(axis, 0, 1), near.narrow(axis, 0, size - 1)], axis)
    after = torch.cat([near.narrow(axis, 1, size - 1), near.narrow(axis, size - 1, 1)], axis)
    left, right = (3 * near + before + first) >> shift, (3 * near + after + second) >> shift
    return torch.stack([left, right], axis + 1).flatten(axis, axis + 1)


def _upsampled(plane: Tensor, across: int, down: int) -> Tensor:
    """A plane with `across` and `down` times as many columns and rows."""
    if across == 2 and down == 2:
        size = plane.shape[0]
        above = torch.cat([plane[:1], plane[: size - 1]], 0)
        below = torch.cat([plane[1:], plane[size - 1 :]], 0)
        sums = torch.stack([3 * plane + above, 3 * plane + below], 1).flatten(0, 1)
        return _smoothed(sums, 1, 8, 7, 4)
    if across == 2 and down == 1:
        return _smoothed(plane, 1, 1, 2, 2)
    if across == 1 and down == 2:
        return _smoothed(plane, 0, 1, 2, 2)
    return plane.repeat_interleave(down, 0).repeat_interleave(across, 1)


def _scan(data: list[int], at: int) -> list[list[int]]:
    """The stretches of coded data between restart markers, without the zeros stuffed into them."""
    parts: list[list[int]] = []
    part: list[int] = []
    while at + 1 < len(data):
        if data[at] != 255:
            part.append(data[at])
            at += 1
        elif data[at + 1] == 0:
            part.append(255)
            at += 2
        elif data[at + 1] >= 208 and data[at + 1] <= 215:
            parts.append(part)
            part = []
            at += 2
        else:
            break
    parts.append(part)
    return parts


def _value(data: list[int], place: list[int], size: int) -> int:
    """A number of `size` bits, the small ones of which are negative."""
    value = high_bits(data, place, size)
    return value - (1 << size) + 1 if size > 0 and value < (1 << (size - 1)) else value


def _zigzag() -> list[int]:
    """Where in a block each coefficient goes, in the order in which they are coded."""
    order: list[int] = []
    for diagonal in range(15):
        for step in range(diagonal + 1):
            row = diagonal - step if diagonal % 2 == 0 else step
            column = diagonal - row
            if row < 8 and column < 8:
                order.append(8 * row + column)
    return order


def _read_quantities(data: list[int], place: int, end: int, found: dict[int, list[int]]) -> None:
    order = _zigzag()
    while place < end:
        wide = 2 if data[place] > 15 else 1
        table = [0] * 64
        for i in range(64):
            table[order[i]] = big_endian(data, place + 1 + wide * i, wide)
        found[data[place] & 15] = table
        place += 1 + 64 * wide


def _read_codes(data: list[int], place: int, end: int, found: dict[int, list[list[int]]]) -> None:
    """Per code, how many symbols there are of each length, and the symbols."""
    while place < end:
        counts = [0] + data[place + 1 : place + 17]  # noqa: RUF005 - TorchScript
        many = sum(counts)
        found[data[place]] = [counts, data[place + 17 : place + 17 + many]]
        place += 17 + many


def _read_components(data: list[int], place: int) -> list[list[int]]:
    """Per component of the frame: its name, how densely it lies across and down, its table, and room for two codes."""
    found: list[list[int]] = []
    for i in range(data[place + 5]):
        own = data[place + 6 + 3 * i : place + 9 + 3 * i]
        found.append([own[0], own[1] >> 4, own[1] & 15, own[2], 0, 0])
    return found


def _read_scan(data: list[int], place: int, components: list[list[int]]) -> None:
    """The codes that each component uses: one for the first coefficient of a block, one for the others."""
    for i in range(data[place]):
        codes = data[place + 2 + 2 * i]
        for component in components:
            if component[0] == data[place + 1 + 2 * i]:
                component[4], component[5] = codes >> 4, 16 + (codes & 15)


def _block(data: list[int], bit: list[int], first: list[list[int]], rest: list[list[int]], last: int) -> list[int]:
    """The 64 coefficients of the next block; `last` is the first coefficient of the one before."""
    order = _zigzag()
    block = [0] * 64
    block[0] = last + _value(data, bit, symbol(data, bit, first[0], first[1], True))
    k = 1
    while k < 64:
        found = symbol(data, bit, rest[0], rest[1], True)
        size = found & 15
        if size == 0 and found != 240:
            break
        k += found >> 4
        if size > 0:
            block[order[k]] = _value(data, bit, size)
        k += 1
    return block


def _coefficients(
    parts: list[list[int]],
    components: list[list[int]],
    codes: dict[int, list[list[int]]],
    columns: int,
    rows: int,
    interval: int,
) -> list[list[list[int]]]:
    """Per component its blocks, unit by unit: a unit holds a component's blocks row by row."""
    blocks: list[list[list[int]]] = []
    for _ in components:
        empty: list[list[int]] = []
        blocks.append(empty)
    part, bit, last = 0, [0], [0] * len(components)
    for unit in range(columns * rows):
        if interval > 0 and unit > 0 and unit % interval == 0:
            part, bit, last = part + 1, [0], [0] * len(components)
        for c, component in enumerate(components):
            for _ in range(component[1] * component[2]):
                block = _block(parts[part], bit, codes[component[4]], codes[component[5]], last[c])
                last[c] = block[0]
                blocks[c].append(block)
    return blocks


def _colours(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """Red, green and blue out of brightness and two differences, in fixed point of 16 bits."""
    r = luma + ((91881 * red + 32768) >> 16)
    g = luma + ((-22554 * blue + 32768 - 46802 * red) >> 16)
    b = luma + ((116130 * blue + 32768) >> 16)
    return torch.clamp(torch.stack([r, g, b], -1), 0, 255).to(torch.uint8)


def decode(data: list[int]) -> Tensor:
    """(height, width, 1 or 3) in RGB of a baseline JPEG."""
    quantities: dict[int, list[int]] = {}
    codes: dict[int, list[list[int]]] = {}
    components: list[list[int]] = []
    height, width, interval, at, marker = 0, 0, 0, 2, 0
    while marker != 218:
        marker, place = data[at + 1], at + 4
        at += 2 + big_endian(data, at + 2, 2)
        if marker == 219:
            _read_quantities(data, place, at, quantities)
        elif marker == 196:
            _read_codes(data, place, at, codes)
        elif marker == 221:
            interval = big_endian(data, place, 2)
        elif marker == 218:
            _read_scan(data, place, components)
        elif marker >= 192 and marker <= 207:
            assert marker < 194, "ImageDecoder: a JPEG that is not baseline"
            height, width = big_endian(data, place + 1, 2), big_endian(data, place + 3, 2)
            components = _read_components(data, place)
    across = max([component[1] for component in components])
    down = max([component[2] for component in components])
    columns, rows = (width + 8 * across - 1) // (8 * across), (height + 8 * down - 1) // (8 * down)
    blocks = _coefficients(_scan(data, at), components, codes, columns, rows, interval)
    planes: list[Tensor] = []
    for c, component in enumerate(components):
        h, v = component[1], component[2]
        table = torch.tensor(quantities[component[3]]).reshape([1, 8, 8])
        pixels = _pixels(torch.tensor(blocks[c]).reshape([-1, 8, 8]) * table)
        plane = pixels.reshape([rows, columns, v, h, 8, 8]).permute([0, 2, 4, 1, 3, 5]).reshape([8 * rows * v, -1])
        plane = plane[: (height * v + down - 1) // down, : (width * h + across - 1) // across]
        planes.append(_upsampled(plane, across // h, down // v)[:height, :width])
    if len(planes) == 1:
        return planes[0].to(torch.uint8).unsqueeze(-1)
    assert len(planes) == 3, "ImageDecoder: a JPEG of neither one nor three colours"
    return _colours(planes[0], planes[1] - 128, planes[2] - 128)
