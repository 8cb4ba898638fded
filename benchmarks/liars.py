"""How far right conversions and liars lie from the limits of the verdict.

    python benchmarks/liars.py [--count 256] [--check]

Puts every liar and every correct conversion of tests/verification to the verdict, in real workers, and notes R (pooled
over the inputs, and of the worst input), what the second looks say, and the verdict. Writes
benchmarks/results/liars.json and, from it, docs/liars.md; `--check` only says whether the page is that of the figures.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RESULT = ROOT / "benchmarks" / "results" / "liars.json"
PAGE = ROOT / "docs" / "liars.md"
KINDS = ("dense", "convolutional", "plain", "recurrent")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=256, help="inputs for each comparison")
    parser.add_argument("--check", action="store_true", help="compare the page with the figures; measure nothing")
    given = parser.parse_args()
    if given.check:
        return int(PAGE.read_text(encoding="utf-8") != page(json.loads(RESULT.read_text(encoding="utf-8"))))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(Path(folder), given.count))
    record = {
        "schema": 1,
        "command": f"python benchmarks/liars.py --count {given.count}",
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "limits": limits(),
        "rows": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(record), encoding="utf-8")
    print(page(record))
    return 0


def machine() -> dict[str, Any]:
    packages = ("torch", "onnxruntime-gpu", "tensorflow", "keras", "onnx", "numpy")
    return {"platform": platform.platform(), "cores": os.cpu_count(), "threads": 1, "device": "cpu"} | {
        name: version(name) for name in packages
    }


def limits() -> dict[str, float]:
    from toolkit.verification.judge import Thresholds

    return Thresholds().to_json()


def measured(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """One row for every file: what it is, R and the verdict."""
    import onnx

    from tests.verification import liars
    from tests.verification.graphs import GRAPH_LIES
    from tests.verification.test_liars import RIGHT_FILES, RIGHT_ROWS
    from tests.verification.variants import UNSEEN, VARIANTS

    with liars.workers() as pool:
        for kind in KINDS:
            (folder / kind).mkdir()
            bench = liars.opened(pool, kind, folder / kind, count=count)
            right = bench.write("right.onnx", "onnx", liars.OLDER)
            for name in (name for model, name in RIGHT_ROWS if model == kind):
                yield _row(kind, "right", name, bench.verdict(RIGHT_FILES[name](bench, right)))
            for group, variants in (("arithmetic", VARIANTS), ("unseen", UNSEEN)):
                for name in variants.get(kind, {}):
                    path = bench.write("variant.pt", "torchscript", liars.TRACE, variant=name)
                    yield _row(kind, group, name, bench.verdict(path))
            for name, lie in GRAPH_LIES.items() if kind in ("dense", "convolutional") else ():
                model = onnx.load(right)
                lie.edit(model)
                path = bench.folder / "lie.onnx"
                onnx.save(model, path)
                yield _row(kind, "interface", name, bench.verdict(path))
            bench.side.close()


def _row(model: str, group: str, name: str, row: Any) -> dict[str, Any]:
    from toolkit.verification.report import strict

    ratios = [output.noise_ratio for output in row.outputs if output.noise_ratio is not None]
    worst = [output.worst_ratio for output in row.outputs if output.worst_ratio is not None]
    lenses = {lens.name: lens.passed for lens in row.lenses}
    print(f"{model:14} {group:10} {name:32} {row.verdict}", file=sys.stderr, flush=True)
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
    })  # fmt: skip
    return found


_PAGE = """\
# Right conversions and liars

Made by `{command}` (torch {torch}, onnxruntime {onnxruntime}, tensorflow {tensorflow}; CPU, one thread).
R is an export's error against the float64 truth in units of the source's own error; *pooled* is over all inputs,
*worst* that of the worst single input; of several outputs the largest is shown.

| model | right conversions | flagged | liars | caught |
|---|---:|---:|---:|---:|
{counts}

## The margin

