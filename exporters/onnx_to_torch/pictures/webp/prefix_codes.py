"""Bits and prefix codes of the lossless form (RFC 9649, section 3.7.2); the data end in some bytes more than are used.

`place` is a list of one number, the bit to be read next.
"""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.codes import Code


def window(data: list[int], at: int) -> int:
    """At least 17 bits from bit `at` on, the first one the lowest."""
    byte = at >> 3
    assert byte + 2 < len(data), "ImageDecoder: a WebP that ends too early"
    return (data[byte] | (data[byte + 1] << 8) | (data[byte + 2] << 16)) >> (at & 7)


def number(data: list[int], place: list[int], bits: int) -> int:
    """The next number of up to 17 bits."""
    value = window(data, place[0]) & ((1 << bits) - 1)
    place[0] += bits
    return value


def made(lengths: list[int]) -> Code:
    """The code whose symbols have codes of these lengths, 0 where a symbol does not come."""
    counts = [0] * 16
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    symbols: list[int] = []
    short = [-1] * 256
    code, room = 0, 0
    for length in range(1, 16):
        code <<= 1
        room = 2 * room + counts[length]
        if counts[length] == 0:
            continue
        for symbol, own in enumerate(lengths):
            if own == length:
                symbols.append(symbol)
                if length <= 8 and code < 1 << length:
                    turned = 0
                    for i in range(length):
                        turned |= ((code >> i) & 1) << (length - 1 - i)
                    for i in range(turned, 256, 1 << length):
                        short[i] = 16 * symbol + length
                code += 1
    assert room == 1 << 15 or len(symbols) == 1, "ImageDecoder: a WebP with a broken code"
    if len(symbols) == 1:  # no bit is needed to tell it
        short = [16 * symbols[0]] * 256
    return Code(counts, symbols, short)


def symbol(data: list[int], place: list[int], code: Code) -> int:
    """The next symbol."""
    bits = window(data, place[0])
    short = code.short[bits & 255]
    if short >= 0:
        place[0] += short & 15
        return short >> 4
    own, first, index = 0, 0, 0
    for length in range(1, 16):
        own |= (bits >> (length - 1)) & 1
        count = code.counts[length]
        if own - first < count:
            place[0] += length
            return code.symbols[index + own - first]
        index += count
        first = (first + count) << 1
        own <<= 1
    raise AssertionError("ImageDecoder: a WebP with a broken code")


def _repeated(data: list[int], place: list[int], code: Code, size: int) -> list[int]:
    """The lengths of the codes of `size` symbols, coded themselves."""
    many = size
    if number(data, place, 1) == 1:
        many = 2 + number(data, place, 2 + 2 * number(data, place, 3))
    lengths: list[int] = []
    last = 8
    while len(lengths) < size and many > 0:
        many -= 1
        found = symbol(data, place, code)
        if found < 16:
            lengths.append(found)
            last = found if found > 0 else last
        else:
            times = [3, 3, 11][found - 16] + number(data, place, [2, 3, 7][found - 16])
            lengths += [last if found == 16 else 0] * times
    assert len(lengths) <= size, "ImageDecoder: a WebP with a broken code"
    return lengths + [0] * (size - len(lengths))


def read(data: list[int], place: list[int], size: int) -> Code:
    """The next code, of `size` symbols."""
    lengths = [0] * size
    if number(data, place, 1) == 1:  # of one or two symbols
        two, bits = number(data, place, 1), 1 + 7 * number(data, place, 1)
        for _ in range(1 + two):
            own = number(data, place, bits)
            assert own < size, "ImageDecoder: a WebP with a broken code"
            lengths[own] = 1
            bits = 8
    else:
        order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        first = [0] * 19
        for i in range(4 + number(data, place, 4)):
            first[order[i]] = number(data, place, 3)
        lengths = _repeated(data, place, made(first), size)
    return made(lengths)
