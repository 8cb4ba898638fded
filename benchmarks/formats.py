"""Train both models in three frameworks, export each to four formats, and write R and latency of every cell as JSON.

python benchmarks/formats.py [--threads N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from toolkit import demo
from toolkit.verification.report import Row
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

_LATENCY = ("median", "p90", "p99", "source_median", "ratio", "low", "high", "verdict", "cold_start", "noisy")
RESULTS = Path(__file__).resolve().parent / "results" / "formats.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of every runtime; 1 is the most repeatable")
    limits = Limits(threads=parser.parse_args().threads)
    with tempfile.TemporaryDirectory() as folder, WorkerPool(limits=limits) as pool:
        made = demo.run(pool, Path(folder))
    data = {
        "environment": made.reports[0][1].environment,
        "seconds": made.seconds,
        "sources": [
            {
                "name": name,
                "accuracy": report.reference.accuracy,
                "inputs": report.coverage.words,
                "cells": {row.format: cell(row) for row in report.rows},
            }
            for name, report in made.reports
        ],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"wrote {RESULTS}")


def cell(row: Row) -> dict[str, Any]:
    output = row.worst_output
    latency = row.latency
    return {
        "verdict": row.verdict.value,
        "reason": row.reason,
        "runtime": row.runtime,
        "max_abs": output.max_abs if output else None,
        "noise_ratio": output.noise_ratio if output else None,
        "worst_ratio": output.worst_ratio if output else None,
        "lenses": {lens.name: {"passed": lens.passed, "value": lens.value} for lens in row.lenses},
        "latency": {name: getattr(latency, name) for name in _LATENCY} if latency else None,
    }


if __name__ == "__main__":
    main()
