"""What an inspection finds, as data, and the words for it that all kinds share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit import files, safety
from toolkit.signature import Signature

SAFE = "opens without running code of its own"


@dataclass(frozen=True)
class Inspection:
    """What was found. `code` names the parts that are code; empty means there are none. `safe` says it in words."""

    path: Path
    kind: str
    size: int
    safe: str
    writer: str | None = None
    signature: Signature | None = None
    labels: tuple[str, ...] = ()
    parameters: int | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "kind": self.kind,
            "size": self.size,
            "writer": self.writer,
            "signature": self.signature.to_json() if self.signature else None,
            "labels": list(self.labels),
            "parameters": self.parameters,
            "operators": dict(self.operators),
            "code": list(self.code),
            "safe": self.safe,
            "facts": dict(self.facts),
        }


def safe(path: Path, kind: str) -> str:
    return words(safety.findings(path, kind))


def words(found: Sequence[str]) -> str:
    if not found:
        return "its operators only compute"
    return f"may do more than compute: {', '.join(found)}"


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in files.files_below(path))


def product(dims: Any) -> int:
    total = 1
    for dim in dims:
        total *= int(dim)
    return total
