"""An image of the lossless form, a number of 32 bits per pixel: alpha, red, green, blue (RFC 9649, section 3.6)."""

from __future__ import annotations

from exporters.onnx_to_torch.pictures.codes import Code
from exporters.onnx_to_torch.pictures.webp.prefix_codes import number, read, symbol
from exporters.onnx_to_torch.pictures.webp.records import Coded


def _near() -> list[int]:
    """What the 120 shortest distances are: 16 times the rows up, plus 8, less the columns to the left."""
    text = """
        24 7 23 25 40 6 39 41 22 26 38 42 56 5 55 57 21 27 54 58 37 43 72 4 71 73 20 28 53 59 70 74 36 44 88 69 75 52
        60 3 87 89 19 29 86 90 35 45 68 76 85 91 51 61 104 2 103 105 18 30 102 106 34 46 84 92 67 77 101 107 50 62 120
        1 119 121 83 93 17 31 100 108 66 78 118 122 33 47 117 123 49 63 99 109 82 94 0 116 124 65 79 16 32 98 110 48
        115 125 81 95 64 114 126 97 111 80 113 127 96 112
        """
    return [int(word) for word in text.split()]


def read_cache(data: list[int], place: list[int]) -> int:
    """How many bits the index of a cached colour has, 0 where none are cached."""
    if number(data, place, 1) == 0:
        return 0
    bits = number(data, place, 4)
    assert bits > 0 and bits < 12, "ImageDecoder: a WebP with a broken cache"
    return bits


def read_codes(data: list[int], place: list[int], cache: int, groups: int) -> list[Code]:
    """Per group five codes: of green, lengths and cached colours; of red; of blue; of alpha; of distances."""
    codes: list[Code] = []
    for _ in range(groups):
        for size in [280 + ((1 << cache) if cache > 0 else 0), 256, 256, 256, 40]:
            codes.append(read(data, place, size))  # noqa: PERF401 - the order of reading, plainly
    return codes


def _long(data: list[int], place: list[int], prefix: int) -> int:
    """A length or distance."""
    if prefix < 4:
        return prefix + 1
    more = (prefix - 2) >> 1
    return ((2 + (prefix & 1)) << more) + number(data, place, more) + 1


def _distance(code: int, width: int, near: list[int]) -> int:
    """How many pixels back a distance lies."""
    if code > 120:
        return code - 120
    return max((near[code - 1] >> 4) * width + 8 - (near[code - 1] & 15), 1)


def read_pixels(data: list[int], place: list[int], width: int, height: int, coded: Coded) -> list[int]:
    """The pixels of an image, row by row."""
    out: list[int] = []
    near, shifts = _near(), [16, 0, 24]
    cached = [0] * (1 << coded.cache)
    across = (width + (1 << coded.bits) - 1) >> coded.bits
    done = 0  # so many pixels have gone into the cache
    while len(out) < width * height:
        at = len(out)
        first = 0
        if len(coded.groups) > 0:
            first = 5 * coded.groups[((at // width) >> coded.bits) * across + ((at % width) >> coded.bits)]
        green = symbol(data, place, coded.codes[first])
        if green < 256:
            pixel = green << 8
            for i in range(3):
                pixel |= symbol(data, place, coded.codes[first + 1 + i]) << shifts[i]
            out.append(pixel)
        elif green < 280:
            length = _long(data, place, green - 256)
            distance = _distance(_long(data, place, symbol(data, place, coded.codes[first + 4])), width, near)
            fits = distance <= at and at + length <= width * height
            assert fits, "ImageDecoder: a WebP that repeats what it has not"
            for i in range(length):
                out.append(out[at + i - distance])
        else:
            out.append(cached[green - 280])
        while coded.cache > 0 and done < len(out):
            cached[((out[done] * 0x1E35A7BD) & 0xFFFFFFFF) >> (32 - coded.cache)] = out[done]
            done += 1
    return out


def read_small(data: list[int], place: list[int], width: int, height: int) -> list[int]:
    """The pixels of an image that says something of another: it has one group of codes."""
    cache = read_cache(data, place)
    none: list[int] = []
    return read_pixels(data, place, width, height, Coded(read_codes(data, place, cache, 1), cache, 0, none))
