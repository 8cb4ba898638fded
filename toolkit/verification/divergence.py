"""Where a file parts from its source, as plain data for every kind of report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One operator on the way: `error` is that of its result, in units of the source's own rounding noise there."""

    node: str
    operator: str
    error: float
    first: bool = False


@dataclass(frozen=True)
class Divergence:
    """The first operator whose result the source never computes, and the likely cause.

    `cause` is in words that follow the operator's name; where no operator is to blame, `operator` is None and `cause`
    stands alone. `others` are the operators that differ as well; there may be more of them where `proved` is False.
    `proved` says that the outputs agree once all of these are given what the source has in their place.
    `same_graph` says that both sides' graphs compute the same, so that the runtime errs. `source_line` is the line of
    the user's code, where the exporter kept it.
    """

    cause: str
    operator: str | None = None
    node: str | None = None
    source_operator: str | None = None
    source_node: str | None = None
    source_line: str | None = None
    others: tuple[str, ...] = ()
    proved: bool = False
    same_graph: bool = False
    path: tuple[Step, ...] = ()

    @property
    def words(self) -> str:
        """One sentence without an end: "starts at BatchNormalization 'bn1': epsilon 0.001 in the file, ..."."""
        if self.operator is None:
            return self.cause
        place = f"starts at {self.operator} '{self.node}'"
        more = f" (and {len(self.others)} more)" if self.others else ""
        return (f"{place}: {self.cause}" if self.cause else place) + more

    @staticmethod
    def from_json(data: Mapping[str, Any] | None) -> Divergence | None:
        if data is None:
            return None
        return Divergence(
            **{**data, "others": tuple(data["others"]), "path": tuple(Step(**step) for step in data["path"])}
        )
