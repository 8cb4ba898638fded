"""Text out of files, made safe to show: model, node and file names are a stranger's input."""

from __future__ import annotations

import unicodedata

_SPACES = ("Zs", "Zl", "Zp")


def plain(text: str, limit: int | None = None) -> str:
    r"""`text` on one line, everything invisible spelled out: ESC becomes `\x1b`, a right-to-left override `\u202e`.

    Terminal control codes, bidirectional overrides, zero-width characters and lone surrogates are all "not printable"
    to Python. White space becomes a blank; with a `limit`, the middle of a longer text becomes "...".
    """
    shown = "".join(character if character.isprintable() else _spelled(character) for character in text)
    return shown if limit is None else shortened(shown, limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters: both ends of a name tell more than its beginning alone."""
    if len(text) <= limit:
        return text
    tail = (limit - 3) // 2
    return f"{text[: limit - 3 - tail]}...{text[len(text) - tail :]}"


def _spelled(character: str) -> str:
    if character in "\n\r\t\v\f" or unicodedata.category(character) in _SPACES:
        return " "
    return character.encode("unicode_escape").decode("ascii")
