"""What a JPEG 2000 says of itself, and what its tiles are made of.

No `from __future__ import annotations` here: TorchScript reads the fields' types, and takes them for text otherwise.
"""

from typing import NamedTuple


class Frame(NamedTuple):
    """The picture and its grid of tiles, in pixels of the reference grid; `depths` is bits per component."""

    left: int
    top: int
    right: int
    bottom: int
    tile_left: int
    tile_top: int
    tile_width: int
    tile_height: int
    depths: list[int]


class Coding(NamedTuple):
    """How a component is coded: sizes are exponents of 2, `precincts` those of each resolution, (width, height)."""

    levels: int
    block_width: int
    block_height: int
    style: int
    reversible: bool
    precincts: list[list[int]]


class Quantities(NamedTuple):
    """How coarsely the bands of a component are kept."""

    guard: int
    exponents: list[int]
    mantissas: list[int]


class Rules(NamedTuple):
    """What holds for a tile: the order of its packets, its layers, whether its colours are mixed, its components.

    `shifts` tell by how many bits the coefficients of a region of interest lie above the others.
    """

    order: int
    layers: int
    mixed: bool
    codings: list[Coding]
    quantities: list[Quantities]
    shifts: list[int]


class Tree(NamedTuple):
    """A tag tree: per level its width and first node; per node its value, -1 if unknown, and what it is at least."""

    widths: list[int]
    firsts: list[int]
    values: list[int]
    least: list[int]


class Band(NamedTuple):
    """A band of a component's resolution: `kind` is 0 for the means, 1 across, 2 down, 3 both; `planes` of bits."""

    component: int
    resolution: int
    kind: int
    left: int
    top: int
    right: int
    bottom: int
    planes: int
    step: float


class Block(NamedTuple):
    """A block of a band. `state`: 1 if a packet held some of it, its empty planes, the bits that lengths have.

    Its data come in segments: `passes` of each, how many it takes (`limits`), and its bytes.
    """

    band: int
    left: int
    top: int
    right: int
    bottom: int
    state: list[int]
    passes: list[int]
    limits: list[int]
    coded: list[list[int]]


class Grid(NamedTuple):
    """The blocks of a band in a precinct, row by row, from `first` on in the list of all of them."""

    first: int
    width: int
    height: int
    included: Tree
    empty: Tree


class Precinct(NamedTuple):
    """A part of a resolution, whose packets hold a layer of its blocks each; `number`, `x` and `y` order them."""

    component: int
    resolution: int
    number: int
    x: int
    y: int
    grids: list[Grid]


class Tile(NamedTuple):
    bands: list[Band]
    blocks: list[Block]
    precincts: list[Precinct]


class Plane(NamedTuple):
    """A block while its planes of bits are read; its lists have a border of one element around it.

    `signs` are 1, -1 and 0 of what is 0 as far as is known; `sizes` are twice the coefficients, so that the middle of
    what they can still be is a whole number. `near` tells which neighbours are not 0: 1 for each beside, 3 above or
    below, 9 at a corner, and 64 if the coefficient itself is not. `seen` is the plane in which the first pass came to
    it, and `refined` if the second did. `number` holds the plane that is read.
    """

    width: int
    height: int
    stride: int
    apart: bool
    marked: bool
    own: list[int]
    table: list[int]
    contexts: list[int]
    number: list[int]
    signs: list[int]
    near: list[int]
    sizes: list[int]
    seen: list[int]
    refined: list[bool]
