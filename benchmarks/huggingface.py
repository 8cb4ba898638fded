"""Hugging Face architectures to every format: PASS, or the reason, per cell.

python benchmarks/huggingface.py [--missing] [NAME ...]     (`make transformers`)

Tiny models with random weights are written as transformers' own folders and exported from there, as the command line
does it, with a verdict on every file. Rows go to benchmarks/results/transformers.json as they come, and the page
docs/transformers.md is made from them; names renew their rows alone, `--missing` adds those that are not there yet.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import families, matrix
from benchmarks.huggingface_models import MODELS, folder_of

TABLE = families.Table(
    name="transformers",
    title="Hugging Face architectures to every format",
    words=(
        "Each model is a tiny one with random weights, exported from the folder that `save_pretrained` writes. Text",
        "models keep batch and sequence free.",
    ),
    package="transformers",
    families={
        family: {name: f"{name} (`{model.kind}`)" for name, model in MODELS.items() if model.family == family}
        for family in dict.fromkeys(model.family for model in MODELS.values())
    },
    noun="architectures",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--missing", action="store_true", help="only what has no row yet")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MODELS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    wanted = [name for name in asked.names or MODELS if not (asked.missing and name in families.kept(TABLE))]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        make(files)
        families.fill(TABLE, ((name, row(name, files)) for name in wanted), files)


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


if __name__ == "__main__":
    main()
