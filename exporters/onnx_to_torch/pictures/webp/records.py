"""What the lossless form is read with.

No `from __future__ import annotations` here: TorchScript reads the fields' types, and takes them for text otherwise.
"""

from typing import NamedTuple

from exporters.onnx_to_torch.pictures.codes import Code


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
