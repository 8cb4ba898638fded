"""Bits and Huffman codes of JPEG; the data end in some bytes more than are used.

`place` is a list of one number, the bit to be read next, the highest of a byte first.
"""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.codes import Code


def made(counts: list[int], symbols: list[int]) -> Code:
    """The code with so many symbols of each length from 1 to 16."""
    short = [-1] * 256
    code, index = 0, 0
    for length in range(1, 17):
        code <<= 1
        for _ in range(counts[length - 1]):
            assert code < 1 << length and index < len(symbols), "ImageDecoder: a broken Huffman code"
            if length <= 8:
                for i in range(code << (8 - length), (code + 1) << (8 - length)):
                    short[i] = 16 * symbols[index] + length
            code += 1
            index += 1
    return Code(counts, symbols, short)


def _window(data: list[int], at: int) -> int:
    """The next 16 bits."""
    byte = at >> 3
    assert byte + 2 < len(data), "ImageDecoder: a JPEG that ends too early"
    return (((data[byte] << 16) | (data[byte + 1] << 8) | data[byte + 2]) >> (8 - (at & 7))) & 0xFFFF


def bits(data: list[int], place: list[int], count: int) -> int:
    """The next number of up to 16 bits."""
    value = _window(data, place[0]) >> (16 - count)
    place[0] += count
    return value


def symbol(data: list[int], place: list[int], code: Code) -> int:
    window = _window(data, place[0])
    short = code.short[window >> 8]
    if short >= 0:
        place[0] += short & 15
        return short >> 4
    first, index = 0, 0
    for length in range(1, 17):
        count = code.counts[length - 1]
        own = (window >> (16 - length)) - first
        if own < count:
            place[0] += length
            return code.symbols[index + own]
        index += count
        first = (first + count) << 1
    raise AssertionError("ImageDecoder: a broken Huffman code")


def signed(data: list[int], place: list[int], size: int) -> int:
    """A number of `size` bits, the small ones of which are negative."""
    if size == 0:
        return 0
    value = bits(data, place, size)
    return value - (1 << size) + 1 if value < (1 << (size - 1)) else value
