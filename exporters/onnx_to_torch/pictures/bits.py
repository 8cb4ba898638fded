"""Reading single bits and Huffman codes; `place` is a list of one number, the bit to be read next."""

from __future__ import annotations


def low_bits(data: list[int], place: list[int], count: int) -> int:
    """The next `count` bits, the lowest of a byte first, as DEFLATE has them."""
    value = 0
    for i in range(count):
        at = place[0]
        value |= ((data[at >> 3] >> (at & 7)) & 1) << i
        place[0] = at + 1
    return value


def high_bits(data: list[int], place: list[int], count: int) -> int:
    """The next `count` bits, the highest of a byte first, as JPEG has them; zeros after the end."""
    value = 0
    for _ in range(count):
        at = place[0]
        bit = (data[at >> 3] >> (7 - (at & 7))) & 1 if (at >> 3) < len(data) else 0
        value = (value << 1) | bit
        place[0] = at + 1
    return value


def symbol(data: list[int], place: list[int], counts: list[int], symbols: list[int], high: bool) -> int:
    """The next symbol of a canonical Huffman code: `counts` says how many codes there are of each length."""
    code, first, index = 0, 0, 0
    for length in range(1, len(counts)):
        code |= high_bits(data, place, 1) if high else low_bits(data, place, 1)
        count = counts[length]
        if code - first < count:
            return symbols[index + code - first]
        index += count
        first = (first + count) << 1
        code <<= 1
    raise AssertionError("ImageDecoder: a broken Huffman code")


def big_endian(data: list[int], at: int, count: int) -> int:
    value = 0
    for i in range(count):
        value = (value << 8) | data[at + i]
    return value


def little_endian(data: list[int], at: int, count: int) -> int:
    value = 0
    for i in range(count):
        value |= data[at + i] << (8 * i)
    return value
