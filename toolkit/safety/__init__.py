"""Tell, without opening it, whether a stranger's TorchScript, SavedModel or LiteRT file can do more than compute.

These formats are programs. Their operators are compared with lists of those that only compute: what is not on the list
is refused, known to be harmful or not. Nothing is loaded, unpickled or built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.errors import UnsafeFile
from toolkit.files import digest

LEAST_PREFIX = 8  # characters of a SHA-256 that a user must give


def findings(path: Path, kind: str) -> list[str]:
    """What in a file may do more than compute, in words; an empty list where nothing can. Kinds without code: empty."""
    return list(dict.fromkeys(_CHECKS[kind](path))) if kind in _CHECKS else []


def require(path: Path, kind: str, trust: Sequence[str] = ()) -> None:
    """Raise UnsafeFile for a file that may do more than compute, unless the user trusts exactly its content."""
    found = findings(path, kind)
    if not found or trusted(path, trust):
        return
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    raise UnsafeFile(
        f"it may do more than compute: {', '.join(found[:3])}{more}",
        where=str(path),
        hint=f"If you know where the file comes from, allow exactly this one: --trust {digest(path)[:16]}",
    )


def trusted(path: Path, trust: Sequence[str]) -> bool:
    """Whether one of the prefixes is the beginning of the file's SHA-256."""
    prefixes = [prefix.lower() for prefix in trust if len(prefix) >= LEAST_PREFIX]
    return bool(prefixes) and digest(path).startswith(tuple(prefixes))


def _torchscript(path: Path) -> Sequence[str]:
    from toolkit.safety import torchscript

    return torchscript.findings(path)


def _savedmodel(path: Path) -> Sequence[str]:
    from toolkit.safety import savedmodel

    return savedmodel.findings(path)


def _litert(path: Path) -> Sequence[str]:
    from toolkit.safety import litert

    return litert.findings(path)


_CHECKS: dict[str, Callable[[Path], Sequence[str]]] = {
    "torchscript": _torchscript,
    "savedmodel": _savedmodel,
    "tflite": _litert,
}
