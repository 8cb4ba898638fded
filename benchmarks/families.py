"""Tables of models by family, each to every format: cells as benchmarks/matrix.py makes them, written as they come."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import matrix
from toolkit import formats
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

ROOT = Path(__file__).resolve().parents[1]
_BASICS = ("torch", "onnx", "onnxruntime-gpu", "tensorflow", "keras")


@dataclass(frozen=True)
class Table:
    """One table: where it is kept, what its page says before it, and its rows by family.

    `name` is that of benchmarks/results/NAME.json and docs/NAME.md; `families` is family -> key -> the row's title.
    """

    name: str
    title: str
    words: Sequence[str]
    package: str
    families: Mapping[str, Mapping[str, str]]
    noun: str = "models"

    @property
    def results(self) -> Path:
        return ROOT / "benchmarks" / "results" / f"{self.name}.json"

    @property
    def page(self) -> Path:
        return ROOT / "docs" / f"{self.name}.md"

    @property
    def keys(self) -> list[str]:
        return [key for family in self.families.values() for key in family]


def fill(table: Table, rows: Iterable[tuple[str, matrix.Row]], files: Path) -> None:
    """Export every row to every format and write each as it comes."""
    with WorkerPool(limits=Limits(threads=1, seconds=600)) as pool:
        for key, row in rows:
            started = time.monotonic()
            cells = matrix.cells(pool, row, files)
            print(key, f"({time.monotonic() - started:.0f} s)")
            print(*(f"    {form} {matrix.told(cell)}" for form, cell in cells.items()), sep="\n", flush=True)
            write(table, {**kept(table), key: cells})


def kept(table: Table) -> dict[str, Any]:
    """The rows of earlier runs."""
    if not table.results.exists():
        return {}
    rows: dict[str, Any] = json.loads(table.results.read_text("utf-8"))["rows"]
    return rows


def write(table: Table, rows: Mapping[str, Any]) -> None:
    packages = dict.fromkeys((_BASICS[0], table.package, *_BASICS[1:]))
    data = {
        "environment": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "inputs": matrix.COUNT,
        "rows": {key: rows[key] for key in table.keys if key in rows},
    }
    table.results.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    table.page.write_text(page(table, data), encoding="utf-8")


def page(table: Table, data: Mapping[str, Any]) -> str:
    """The whole page, from the results file alone."""
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    rows = data["rows"]
    shares = ", ".join(f"{form} {sum(row[form]['verdict'] == 'PASS' for row in rows.values())}" for form in formats.ALL)
    lines = [
        f"# {table.title}",
        "",
        f"Written by `make {table.name}` from `benchmarks/results/{table.name}.json`.",
        *table.words,
        f"Each PASS stands on at least {data['inputs']} inputs in batches of 1, 2, 3 and 7; the number beside it is R,",
        "the error in units of the source's own rounding error ([how](verdict.md)); `=` means bit for bit. A number in",
        "brackets leads to the reason, in a user's words.",
        "",
        f"Of {len(rows)} {table.noun} PASS: {shares}.{_missing(table, rows)} {versions}.",
    ]
    for family, titles in table.families.items():
        found = {title: rows[key] for key, title in titles.items() if key in rows}
        if found:
            lines += ["", f"## {family[:1].upper()}{family[1:]}", "", *matrix.table(found)]
    return "\n".join(lines) + "\n"


def _missing(table: Table, rows: Mapping[str, Any]) -> str:
    left = [key.partition("?")[0] for key in table.keys if key not in rows]
    return f" Not run yet: {', '.join(left)}." if left else ""