R up to {pass_ratio:g} passes, above {fail_ratio:g} fails at once; between the two, four times as many inputs decide.
The worst input may have {worst_ratio:g}.

- Right conversions: pooled R up to {right_pooled}, worst input up to {right_worst}.
- Liars that the pooled R shows: from {first_seen}, half of them above {middle_seen:.3g}.
- {hidden_count} of {numeric_count} liars lie below a pooled R of {pass_ratio:g}: the worst input, the run in float64 or
  the weights' bits show them.

## Liars that the pooled R does not show

| model | liar | pooled R | worst R | float64 | weights | reason |
|---|---|---:|---:|---|---|---|
{hidden}

## Mistakes that nothing shows

Smaller than what rounding a model's scalars to float32, as every file format does, may change.

| model | mistake | pooled R | worst R | float64 | weights | verdict |
|---|---|---:|---:|---|---|---|
{unseen}

## Right conversions

| model | file | pooled R | worst R | float64 | weights | verdict |
|---|---|---:|---:|---|---|---|
{right}

## All liars

| model | liar | pooled R | worst R | float64 | weights | reason |
|---|---|---:|---:|---|---|---|
{lies}

Lies of the process (crashes, hangs, memory, garbage, false devices) have no figures; `tests/verification/test_liars.py`
lists them.
"""


def page(record: dict[str, Any]) -> str:
    """docs/liars.md, from the figures alone."""
    rows, machine, limits = record["rows"], record["machine"], record["limits"]
    right, unseen = ([row for row in rows if row["group"] == group] for group in ("right", "unseen"))
    lies = [row for row in rows if row["group"] in ("arithmetic", "interface")]
    numeric = sorted((row for row in lies if row["compared"] and row["pooled"] is not None), key=lambda r: r["pooled"])
    seen = [row for row in numeric if row["pooled"] > limits["pass_ratio"]]
    hidden = [row for row in numeric if row not in seen]
    return _PAGE.format(
        command=record["command"],
        torch=machine["torch"],
        onnxruntime=machine["onnxruntime-gpu"],
        tensorflow=machine["tensorflow"],
        **limits,
        counts="\n".join(_counts(model, right, lies) for model in (*KINDS, "all")),
        right_pooled=_largest(right, "pooled"),
        right_worst=_largest(right, "worst"),
        first_seen=_figure(seen[0], "pooled"),
        middle_seen=seen[len(seen) // 2]["pooled"],
        hidden_count=len(hidden),
        numeric_count=len(numeric),
        hidden="\n".join(_line(row, row["reason"]) for row in hidden),
        unseen="\n".join(_line(row, row["verdict"]) for row in unseen),
        right="\n".join(_line(row, row["verdict"]) for row in right),
        lies="\n".join(_line(row, row["reason"]) for row in lies),
    )


def _counts(model: str, right: list[dict[str, Any]], lies: list[dict[str, Any]]) -> str:
    ours, theirs = ([row for row in rows if model in ("all", row["model"])] for rows in (right, lies))
    flagged = sum(row["verdict"] != "PASS" for row in ours)
    caught = sum(row["verdict"] == "FAIL" for row in theirs)
    return f"| {model} | {len(ours)} | {flagged} | {len(theirs)} | {caught} |"


def _largest(rows: list[dict[str, Any]], key: str) -> str:
    return _figure(max((row for row in rows if row[key] is not None), key=lambda row: row[key]), key)


def _figure(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.2f} ({row['model']}, {row['name']})"


def _line(row: dict[str, Any], last: str) -> str:
    ratios = ("-" if row[key] is None else f"{row[key]:.3g}" for key in ("pooled", "worst"))
    lenses = ({True: "agrees", False: "**differs**", None: "-"}[row[key]] for key in ("float64", "weights"))
    words = last.replace("|", "\\|").splitlines()[0][:110] if last else ""
    return " | ".join(["| " + row["model"], row["name"].replace("_", " "), *ratios, *lenses, words + " |"])


if __name__ == "__main__":
    raise SystemExit(main())
