"""Where in a TOML file a key stands: the parser tells values only, and an error should name a line."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"^\s*\[\s*(?P<path>[^\[\]]+?)\s*\]\s*(#.*)?$")
_KEY = re.compile(r"^\s*(?P<path>(?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The number, from 1, of the line that sets `path` or, failing that, opens the nearest table around it.

    What stands inside an inline table or a string of several lines is found at the line where that begins.
    """
    wanted = tuple(path)
    table: tuple[str, ...] = ()
    best: tuple[int, int | None] = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            found = table = _parts(header["path"])
        elif key:
            found = (*table, *_parts(key["path"]))
        else:
            continue
        shared = min(len(found), len(wanted))
        depth = shared if found[:shared] == wanted[:shared] else 0
        if depth > best[0]:
            best = depth, number
    return best[1]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(double or single or bare for double, single, bare in _PART.findall(text))
