"""The results of the three suites, each run in a process of its own, once per test session."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from tests.importers.cases import all_cases

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "exceptions.json").read_text()) if (HERE / "exceptions.json").exists() else {}


def script(name: str, *arguments: str) -> Any:
    """What the script `name` of this folder prints, as JSON."""
    done = subprocess.run([sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@cache
def results() -> dict[str, dict[str, Any]]:
    """The sampled cases' outcomes in all columns; of the Keras models, some become files. Both suites at once."""
    all_cases()  # once, before two processes would collect them side by side
    with ThreadPoolExecutor(2) as pool:
        torch = pool.submit(script, "torch_suite.py", "--sample")
        keras = pool.submit(script, "keras_suite.py", "--sample")
    return {name: row | keras.result()[name] for name, row in torch.result().items()}


def expected(column: str) -> dict[str, str]:
    """Case -> the reason why it is not expected to pass in `column`."""
    return {case: reason for reason, cases in EXPECTED.get(column, {}).items() for case in cases}


def surprises(rows: dict[str, dict[str, Any]], column: str) -> list[str]:
    """Cases that fail without a reason, and cases that pass although a reason says they cannot."""
    reasons = expected(column)
    rows = {case: row for case, row in rows.items() if column in row}
    found = [f"{case}: {row[column]}" for case, row in rows.items() if row[column] != "ok" and case not in reasons]
    found += [
        f"{case} passes, although: {reasons[case]}"
        for case, row in rows.items()
        if row[column] == "ok" and case in reasons
    ]
    return found
