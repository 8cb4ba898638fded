"""Damaged ONNX models by the thousand through the importer; the short form of this is a test.

python benchmarks/fuzz_onnx.py [SEEDS] [COUNT]

Each seed's models go through a process of their own, which is started again behind a model that crashes or hangs it.
Prints what raised anything but a clear error, and exits 1 where something did.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FUZZ = Path(__file__).resolve().parents[1] / "tests" / "importers" / "fuzz.py"
_PATIENCE = 600  # seconds for one process


def outcomes(seed: int, count: int) -> list[dict[str, Any]]:
    """Every model's outcome; 'crashed' or 'hung' for one that took its process with it."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        command = [sys.executable, str(FUZZ), str(seed), str(count), str(len(rows))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
            text, end = done.stdout, "crashed"
        except subprocess.TimeoutExpired as error:
            text, end = (error.stdout or b"").decode(), "hung"
        rows += [json.loads(line) for line in text.splitlines() if line.startswith('{"name"')]
        if len(rows) < count:
            rows.append({"name": f"{seed}-{len(rows)}", "what": end, "message": "", "seconds": 0.0})
    return rows


def main(seeds: int = 10, count: int = 500) -> None:
    rows = [row for seed in range(seeds) for row in outcomes(seed, count)]
    print(
        dict(collections.Counter(row["what"] for row in rows)), f"slowest {max(row['seconds'] for row in rows):.1f} s"
    )
    wrong = [row for row in rows if row["what"] not in ("written", "refused")]
    for row in wrong:
        print(f"{row['name']}: {row['what']} {row['message']}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
