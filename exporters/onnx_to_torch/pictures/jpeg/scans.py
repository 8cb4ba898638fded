"""The coefficients of a JPEG, scan by scan (ITU-T T.81, annexes F and G)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.codes import Code
from exporters.onnx_to_torch.pictures.jpeg.huffman import bits, signed, symbol
from exporters.onnx_to_torch.pictures.jpeg.records import Component, Frame, Scan


def parts(data: list[int], at: int) -> tuple[list[list[int]], int]:
    """The stretches of coded data between restart markers, without the zeros stuffed into them, and where they end.

    Each gets some zeros more, since the bits are read by the dozen.
    """
    found: list[list[int]] = [[0] * 0]
    ended = False
    while not ended and at + 1 < len(data):
        after = data[at + 1]
        if data[at] != 255:
            found[len(found) - 1].append(data[at])
            at += 1
        elif after == 0:
            found[len(found) - 1].append(255)
            at += 2
        elif after >= 208 and after <= 215:
            found.append([0] * 0)
            at += 2
        elif after == 255:  # a filler
            at += 1
        else:
            ended = True
    for part in found:
        part.extend([0] * 8)
    return found, at


def zigzag() -> list[int]:
    """Where in a block each coefficient goes, in the order in which they are coded; and once more for broken ones."""
    order: list[int] = []
    for diagonal in range(15):
        for step in range(diagonal + 1):
            row = diagonal - step if diagonal % 2 == 0 else step
            column = diagonal - row
            if row < 8 and column < 8:
                order.append(8 * row + column)
    return order + [63] * 16


def _start(data: list[int], place: list[int], code: Code, component: Component, at: int, low: int) -> None:
    """The first coefficient, as the difference from that of the block before."""
    component.last[0] += signed(data, place, symbol(data, place, code) & 15)
    component.coefficients[at] = component.last[0] << low


def _others(
    data: list[int],
    place: list[int],
    code: Code,
    out: list[int],
    at: int,
    order: list[int],
    scan: Scan,
    ended: list[int],
) -> None:
    """The coefficients after the first one; `ended` counts the blocks to come that have no more."""
    if ended[0] > 0:
        ended[0] -= 1
        return
    k = max(scan.first, 1)
    while k <= scan.end:
        found = symbol(data, place, code)
        size = found & 15
        if size > 0:
            k += found >> 4
            out[at + order[k]] = signed(data, place, size) << scan.low
        elif found == 240:
            k += 15
        else:
            ended[0] = (1 << (found >> 4)) - 1 + bits(data, place, found >> 4)
            return
        k += 1


def _finer(
    data: list[int],
    place: list[int],
    code: Code,
    out: list[int],
    at: int,
    order: list[int],
    scan: Scan,
    ended: list[int],
) -> None:
    """One bit more of those coefficients that are not 0, and new ones that have that bit alone."""
    k = scan.first
    while k <= scan.end:
        fresh, skipped = 0, 64  # after the last new one, all others
        if ended[0] == 0:
            found = symbol(data, place, code)
            skipped = found >> 4
            if found & 15 > 0:
                fresh = (1 if bits(data, place, 1) == 1 else -1) << scan.low
            elif skipped < 15:
                ended[0] = (1 << skipped) + bits(data, place, skipped)
                skipped = 64
        while k <= scan.end:
            where = at + order[k]
            k += 1
            value = out[where]
            if value != 0:
                if bits(data, place, 1) == 1 and value & (1 << scan.low) == 0:
                    out[where] = value + ((1 if value > 0 else -1) << scan.low)
            elif skipped == 0:
                out[where] = fresh
                break
            else:
                skipped -= 1
    if ended[0] > 0:
        ended[0] -= 1


def _block(
    data: list[int],
    place: list[int],
    codes: dict[int, Code],
    component: Component,
    own: list[int],
    at: int,
    order: list[int],
    scan: Scan,
    ended: list[int],
) -> None:
    """What a scan gives of the block whose coefficients start at `at`."""
    if scan.first == 0:
        if scan.finer:
            component.coefficients[at] |= bits(data, place, 1) << scan.low
        else:
            _start(data, place, codes[own[0]], component, at, scan.low)
    if scan.end > 0:
        if scan.finer:
            _finer(data, place, codes[own[1]], component.coefficients, at, order, scan, ended)
        else:
            _others(data, place, codes[own[1]], component.coefficients, at, order, scan, ended)


def read(stretches: list[list[int]], frame: Frame, scan: Scan, codes: dict[int, Code]) -> None:
    """Put what a scan gives into the coefficients of its components."""
    order = zigzag()
    part, place, ended = 0, [0], [0]
    alone = len(scan.components) == 1
    first = frame.components[scan.components[0]]
    for component in frame.components:
        component.last[0] = 0
    units = first.columns if alone else frame.units
    for unit in range(units * (first.rows if alone else frame.lines)):
        if scan.interval > 0 and unit > 0 and unit % scan.interval == 0:
            part, place, ended = part + 1, [0], [0]
            assert part < len(stretches), "ImageDecoder: a JPEG that ends too early"
            for component in frame.components:
                component.last[0] = 0
        for i, index in enumerate(scan.components):
            component = frame.components[index]
            across, down = component.across, component.down
            for j in range(1 if alone else across * down):
                row, column = unit // units, unit % units
                if not alone:
                    row, column = row * down + j // across, column * across + j % across
                at = 64 * (row * component.stride + column)
                _block(stretches[part], place, codes, component, scan.codes[i], at, order, scan, ended)
