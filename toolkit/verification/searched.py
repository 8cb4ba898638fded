"""What a search for the worst input did: how long, on how many inputs, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Searched:
    """`tried` says how many inputs each way of searching made; `worst` is the largest R among them that was measured
    against the truth. `found` says, where the file differs, which way found it and after how many seconds; `jumps`
    counts differences that lie on a jump of the source itself, where rounding decides: they are no one's error.
    """

    asked: float
    seconds: float
    inputs: int
    tried: Mapping[str, int] = field(default_factory=dict)
    worst: float | None = None
    found: str | None = None
    jumps: int = 0
    not_tried: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        ways = ", ".join(f"{name} {count:,}" for name, count in self.tried.items() if count)
        said = f"searched {self.seconds:.1f} s for a worse input: {self.inputs:,} tried ({ways or 'none'})"
        if self.found is not None:
            return f"{said}; found by {self.found}"
        worst = f", the largest R measured was {self.worst:.2g}" if self.worst is not None else ""
        jumps = f"; {self.jumps} differ where the source itself jumps, which is no error" if self.jumps else ""
        left = f"; not searched: {'; '.join(self.not_tried)}" if self.not_tried else ""
        return f"{said}, nothing found{worst}{jumps}{left}"

    @staticmethod
    def from_json(data: Mapping[str, Any] | None) -> Searched | None:
        return None if data is None else Searched(**{**data, "not_tried": tuple(data["not_tried"])})
