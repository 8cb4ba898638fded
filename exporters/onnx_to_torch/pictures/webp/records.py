"""What the lossless form is read with.

No `from __future__ import annotations` here: TorchScript reads the fields' types, and takes them for text otherwise.
"""

from typing import NamedTuple


class Code(NamedTuple):
    """A prefix code: how many codes there are of each length, the symbols in the order of their codes.

    `short` has, for each eight bits that may come next, the symbol in their beginning (times 16, plus its length), or
    -1 where it is longer.
    """

    counts: list[int]
    symbols: list[int]
    short: list[int]


class Coded(NamedTuple):
    """How an image is coded: five codes per group, the bits of its colour cache, and where which group holds.

    `groups` has a number for each square of 2 ** `bits` pixels, row by row; it is empty where all is in one group.
    """

    codes: list[Code]
    cache: int
    bits: int
    groups: list[int]


class Transform(NamedTuple):
    """A transform that is to be undone: its kind, the width of the image that it gives, its own image in squares."""

    kind: int
    width: int
    bits: int
    image: list[int]
