"""Codes whose symbols have different lengths, as JPEG and WebP have them.

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
