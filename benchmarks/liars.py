"""How far right conversions and liars lie from the limits of the verdict.

    python benchmarks/liars.py [--count 256] [--seeds 12] [--check]                    (`make liars`)

Puts every liar and every correct conversion of tests/verification to the verdict, in real workers, and notes R (pooled
over the inputs, and of the worst input), what the second looks say, the verdict, and what other ways of checking say of
the same outputs. Then the right conversions once more with other weights, in workers of one thread and of two. Writes
benchmarks/results/liars.json and, from it, docs/liars.md and docs/liars.svg; `--check` only says whether the page is
that of the figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import liars_page, other_verifiers

RESULT = ROOT / "benchmarks" / "results" / "liars.json"
PAGE = ROOT / "docs" / "liars.md"
PLOT = ROOT / "docs" / "liars.svg"
KINDS = ("dense", "convolutional", "plain", "recurrent", "attention", "detection", "grouped")
COUNT_OF_SEEDS = 96  # inputs for each right conversion with other weights
FAST = ("script.pt", "trace.pt", "hub.pt", "older.onnx", "opset_17.onnx", "opset_20.onnx", "basic.onnx",
        "extended.onnx", "hub.h5", "hub")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=256, help="inputs for each comparison")
    parser.add_argument("--seeds", type=int, default=12, help="weights that the right conversions are tried with")
    parser.add_argument("--check", action="store_true", help="compare the page with the figures; measure nothing")
    given = parser.parse_args()
    if given.check:
        record = json.loads(RESULT.read_text(encoding="utf-8"))
        return int(PAGE.read_text(encoding="utf-8") != liars_page.page(record))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(Path(folder), given.count))
    with tempfile.TemporaryDirectory() as folder:
        rows += list(other_weights(Path(folder), given.seeds))
    record = {
        "schema": 2,
        "command": f"python benchmarks/liars.py --count {given.count} --seeds {given.seeds}",
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "limits": limits(),
        "ways": other_verifiers.NAMES,
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(liars_page.page(record), encoding="utf-8")
    liars_page.plot(record, PLOT)
    return 0


def machine() -> dict[str, Any]:
    packages = ("torch", "onnxruntime-gpu", "tensorflow", "keras", "onnx", "numpy", "polygraphy")
    return {"platform": platform.platform(), "cores": os.cpu_count(), "device": "cpu"} | {
        name: version(name) for name in packages
    }


def limits() -> dict[str, float]:
    from toolkit.verification.judge import Thresholds

    return Thresholds().to_json()


def measured(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """One row for every file: what it is, R, the verdict, and what others say."""
    import onnx

    from tests.verification import liars
    from tests.verification.graphs import GRAPH_LIES
    from tests.verification.test_liars import RIGHT_FILES, RIGHT_ROWS, TWO_OUTPUTS
    from tests.verification.variants import UNSEEN, VARIANTS

    with liars.workers() as pool:
        for kind in KINDS:
            (folder / kind).mkdir()
            bench = liars.opened(pool, kind, folder / kind, count=count)
            right = bench.write("right.onnx", "onnx", liars.OLDER)
            for name in (name for model, name in RIGHT_ROWS if model == kind):
                yield _row(bench, "right", name, RIGHT_FILES[name](bench, right))
            for group, variants in (("arithmetic", VARIANTS), ("unseen", UNSEEN)):
                for name in variants.get(kind, {}):
                    yield _row(bench, group, name, bench.write("variant.pt", "torchscript", liars.TRACE, variant=name))
            for name, lie in GRAPH_LIES.items() if kind in TWO_OUTPUTS else ():
                model = onnx.load(right)
                lie.edit(model)
                path = bench.folder / "lie.onnx"
                onnx.save(model, path)
                yield _row(bench, "interface", name, path)
            bench.side.close()


def other_weights(folder: Path, seeds: int) -> Iterator[dict[str, Any]]:
    """The right conversions of every model with other weights, in workers of one thread and of two in turn."""
    from tests.verification import liars
    from tests.verification.test_liars import RIGHT_FILES

    for threads in (1, 2):
        with liars.workers(threads) as pool:
            for seed, kind in itertools.product(range(threads, seeds + 1, 2), KINDS):
                place = folder / f"{kind}_{seed}"
                place.mkdir()
                bench = liars.opened(pool, f"{kind}_seed{seed}", place, count=COUNT_OF_SEEDS)
                right = bench.write("right.onnx", "onnx", liars.OLDER)
                for name in FAST:
                    yield _row(bench, "seeds", name, RIGHT_FILES[name](bench, right)) | {
                        "seed": seed,
                        "threads": threads,
                    }
                bench.side.close()


def _row(bench: Any, group: str, name: str, path: Path) -> dict[str, Any]:
    from toolkit.verification.report import strict

    row = bench.verdict(path)
    model = bench.kind.partition("_seed")[0]
    ratios = [output.noise_ratio for output in row.outputs if output.noise_ratio is not None]
    worst = [output.worst_ratio for output in row.outputs if output.worst_ratio is not None]
    lenses = {lens.name: lens.passed for lens in row.lenses}
    print(f"{bench.kind:20} {group:10} {name:32} {row.verdict}", file=sys.stderr, flush=True)
    found: dict[str, Any] = strict({
        "model": model,
        "group": group,
        "name": name,
        "verdict": row.verdict.value,
        "reason": row.reason,
        "pooled": max(ratios, default=None),
        "worst": max(worst, default=None),
        "compared": bool(lenses),
        "float64": lenses.get("float64"),
        "weights": lenses.get("weights"),
        "others": _others(bench, path),
    })  # fmt: skip
    return found


def _others(bench: Any, path: Path) -> dict[str, bool]:
    """What other ways say; a file that cannot be opened or run passes nowhere."""
    from toolkit.errors import ToolkitError
    from toolkit.verification.sides import open_file

    answers = bench.subject.answers
    try:
        side = open_file(bench.pool, path, "cpu", bench.subject.signature, None)
        outputs = side.run(answers.batches)
        side.close()
    except ToolkitError:
        return dict.fromkeys(other_verifiers.NAMES, False)
    return other_verifiers.opinions([batch.kind for batch in answers.batches], answers.source, outputs)


if __name__ == "__main__":
    raise SystemExit(main())
