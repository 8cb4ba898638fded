"""What the torch worker does for a search: keep a graph, note the branches that were seen, reach the others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification.search.domain import Domain, Range
from toolkit.worker.session import Session

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


def open_graph(session: Session, path: str) -> dict[str, Any]:
    """Read a file's ONNX form and keep it; returns its constants. Raises Inconclusive where it cannot be followed."""
    from toolkit.verification.search.graph import Graph

    session.progress({"stage": "read the graph's branches"})
    graph = Graph.read(Path(path))
    return {"handle": session.keep(graph), "constants": graph.constants()}


def look(session: Session, handle: str, batches: Sequence[Arrays], sizes: Sequence[int]) -> int:
    """Note which sides of which branches these inputs show; returns how many were not seen yet."""
    graph = session.objects[handle]
    for batch, size in zip(batches, sizes, strict=True):
        graph.look(graph.arrays(batch), size)
    return len(graph.aims())


def reach(
    session: Session, handle: str, starts: Sequence[Arrays], signature: Mapping[str, Any],
    ranges: Mapping[str, Sequence[Any]], constants: Sequence[float], seconds: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Rows that come to sides never seen, as far as `seconds` go; `left` says how many sides are still to be tried."""
    from toolkit.verification.search import reach as reaching

    session.progress({"stage": "reach branches"})
    known = {name: Range(int(low), int(high), bool(anything)) for name, (low, high, anything) in ranges.items()}
    domain = Domain(Signature.from_json(signature), [dict(row) for row in starts], known, list(constants))
    rows, left = reaching.rows(session.objects[handle], domain, time.monotonic() + seconds, seed)
    return {"rows": rows, "left": left}


def part(
    session: Session, handle: str, source: str, starts: Sequence[Arrays], seconds: float, seed: int
) -> dict[str, Any]:
    """Rows on which the graph and the source, both in float64, lie further apart than on the rows to start from."""
    from toolkit.verification.search import difference

    session.progress({"stage": "climb the difference"})
    rows = difference.rows(session.objects[handle], session.objects[source], starts, time.monotonic() + seconds, seed)
    return {"rows": rows}
