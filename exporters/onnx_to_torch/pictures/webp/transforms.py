"""What the lossless form does to its pixels, undone (RFC 9649, section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor


def _middle(first: int, second: int) -> int:
    """The mean of two pixels, each colour rounded down."""
    return (((first ^ second) & 0xFEFEFEFE) >> 1) + (first & second)


def _sum(first: int, second: int) -> int:
    """Two pixels, their colours added modulo 256."""
    others = ((first & 0xFF00FF00) + (second & 0xFF00FF00)) & 0xFF00FF00
    return others | (((first & 0x00FF00FF) + (second & 0x00FF00FF)) & 0x00FF00FF)


def _nearer(left: int, above: int, corner: int) -> int:
    """Of two pixels the one that differs less from both together without the corner."""
    of_left, of_above = 0, 0
    for shift in range(0, 32, 8):
        own = (corner >> shift) & 255
        of_left += abs(((above >> shift) & 255) - own)
        of_above += abs(((left >> shift) & 255) - own)
    return left if of_left < of_above else above


def _moved(left: int, above: int, corner: int, half: bool) -> int:
    """Each colour as far from two others as they are from the corner; or from their mean `left`, half as far."""
    found = 0
    for shift in range(0, 32, 8):
        own, down = (left >> shift) & 255, (corner >> shift) & 255
        step = ((above >> shift) & 255) - down
        if half:
            step = (own - down) >> 1 if own >= down else -((down - own) >> 1)
        found |= min(max(own + step, 0), 255) << shift
    return found


def _guess(mode: int, left: int, above: int, corner: int, right: int) -> int:
    """A pixel as its neighbours let it expect: those to the left, above, and above to the left and right."""
    if mode < 6:
        if mode == 5:
            return _middle(_middle(left, right), above)
        return [0xFF000000, left, above, right, corner][mode]
    if mode < 11:
        if mode == 10:
            return _middle(_middle(left, corner), _middle(above, right))
        first = left if mode < 8 else (corner if mode == 8 else right)
        return _middle(first, corner if mode == 6 else above)
    if mode == 11:
        return _nearer(left, above, corner)
    if mode == 12:
        return _moved(left, above, corner, False)
    return _moved(_middle(left, above), above, corner, True) if mode == 13 else 0xFF000000


def predicted(pixels: list[int], width: int, bits: int, modes: list[int]) -> list[int]:
    """Pixels out of their differences from what their neighbours let expect."""
    across = (width + (1 << bits) - 1) >> bits
    out = pixels.copy()
    for at in range(len(out)):
        x, y = at % width, at // width
        guess = 0xFF000000
        if y == 0:
            if x > 0:
                guess = out[at - 1]
        elif x == 0:
            guess = out[at - width]
        else:
            mode = (modes[(y >> bits) * across + (x >> bits)] >> 8) & 15
            guess = _guess(mode, out[at - 1], out[at - width], out[at - width - 1], out[at - width + 1])
        out[at] = _sum(out[at], guess)
    return out


def _signed(byte: Tensor) -> Tensor:
    return ((byte & 255) ^ 128) - 128


def _colours(pixels: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """The pixels with other red and blue."""
    return (pixels & 0xFF00FF00) | ((red & 255) << 16) | (blue & 255)


def mixed(pixels: Tensor, bits: int, image: Tensor) -> Tensor:
    """Red and blue with parts of other colours added; `image` tells how much, in squares."""
    size = pixels.shape
    shares = image.repeat_interleave(1 << bits, 0)[: size[0]].repeat_interleave(1 << bits, 1)[:, : size[1]]
    green = _signed(pixels >> 8)
    red = (pixels >> 16) + ((_signed(shares) * green) >> 5)
    blue = pixels + ((_signed(shares >> 8) * green) >> 5) + ((_signed(shares >> 16) * _signed(red)) >> 5)
    return _colours(pixels, red, blue)


def greened(pixels: Tensor) -> Tensor:
    """Green added to red and blue."""
    green = pixels >> 8
    return _colours(pixels, (pixels >> 16) + green, pixels + green)


def looked_up(pixels: Tensor, width: int, bits: int, table: list[int]) -> Tensor:
    """Colours out of their places in a table, of which a pixel holds 2 ** `bits` side by side."""
    colours: list[int] = []
    last = 0
    for colour in table:
        last = _sum(last, colour)
        colours.append(last)
    colours += [0] * (256 - len(table))  # what is beyond the table shines through
    own = 8 >> bits
    parts = [((pixels >> 8) & 255) >> (own * i) for i in range(1 << bits)]
    places = (torch.stack(parts, -1) & ((1 << own) - 1)).flatten(1)[:, :width]
    return torch.tensor(colours)[places]
