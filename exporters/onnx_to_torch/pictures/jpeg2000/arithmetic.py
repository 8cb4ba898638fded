"""The adaptive arithmetic code of JPEG 2000, called MQ (annex C).

Some bits may also be written as they are; a coder that reads them has the last byte for its width.

A `coder` is a list: the width of the interval, the code in it, how many bits are left of the last byte, the place of
that byte. A context is a number: two times its state, and the likelier answer.
"""

from __future__ import annotations


def states() -> list[int]:
    """Per context: how wide the less likely answer is, the context after the likelier and after the other answer.

    They are the 16 lowest and two times 8 bits of one number.
    """
    widths = [0x5601, 0x3401, 0x1801, 0x0AC1, 0x0521, 0x0221, 0x5601, 0x5401, 0x4801, 0x3801, 0x3001, 0x2401, 0x1C01,
              0x1601, 0x5601, 0x5401, 0x5101, 0x4801, 0x3801, 0x3401, 0x3001, 0x2801, 0x2401, 0x2201, 0x1C01, 0x1801,
              0x1601, 0x1401, 0x1201, 0x1101, 0x0AC1, 0x09C1, 0x08A1, 0x0521, 0x0441, 0x02A1, 0x0221, 0x0141, 0x0111,
              0x0085, 0x0049, 0x0025, 0x0015, 0x0009, 0x0005, 0x0001, 0x5601]  # fmt: skip
    likelier = [1, 2, 3, 4, 5, 38, 7, 8, 9, 10, 11, 12, 13, 29] + [i + 1 for i in range(14, 45)] + [45, 46]
    others = [1, 6, 9, 12, 29, 33, 6, 14, 14, 14, 17, 18, 20, 21, 14, 14] + [i - 1 for i in range(16, 19)]
    others += [18, 19] + [i - 2 for i in range(21, 46)] + [46]
    table = [0] * 94
    for i in range(47):
        turn = 1 if i == 0 or i == 6 or i == 14 else 0
        for likely in range(2):
            after, turned = 2 * likelier[i] + likely, 2 * others[i] + (likely ^ turn)
            table[2 * i + likely] = widths[i] | (after << 16) | (turned << 24)
    return table


def fresh() -> list[int]:
    """The 19 contexts at the beginning."""
    return [8] + [0] * 16 + [6, 92]


def started(data: list[int]) -> list[int]:
    """A coder at the beginning of the data."""
    coder = [0x8000, (data[0] if len(data) > 0 else 255) << 16, 0, 0]
    _next_byte(data, coder)
    coder[1] <<= 7
    coder[2] -= 7
    return coder


def _next_byte(data: list[int], coder: list[int]) -> None:
    """Take eight bits more, seven after a byte 255, and ones after the end, which a larger byte than 143 is as well."""
    at = coder[3]
    byte = data[at] if at < len(data) else 255
    after = data[at + 1] if at + 1 < len(data) else 255
    if byte == 255 and after > 143:
        coder[1] += 0xFF00
        coder[2] = 8
        return
    coder[1] += after << (9 if byte == 255 else 8)
    coder[2] = 7 if byte == 255 else 8
    coder[3] = at + 1


def answer(data: list[int], coder: list[int], table: list[int], contexts: list[int], context: int) -> int:
    """The next answer in a context, which changes with it."""
    state = contexts[context]
    entry = table[state]
    less = entry & 0xFFFF
    width = coder[0] - less
    found = state & 1
    if (coder[1] >> 16) < less:
        likely = width < less
        width = less
    else:
        coder[1] -= less << 16
        if width >= 0x8000:
            coder[0] = width
            return found
        likely = width >= less
    if likely:
        contexts[context] = (entry >> 16) & 255
    else:
        contexts[context] = entry >> 24
        found = 1 - found
    while width < 0x8000:
        if coder[2] == 0:
            _next_byte(data, coder)
        width <<= 1
        coder[1] <<= 1
        coder[2] -= 1
    coder[0] = width
    return found


def plain(data: list[int], coder: list[int]) -> int:
    """The next bit of those that are written as they are, seven of them in a byte after 255."""
    if coder[2] == 0:
        at = coder[3]
        byte = data[at] if at < len(data) else 255
        coder[2] = 7 if coder[0] == 255 and byte <= 143 else 8
        if coder[0] != 255 or byte <= 143:
            coder[3] = at + 1
            coder[0] = byte
    coder[2] -= 1
    return (coder[0] >> coder[2]) & 1
