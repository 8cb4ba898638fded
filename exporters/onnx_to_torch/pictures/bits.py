"""Numbers of several bytes; and, as DEFLATE has them, single bits and Huffman codes.

`place` is a list of one number, the bit to be read next.
"""

from __future__ import annotations


def low_bits(data: list[int], place: list[int], count: int) -> int:
    """The next `count` bits, the lowest of a byte first."""
    value = 0
    for i in range(count):
        at = place[0]
        assert at >> 3 < len(data), "ImageDecoder: a file that ends too early"
        value |= ((data[at >> 3] >> (at & 7)) & 1) << i
        place[0] = at + 1
    return value


def symbol(data: list[int], place: list[int], counts: list[int], symbols: list[int]) -> int:
    """The next symbol of a canonical Huffman code: `counts` says how many codes there are of each length."""
    code, first, index = 0, 0, 0
    for length in range(1, len(counts)):
        code |= low_bits(data, place, 1)
        count = counts[length]
        if code - first < count:
            return symbols[index + code - first]
        index += count
        first = (first + count) << 1
        code <<= 1
    raise AssertionError("ImageDecoder: a broken Huffman code")


def big_endian(data: list[int], at: int, count: int) -> int:
    assert at >= 0 and at + count <= len(data), "ImageDecoder: a file that ends too early"
    value = 0
    for i in range(count):
        value = (value << 8) | data[at + i]
    return value


def little_endian(data: list[int], at: int, count: int) -> int:
    assert at >= 0 and at + count <= len(data), "ImageDecoder: a file that ends too early"
    value = 0
    for i in range(count):
        value |= data[at + i] << (8 * i)
    return value
