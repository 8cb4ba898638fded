"""LiteRT files: their own operators only compute; custom ones are code of somebody's runtime, or TensorFlow's."""

from __future__ import annotations

from pathlib import Path

from toolkit import litert


def findings(path: Path) -> list[str]:
    """The custom operators in a file, by name. Raises BadInput where it cannot be read."""
    return [
        f"the TensorFlow operator {name.removeprefix(litert.FLEX)}"
        if name.startswith(litert.FLEX)
        else f"the custom operator {name}"
        for name in litert.read(path).custom
    ]
