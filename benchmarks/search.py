"""How many faults that hardly any input shows are found: by the plan, by random inputs, and by the search.

    python benchmarks/search.py [--seconds 10] [--only dense] [--check]                (`make search`)

Every fault of tests/verification/planted.py is planted into models of several kinds and written as TorchScript and as
ONNX. Each file is verified with the plan alone; what passes is given to as many seconds of ordinary random inputs and
of the search. Then right conversions are searched for as long: whatever is found there is a false alarm. Writes
benchmarks/results/search.json (`--only` replaces the rows of one model there) and, from it, docs/search.md; `--check`
only says whether the page is that of the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import search_page

RESULT = ROOT / "benchmarks" / "results" / "search.json"
PAGE = ROOT / "docs" / "search.md"
COUNT = 96
FORMATS = {"torchscript": "model.pt", "onnx": "model.onnx"}

# Where each fault is planted; those of whole numbers need a model that reads them.
PLACES = {
    "dense": ("corner", "band", "narrow_logits", "scripted_corner", "product", "peak", "nan_at_point", "nan_on_line",
              "batch_of_five", "large_batch", "two_equal", "sorted", "negative_zero", "flush", "flip", "table",
              "rounding", "overflow"),
    "convolutional": ("clamp", "saturated", "tail", "corner", "whole", "band", "two_equal", "batch_of_five"),
    "recurrent": ("length_17", "phrase", "same_words", "one_word", "last_word"),
    "attention": ("empty_end", "flip", "product", "nan_on_line", "whole", "negative_zero"),
}  # fmt: skip
RIGHT = {"dense": ("corner", "table", "rounding", "flush", "overflow"), "convolutional": ("clamp",),
         "recurrent": ("length_17", "one_word"), "attention": ("flip",)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of random inputs, and of the search, for each file"
    )
    parser.add_argument("--only", help="one model, or one model's faults from-to: dense:0-6")
    parser.add_argument("--check", action="store_true", help="compare the page with the figures; measure nothing")
    given = parser.parse_args()
    if given.check:
        return int(PAGE.read_text(encoding="utf-8") != search_page.page(json.loads(RESULT.read_text(encoding="utf-8"))))
    rows: list[dict[str, Any]] = []
    for row in measured(given.only, given.seconds):
        if given.only and RESULT.is_file():
            rows = json.loads(RESULT.read_text(encoding="utf-8"))["rows"]
        rows = sorted([known for known in rows if _key(known) != _key(row)] + [row], key=_key)
        _save(rows, given.seconds)
    return 0


def _save(rows: list[dict[str, Any]], seconds: float) -> None:
    """After every file, so that a run that is cut off has not been in vain."""
    record = {
        "schema": 1,
        "command": f"python benchmarks/search.py --seconds {seconds:g}",
        "seconds": seconds,
        "count": COUNT,
        "machine": machine(),
        "rows": rows,
    }
    RESULT.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(search_page.page(record), encoding="utf-8")


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["group"], row["model"], row["fault"], row["format"])


def machine() -> dict[str, Any]:
    packages = ("torch", "onnxruntime-gpu", "onnx", "numpy")
    return {"platform": platform.platform(), "cores": os.cpu_count(), "device": "cpu"} | {
        name: version(name) for name in packages
    }


def measured(only: str | None, seconds: float) -> Iterator[dict[str, Any]]:
    """One row for every file, wrong ones first."""
    from tests.verification import liars

    kind, _, part = (only or "").partition(":")
    first, _, last = part.partition("-")
    with liars.workers() as pool, tempfile.TemporaryDirectory() as folder:
        cases = [("planted", model, fault) for model, faults in PLACES.items() for fault in faults]
        cases += [("right", model, fault) for model, faults in RIGHT.items() for fault in faults]
        cases = [case for case in cases if not kind or case[1] == kind]
        for number, (group, model, fault) in enumerate(cases[int(first or 0) : int(last) if last else None]):
            place = Path(folder) / str(number)
            place.mkdir()
            yield from _case(pool, place, group, model, fault, seconds)


def _case(pool: Any, folder: Path, group: str, model: str, fault: str, seconds: float) -> Iterator[dict[str, Any]]:
    from tests.verification import planted
    from toolkit.verification import verifier
    from toolkit.verification.sides import open_source

    settings = verifier.Settings(count=COUNT, latency=False, search=0.0)
    right = _resolved(model, f"{fault}_right")
    source = open_source(pool, right)
    subject = verifier.subject_of(pool, source, right, _data(folder, model), settings)
    wrong = open_source(pool, _resolved(model, fault if group == "planted" else f"{fault}_right"))
    paths = dict(_written(pool, wrong, folder))
    wrong.close()
    for form, path in paths.items():
        row: dict[str, Any] = {"group": group, "model": model, "fault": fault, "format": form}
        row |= {"words": planted.FAULTS[fault].words, "random": None, "search": None}
        plan = verifier.compare_files(pool, subject, [path], settings).rows[0]
        row["plan"] = plan.verdict.value
        if plan.verdict.value == "PASS":
            if group == "planted":
                row["random"] = _random(pool, subject, path, seconds)
            row["search"] = _searched(pool, subject, path, replace(settings, search=seconds))
        print(f"{group:8} {model:14} {fault:16} {form:12} {row['plan']:5} {_brief(row)}", file=sys.stderr, flush=True)
        yield row
    source.close()


def _brief(row: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {row[name]['by'] or '-'}" for name in ("random", "search") if row[name])


def _resolved(model: str, name: str) -> Any:
    from exporters.sources import source as sources
    from tests.verification import planted

    fault = name.removesuffix("_right")
    inputs = [planted.INPUTS[fault]] if fault in planted.INPUTS else []
    return sources.resolve(f"tests.verification.planted:{model}__{name}", inputs=inputs, search=[str(ROOT)])


def _data(folder: Path, model: str) -> Path | None:
    """Word numbers have a range that no signature tells."""
    import numpy as np

    if model != "recurrent":
        return None
    np.savez(folder / "words.npz", x=np.random.default_rng(0).integers(0, 12, (60, 5)))
    return folder / "words.npz"


def _written(pool: Any, side: Any, folder: Path) -> Iterator[tuple[str, Path]]:
    """The model as TorchScript, and that as ONNX, so that branches in code stay branches; what the exporter cannot
    write is said and left out.
    """
    from exporters.options import ExportOptions
    from exporters.sources import source as sources
    from tests.verification import liars
    from toolkit.files import digest
    from toolkit.verification.sides import open_source

    def write(opened: Any, to: str, strategy: str) -> Iterator[tuple[str, Path]]:
        path = folder / FORMATS[to]
        params = {"handle": opened.handle, "to": to, "strategy": strategy, "path": str(path)}
        done = opened.worker.call("exporters.tasks:write", {**params, "options": ExportOptions().to_json()})
        if done["written"]:
            yield to, path
        else:
            print(f"not written as {to}: {done['why']}", file=sys.stderr)

    yield from write(side, "torchscript", liars.TRACE)
    script = folder / FORMATS["torchscript"]
    opened = open_source(pool, sources.resolve(script, trust=[digest(script)]))
    yield from write(opened, "onnx", "torch.onnx (TorchScript-based)")
    opened.close()


def _searched(pool: Any, subject: Any, path: Path, settings: Any) -> dict[str, Any]:
    from toolkit.verification import verifier

    subject.asked.clear()  # each file's own time, without the answers kept for the one before
    row = verifier.compare_files(pool, subject, [path], settings).rows[0]
    found = row.search
    by = found.found.partition(" after ")[0] if found.found else ("refused" if row.verdict.value != "PASS" else None)
    return {"by": by, "seconds": found.seconds, "inputs": found.inputs, "worst": found.worst, "reason": row.reason,
            "jumps": found.jumps, "left": list(found.not_tried)}  # fmt: skip


def _random(pool: Any, subject: Any, path: Path, seconds: float) -> dict[str, Any]:
    """Ordinary inputs, judged by the same measure, at the same speed: as many as fit into the time."""
    import numpy as np

    from toolkit.verification.search import conduct
    from toolkit.verification.sides import open_file
    from toolkit.verification.subject import Settings

    subject.asked.clear()
    file = open_file(pool, path, "cpu", subject.signature, None)
    planned = file.run(subject.answers.batches)
    known, trial = conduct.prepared(subject, file, subject.answers, planned, Settings())
    generator = np.random.default_rng(1)

    def ordinary() -> Iterator[list[Any]]:
        while True:
            rows = [_ordinary(known, generator) for _ in range(known.rows)]
            yield list(known.batches(rows, "search: random"))

    started = time.monotonic()
    found, by = conduct.in_turns(trial, [conduct.Timed("random", ordinary())], started + seconds)
    file.close()
    return {"by": by if found else None, "seconds": time.monotonic() - started, "inputs": trial.inputs}


def _ordinary(known: Any, generator: Any) -> dict[str, Any]:
    """Standard normal numbers, and whole ones over the range that the source takes."""
    row = {}
    for name, array in known.seeds[0].items():
        if array.dtype.kind == "f":
            row[name] = generator.standard_normal(array.shape).astype(array.dtype)
        else:
            limits = known.ranges[name]
            row[name] = generator.integers(limits.low, limits.high + 1, array.shape).astype(array.dtype)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
