"""Which ONNX operators each importer knows, as data; the tables load frameworks, so they are read in workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from toolkit.errors import RuntimeMissing
from toolkit.worker.pool import WorkerPool
from toolkit.worker.session import Session


@dataclass(frozen=True)
class Importer:
    """One target: the runtime whose worker can load it, and the "module:table" of its operators."""

    name: str
    runtime: str
    table: str


@dataclass(frozen=True)
class Knowledge:
    """What one importer knows: operator ("domain.name" beside ONNX's own) -> the opsets that its forms start at."""

    target: str
    ceiling: int
    operators: Mapping[str, tuple[int, ...]]
    missing: str | None = None


IMPORTERS = (
    Importer("PyTorch", "torch", "exporters.onnx_to_torch.operators:TORCH"),
    Importer("Keras", "tensorflow", "exporters.onnx_to_keras.operators:KERAS"),
)


def known(importers: tuple[Importer, ...] = IMPORTERS) -> list[Knowledge]:
    """Ask every importer in a worker of its runtime; one that is not installed says so in `missing`."""
    with WorkerPool() as pool:
        pool.warm([(importer.runtime, "cpu") for importer in importers])
        return [_ask(pool, importer) for importer in importers]


def _ask(pool: WorkerPool, importer: Importer) -> Knowledge:
    try:
        answer = pool.worker(importer.runtime).call("toolkit.operators:list_operators", {"table": importer.table})
    except RuntimeMissing as missing:
        return Knowledge(importer.name, 0, {}, missing.found)
    operators = {name: tuple(sinces) for name, sinces in answer["operators"].items()}
    return Knowledge(importer.name, answer["ceiling"], operators)


def list_operators(_session: Session, table: str) -> dict[str, Any]:
    """The worker's side: import a table and list it."""
    module, _, name = table.partition(":")
    operators = getattr(import_module(module), name)
    found: dict[str, set[int]] = {}
    for operator in (*operators, *(operators.rewritten or ())):
        if operator.domain.startswith("toolkit."):
            continue  # what patterns make of a graph; no file holds it
        title = f"{operator.domain}.{operator.name}" if operator.domain else operator.name
        found.setdefault(title, set()).add(operator.since)
    return {"ceiling": operators.ceiling, "operators": {title: sorted(found[title]) for title in sorted(found)}}
