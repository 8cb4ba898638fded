"""The pixels of a VP8 key frame before its edges are smoothed: predicted from their neighbours (RFC 6386, section 12).

A plane is a list with a row above, a column to the left and four to the right of its pixels.
"""

from __future__ import annotations


def _plane(width: int, height: int) -> list[int]:
    """A plane of which only the surroundings are filled: 127 above, 129 to the left."""
    stride = width + 5
    plane = [127] * stride
    line = [0] * stride
    line[0] = 129
    for _ in range(height):
        plane += line
    return plane


def _add(plane: list[int], at: int, guess: int, more: int) -> None:
    plane[at] = min(max(guess + more, 0), 255)


def _mean(plane: list[int], stride: int, at: int, size: int, has_above: bool, has_left: bool) -> int:
    total, count = 0, 0
    if has_above:
        count += size
        for i in range(size):
            total += plane[at - stride + i]
    if has_left:
        count += size
        for i in range(size):
            total += plane[at + stride * i - 1]
    return (total + count // 2) // count if count > 0 else 128


def _fill(
    plane: list[int],
    stride: int,
    at: int,
    size: int,
    mode: int,
    has_above: bool,
    has_left: bool,
    more: list[int],
    first: int,
) -> None:
    """A square predicted as a whole: the mean, true motion, from above or from the left; and what is to be added."""
    mean = _mean(plane, stride, at, size, has_above, has_left) if mode == 0 else 0
    above = at - stride
    corner = plane[above - 1]
    for y in range(size):
        row = at + stride * y
        left = plane[row - 1]
        for x in range(size):
            guess = mean
            if mode == 1:
                guess = min(max(left + plane[above + x] - corner, 0), 255)
            elif mode == 2:
                guess = plane[above + x]
            elif mode == 3:
                guess = left
            _add(plane, row + x, guess, more[first + size * y + x])


def _sloped() -> list[list[int]]:
    """Per mode of a part, which of the neighbours' means each of its pixels is; modes 0 and 1 are not made so.

    The neighbours are those to the left from below, the corner and those above, the first and the last of them twice:
    0 to 12 are the means of three, 13 to 26 those of two.
    """
    none: list[int] = []
    return [
        none,
        none,
        [5, 6, 7, 8] * 4,
        [3] * 4 + [2] * 4 + [1] * 4 + [0] * 4,
        [4, 5, 6, 7, 3, 4, 5, 6, 2, 3, 4, 5, 1, 2, 3, 4],
        [18, 19, 20, 21, 4, 5, 6, 7, 3, 18, 19, 20, 2, 4, 5, 6],
        [6, 7, 8, 9, 7, 8, 9, 10, 8, 9, 10, 11, 9, 10, 11, 12],
        [19, 20, 21, 22, 6, 7, 8, 9, 20, 21, 22, 10, 7, 8, 9, 11],
        [17, 4, 5, 6, 16, 3, 17, 4, 15, 2, 16, 3, 14, 1, 15, 2],
        [16, 2, 15, 1, 15, 1, 14, 0, 14, 0, 13, 13, 13, 13, 13, 13],
    ]


def _fill_part(
    plane: list[int],
    stride: int,
    at: int,
    beyond: int,
    mode: int,
    sloped: list[list[int]],
    more: list[int],
    first: int,
) -> None:
    """A part of 4 x 4; `beyond` is where the four pixels to the right of those above it are."""
    if mode == 1:
        _fill_moved(plane, stride, at, more, first)
        return
    near = [plane[at + 3 * stride - 1]]
    near += [plane[at + (3 - i) * stride - 1] for i in range(4)]
    near += plane[at - stride - 1 : at - stride + 4]
    near += plane[beyond : beyond + 4]
    near.append(near[13])
    if mode == 0:
        mean = (sum(near[1:5]) + sum(near[6:10]) + 4) >> 3
        for i in range(16):
            _add(plane, at + i // 4 * stride + i % 4, mean, more[first + i // 4 * 16 + i % 4])
        return
    means = [(near[i] + 2 * near[i + 1] + near[i + 2] + 2) >> 2 for i in range(13)]
    means += [(near[i] + near[i + 1] + 1) >> 1 for i in range(14)]
    chosen = sloped[mode]
    for i in range(16):
        _add(plane, at + i // 4 * stride + i % 4, means[chosen[i]], more[first + i // 4 * 16 + i % 4])


def _fill_moved(plane: list[int], stride: int, at: int, more: list[int], first: int) -> None:
    above = at - stride
    for i in range(16):
        row = at + i // 4 * stride
        guess = plane[row - 1] + plane[above + i % 4] - plane[above - 1]
        _add(plane, row + i % 4, min(max(guess, 0), 255), more[first + i // 4 * 16 + i % 4])


def luma(blocks: list[list[int]], parts: list[int], more: list[int], columns: int, rows: int) -> list[int]:
    """The plane of brightness; `more` holds 16 x 16 numbers per macroblock, to be added to its prediction."""
    stride = 16 * columns + 5
    plane = _plane(16 * columns, 16 * rows)
    sloped = _sloped()
    for y in range(rows):
        for x in range(columns):
            mine = y * columns + x
            at = (16 * y + 1) * stride + 16 * x + 1
            mode = blocks[mine][2]
            if mode < 4:
                _fill(plane, stride, at, 16, mode, y > 0, x > 0, more, 256 * mine)
                continue
            for i in range(16):
                part = at + i // 4 * 4 * stride + i % 4 * 4
                beyond = at - stride + 16 if i % 4 == 3 else part - stride + 4  # of the macroblock above, at its end
                kind = parts[(4 * y + i // 4) * 4 * columns + 4 * x + i % 4]
                _fill_part(plane, stride, part, beyond, kind, sloped, more, 256 * mine + 64 * (i // 4) + 4 * (i % 4))
        end = (16 * y + 17) * stride - 4
        for i in range(4):
            plane[end + i] = plane[end - 1]
    return plane


def chroma(blocks: list[list[int]], more: list[int], columns: int, rows: int) -> list[int]:
    """A plane of colour; `more` holds 8 x 8 numbers per macroblock."""
    stride = 8 * columns + 5
    plane = _plane(8 * columns, 8 * rows)
    for y in range(rows):
        for x in range(columns):
            mine = y * columns + x
            at = (8 * y + 1) * stride + 8 * x + 1
            _fill(plane, stride, at, 8, blocks[mine][3], y > 0, x > 0, more, 64 * mine)
    return plane
