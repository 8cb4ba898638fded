"""What a JPEG's header says.

No `from __future__ import annotations` here: TorchScript reads the fields' types, and takes them for text otherwise.
"""

from typing import NamedTuple


class Component(NamedTuple):
    """A colour: its name, how densely it lies across and down, its table of steps, and its blocks of 8 x 8.

    `columns` and `rows` count the blocks that it needs, `stride` those of a row with all that fill up its last unit.
    `coefficients` are 64 per block, and one coefficient's place in `last` is what the next one is told apart from.
    """

    name: int
    across: int
    down: int
    table: int
    columns: int
    rows: int
    stride: int
    coefficients: list[int]
    last: list[int]


class Frame(NamedTuple):
    """The picture: `across` and `down` are those of its densest component; `lines` of so many `units` of blocks."""

    width: int
    height: int
    progressive: bool
    across: int
    down: int
    units: int
    lines: int
    components: list[Component]


class Scan(NamedTuple):
    """Which coefficients of which components a scan gives, from `first` to `end`, down to bit `low`.

    `codes` are two per component, of first and of other coefficients; `finer` if higher bits have been given before,
    `interval` units are between two restarts, 0 if there are none.
    """

    components: list[int]
    codes: list[list[int]]
    first: int
    end: int
    finer: bool
    low: int
    interval: int
