"""PyTorch models to SavedModel, HDF5, .keras and LiteRT: the verdict, and R at each batch size.

python benchmarks/zoo.py [--to FORMAT]... [--missing] [NAME ...]     (`make zoo`)

Each model is exported and verified through the toolkit, all formats at once; where that is refused, one by one, so
that each format has its own reason. The files then run on the bundle's golden inputs once more, batch size by batch
size. Rows are written to benchmarks/results/zoo.json as they come, and the page docs/zoo.md from them; names given
renew their rows alone, `--missing` adds those that are not there yet.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.torch_zoo import ENTRIES, Entry
from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit import bundle
from toolkit.bundle import Bundle
from toolkit.errors import ToolkitError
from toolkit.verification import compare, golden
from toolkit.verification.sides import open_file
from toolkit.verification.verifier import Settings
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

RESULTS = ROOT / "benchmarks" / "results" / "zoo.json"
PAGE = ROOT / "docs" / "zoo.md"
COUNT = 32  # inputs that a verdict is made of, at least
FORMATS = ("savedmodel", "hdf5", "keras", "tflite")
BATCHES = (1, 2, 3, 7)
_BATCHES = ", ".join(map(str, BATCHES))
_ROWS, _LENGTH = 40, 16  # of the data that goes with models that take integers

Cell = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--to", action="append", choices=FORMATS, help="these formats alone")
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in ENTRIES]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    for name in asked.names or ENTRIES:
        kept = _kept()
        known = kept.get(name, {})
        wanted = [form for form in asked.to or FORMATS if not (asked.missing and form in known)]
        if wanted:
            found = rows(name, ENTRIES[name], wanted)
            print(name, {form: _text(cell) for form, cell in found.items()}, flush=True)
            _write({**_kept(), name: {**known, **found}})


def _kept() -> dict[str, dict[str, Cell]]:
    models: dict[str, dict[str, Cell]] = json.loads(RESULTS.read_text("utf-8"))["models"] if RESULTS.exists() else {}
    return models


def _write(models: Mapping[str, Mapping[str, Cell]]) -> None:
    packages = ("torch", "tensorflow", "keras", "torchvision", "timm", "transformers")
    environment = {"python": platform.python_version(), "machine": platform.machine(), "threads": 1}
    data = {
        "environment": {**environment, **{package: version(package) for package in packages}},
        "inputs": COUNT,
        "models": {name: dict(sorted(models[name].items(), key=_place)) for name in ENTRIES if name in models},
    }
    RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


def _place(item: tuple[str, Any]) -> int:
    return FORMATS.index(item[0])


def rows(name: str, entry: Entry, formats: Sequence[str]) -> dict[str, Cell]:
    """A cell for each format: its verdict with R at each batch size, or why there is no file."""
    with tempfile.TemporaryDirectory() as folder, WorkerPool(limits=Limits(threads=1, seconds=1800)) as pool:
        place = Path(folder)
        data = _data(entry, place / "data.npz")

        def exported(names: Sequence[str], output: Path) -> dict[str, Cell]:
            source = sources.resolve(
                f"benchmarks.torch_zoo:build_{name}", framework="torch", inputs=entry.inputs, search=[str(ROOT)]
            )
            settings = Settings(count=COUNT, latency=False)
            request = bundle.Request(source, tuple(names), output, ExportOptions(), settings, data=data)
            started = time.monotonic()
            made = bundle.carry_out(pool, request)
            seconds = round(time.monotonic() - started, 1)
            return {form: {**_cell(pool, made, form), "seconds": seconds} for form in names}

        try:
            return exported(formats, place / "all")
        except ToolkitError as error:
            if len(formats) == 1:
                return {formats[0]: {"verdict": "none", "reason": _reason(error)}}
        found: dict[str, Cell] = {}
        for form in formats:
            try:
                found |= exported([form], place / form)
            except ToolkitError as error:
                found[form] = {"verdict": "none", "reason": _reason(error)}
        return found


def _data(entry: Entry, path: Path) -> Path | None:
    """Real data for a model that takes integers: of generated inputs it would only see 0 and 1."""
    if not entry.largest:
        return None
    random = np.random.default_rng(0)
    arrays = {name: random.integers(0, top + 1, (_ROWS, _LENGTH)) for name, top in entry.largest.items()}
    for array in arrays.values():
        array[:, 0] = 1  # a mask leaves at least one place
    np.savez(path, **arrays)
    return path


def _reason(error: ToolkitError) -> str:
    return " ".join(str(error).split())[:600]


def _cell(pool: WorkerPool, made: Bundle, form: str) -> Cell:
    row = next(row for row in made.report.rows if row.format == form)
    output = row.worst_output
    return {
        "verdict": row.verdict.value,
        "reason": row.reason,
        "route": made.routes[form],
        "noise_ratio": output.noise_ratio if output else None,
        "batches": _by_batch(pool, made, form),
        "float64": next((lens.value for lens in row.lenses if lens.name == "float64"), None),
    }


def _by_batch(pool: WorkerPool, made: Bundle, form: str) -> dict[str, float | None]:
    """R of the worst output over the golden inputs of each batch size; None where outputs are compared exactly."""
    recorded = golden.load(made.path / golden.NAME)
    side = open_file(pool, made.file(form), "cpu", made.manifest.signature, trust=None)
    places: dict[int, list[int]] = defaultdict(list)
    for index, batch in enumerate(recorded.batches):
        places[batch.size].append(index)
    found: dict[str, float | None] = {}
    for size, indices in sorted(places.items()):
        outputs = side.run([recorded.batches[index] for index in indices])
        ratios = []
        for spec in made.manifest.signature.outputs:
            truth, source = ([each[i][spec.name] for i in indices] for each in (recorded.truth, recorded.source))
            kinds = [recorded.batches[i].kind for i in indices]
            described, _ = compare.describe(spec, truth, source, [each[spec.name] for each in outputs], kinds)
            ratios.append(described.noise_ratio)
        numbers = [ratio for ratio in ratios if ratio is not None]
        found[str(size)] = max(numbers) if numbers else None
    side.close()
    return found


def page(data: Mapping[str, Any]) -> str:
    """The whole page, from the results file alone."""
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    lines = [
        "# PyTorch models to SavedModel, HDF5, .keras and LiteRT",
        "",
        "Written by `make zoo` from `benchmarks/results/zoo.json`. Weights are random, the statistics of BatchNorm",
        "moved off zeros and ones. Models whose inputs have named sizes (`height`, `time` ...) are tried at two each.",
        f"A verdict stands on at least {data['inputs']} inputs; a cell has R at batch {_BATCHES}: the error in units",
        "of the source's own rounding error ([how](verdict.md)). HDF5 and .keras are opened by plain",
        "`keras.models.load_model`, in safe mode, LiteRT files by their signature.",
        "",
        f"{versions}.",
        "",
        "| model | inputs | " + " | ".join(FORMATS) + " |",
        "|" + " --- |" * (len(FORMATS) + 2),
        *(_line(name, row) for name, row in data["models"].items()),
    ]
    reasons = [
        f"- {name}, {form}: {cell['reason']}"
        for name, row in data["models"].items()
        for form, cell in row.items()
        if cell["verdict"] != "PASS"
    ]
    if reasons:
        lines += ["", "## What there is no file of, and why", "", *reasons]
    return "\n".join(lines) + "\n"


def _line(name: str, row: Mapping[str, Cell]) -> str:
    inputs = "<br>".join(f"`{text}`" for text in ENTRIES[name].inputs)
    cells = [_text(row[form]) if form in row else "" for form in FORMATS]
    return "| " + " | ".join([name, inputs, *cells]) + " |"


def _text(cell: Cell) -> str:
    if "batches" not in cell:
        return str(cell["verdict"])
    ratios = [cell["batches"].get(str(size)) for size in BATCHES]
    return f"{cell['verdict']} {' / '.join('-' if ratio is None else f'{ratio:.2f}' for ratio in ratios)}"


if __name__ == "__main__":
    main()
