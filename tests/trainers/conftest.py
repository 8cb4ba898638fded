"""What the framework tests share: each framework runs in a process of its own, once, before the first test needs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("scenarios.py")
# One thread each, as the toolkit's workers have: on a busy machine more are slower, and sums keep their order.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONPATH": str(ROOT),
}


@dataclass(frozen=True)
class Gathered:
    """What scenarios.py found out about one framework, the folder with its files, and how the killed run ended."""

    folder: Path
    found: dict
    killed_with: int


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def gather(framework: str, folder: Path) -> Gathered:
    folder.mkdir()
    killed = run(SCRIPT, "kill", framework, folder)
    done = run(SCRIPT, "gather", framework, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return Gathered(folder, json.loads((folder / "found.json").read_text()), killed.returncode)


@pytest.fixture
def python():
    """Runs Python on its arguments in a process of its own, as the scenarios run."""
    return run


@pytest.fixture(scope="session")
def gathered(tmp_path_factory) -> dict[str, Gathered]:
    folder = tmp_path_factory.mktemp("trainers")
    with ThreadPoolExecutor(max_workers=2) as pool:
        # The slowest first.
        runs = {name: pool.submit(gather, name, folder / name) for name in ("keras", "tensorflow", "torch")}
        return {name: run.result() for name, run in runs.items()}
