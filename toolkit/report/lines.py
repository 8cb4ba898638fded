"""Lines of styled text for a terminal: columns, side by side, wrapped; nothing here knows what it prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# A line is pieces of text with their styles.
Line = list[tuple[str, str]]

DIM = "dim"
GAP = "  "
_APART = "     "


def grid(table: Sequence[Line]) -> list[Line]:
    widths = [max(size(text) for text, _ in column) for column in zip(*table, strict=True)]
    return [padded(line, widths) for line in table]


def padded(pieces: Sequence[tuple[str, str]], widths: Sequence[int], last: tuple[str, str] = ("", "")) -> Line:
    """Cells padded to their columns' widths behind one blank; `last` and what follows it stand unpadded."""
    line: Line = [(" ", "")]
    for (text, style), width in zip(pieces, widths, strict=True):
        line += [(text + " " * (width - size(text)), style), (GAP, "")]
    return [*line, last] if last[0] else line[:-1]


def flow(parts: Sequence[str], width: int, style: str, *, label: str = "", indent: int) -> list[Line]:
    """Parts behind `label`, side by side as far as they fit; what does not starts an indented line of its own."""
    lines: list[str] = []
    for part in parts:
        if lines and size(lines[-1]) + len(_APART) + size(part) <= width:
            lines[-1] += _APART + part
        else:
            lines += [" " * indent + line for line in fold(part.split(), width - indent)]
    lines[0] = label + lines[0][indent:]
    return [[(line, style)] for line in lines]


def wrapped(words: Iterable[str], width: int, style: str, *, indent: int) -> list[Line]:
    return [[(" " * indent + line, style)] for line in fold(words, width - indent)]


def fold(words: Iterable[str], room: int) -> list[str]:
    """Lines of whole words; only a word that is longer than a line (a path) is cut, and goes on in the next."""
    room = max(room, 10)
    lines: list[str] = []
    for word in words:
        if lines and size(lines[-1]) + 1 + size(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += _chopped(word, room)
    return lines


def _chopped(word: str, room: int) -> list[str]:
    from rich.cells import chop_cells

    return chop_cells(word, room)


def size(text: str) -> int:
    """Cells on a terminal: wide characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def print_lines(console: Console, lines: list[Line]) -> None:
    from rich.text import Text

    encoding = console.encoding
    for line in lines:
        text = Text()
        for piece, style in line:
            text.append(piece.encode(encoding, "backslashreplace").decode(encoding), style)
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)
