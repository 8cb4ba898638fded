"""Hugging Face architectures to every format: PASS, or the reason, per cell.

python benchmarks/huggingface.py [--missing] [NAME ...]     (`make transformers`)

Tiny models with random weights are written as transformers' own folders and exported from there, as the command line
does it, with a verdict on every file. Rows go to benchmarks/results/transformers.json as they come, and the page
docs/transformers.md is made from them; names renew their rows alone, `--missing` adds those that are not there yet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import matrix  # noqa: E402 - the path comes first
from benchmarks.huggingface_models import MODELS, folder_of  # noqa: E402
from toolkit import formats  # noqa: E402
from toolkit.worker.limits import Limits  # noqa: E402
from toolkit.worker.pool import WorkerPool  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "transformers.json"
PAGE = ROOT / "docs" / "transformers.md"
PACKAGES = ("torch", "transformers", "onnx", "onnxruntime-gpu", "tensorflow", "keras")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MODELS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    wanted = [name for name in asked.names or MODELS if not (asked.missing and name in kept())]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        make(files)
        with WorkerPool(limits=Limits(threads=1, seconds=600)) as pool:
            for name in wanted:
                started = time.monotonic()
                cells = matrix.cells(pool, row(name, files), files)
                print(name, f"({time.monotonic() - started:.0f} s)")
                print(*(f"    {form} {matrix.told(cell)}" for form, cell in cells.items()), sep="\n", flush=True)
                write({**kept(), name: cells})


def make(folder: Path) -> None:
    """Every model's folder, by a process that has only PyTorch."""
    command = [sys.executable, str(ROOT / "benchmarks" / "huggingface_models.py"), str(folder)]
    settings = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **settings})
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])


def row(name: str, files: Path) -> matrix.Row:
    data = f"{folder_of(name)}.npz"
    return matrix.Row(
        MODELS[name].family,
        name,
        f"{{files}}/{folder_of(name)}",
        MODELS[name].inputs,
        data=f"{{files}}/{data}" if (files / data).exists() else None,
    )


def kept() -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else {}
    return rows


def write(rows: Mapping[str, Any]) -> None:
    data = {
        "environment": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "inputs": matrix.COUNT,
        "rows": {name: rows[name] for name in MODELS if name in rows},
    }
    RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


def page(data: Mapping[str, Any]) -> str:
    """The whole page, from the results file alone."""
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    rows = data["rows"]
    shares = ", ".join(f"{form} {sum(row[form]['verdict'] == 'PASS' for row in rows.values())}" for form in formats.ALL)
    lines = [
        "# Hugging Face architectures to every format",
        "",
        "Written by `make transformers` from `benchmarks/results/transformers.json`. Each model is a tiny one with",
        "random weights, exported from the folder that `save_pretrained` writes. Text models keep batch and sequence",
        f"free. Each PASS stands on at least {data['inputs']} inputs in batches of 1, 2, 3 and 7; the number beside it",
        "is R, the error in units of the source's own rounding error ([how](verdict.md)); `=` means bit for bit. A",
        "number in brackets leads to the reason, in a user's words.",
        "",
        f"Of {len(rows)} architectures PASS: {shares}. {versions}.",
    ]
    for family in dict.fromkeys(model.family for model in MODELS.values()):
        names = [name for name, model in MODELS.items() if model.family == family and name in rows]
        if names:
            title = {name: f"{name} (`{MODELS[name].kind}`)" for name in names}
            lines += ["", f"## {family.capitalize()}", "", *matrix.table({title[name]: rows[name] for name in names})]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
