"""Keras' applications and small nets to ONNX and TorchScript: verdicts, sizes of graphs, conversion time and memory.

python benchmarks/applications.py [NAME ...]

Each model is converted in a process of its own, and exported and verified once more through the toolkit, which tries
batches of 1, 2, 3 and 7. Rows are written to benchmarks/results/applications.json as they come, and the page
docs/applications.md from them; names given on the command line renew their rows alone.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit import bundle
from toolkit.errors import ToolkitError
from toolkit.verification.report import Row
from toolkit.verification.verifier import Settings
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "applications.json"
PAGE = HERE.parent / "docs" / "applications.md"
COUNT = 32  # inputs that a verdict is made of, besides those that are searched for
FORMATS = ("onnx", "torchscript")


def main() -> None:
    if sys.argv[1:2] == ["--convert"]:
        print(json.dumps(converted(sys.argv[2])))
        return
    names = sys.argv[1:] or _names()
    kept = json.loads(RESULTS.read_text("utf-8"))["models"] if RESULTS.exists() else {}
    for name in names:
        kept[name] = {**_in_own_process(name), **verified(name)}
        print(name, kept[name], flush=True)
        packages = {
            package: version(package) for package in ("keras", "tensorflow", "tf2onnx", "onnxruntime-gpu", "torch")
        }
        environment = {"python": platform.python_version(), "machine": platform.machine(), "threads": 1, **packages}
        ordered = {each: kept[each] for each in _names() if each in kept}
        data = {"environment": environment, "inputs": COUNT, "models": ordered}
        RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        PAGE.write_text(page(data), encoding="utf-8")


def _names() -> list[str]:
    """The zoo's names, without importing Keras into this process."""
    code = "import keras_zoo; print(*keras_zoo.NAMES)"
    found = subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True, capture_output=True, text=True)
    return found.stdout.split()


def _in_own_process(name: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), "--convert", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def converted(name: str) -> dict[str, Any]:
    """Convert one model to ONNX in this process: CPU seconds, memory above the open model's, and operators."""
    sys.path.insert(0, str(HERE))
    import keras_zoo
    import onnx

    from exporters import to_onnx
    from exporters.sources import keras_model

    model = keras_zoo.built(name)
    with keras_model.open_object(sources.resolve(model), "cpu", None, model) as runner:
        strategy = to_onnx.strategies(runner)["tf2onnx"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            before, started = _peak(), time.process_time()
            strategy(runner, path, ExportOptions())
            seconds, peak = time.process_time() - started, _peak() - before
            operators = Counter(node.op_type for node in _nodes(onnx.load(path, load_external_data=False).graph))
    return {
        "weights_mb": round(model.count_params() * 4 / 1e6, 1),
        "nodes": operators.total(),
        "transposes": operators["Transpose"],
        "loops": operators["Loop"] + operators["Scan"],
        "cpu_seconds": round(seconds, 2),
        "peak_mb": round(peak / 1e3),
    }


def _peak() -> int:
    """The most memory that this process has held, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _nodes(graph: Any) -> Any:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def verified(name: str) -> dict[str, Any]:
    """Both formats through the toolkit: verdict and R of each."""
    source = sources.resolve(f"keras_zoo:build_{name}", framework="keras", search=[str(HERE)])
    with tempfile.TemporaryDirectory() as folder, WorkerPool(limits=Limits(threads=1, seconds=1800)) as pool:
        settings = Settings(count=COUNT, latency=False)
        request = bundle.Request(source, FORMATS, Path(folder) / "out", ExportOptions(), settings)
        try:
            rows = bundle.carry_out(pool, request).report.rows
        except ToolkitError as error:
            return {"refused": str(error)[:300]}
    return {row.format: _cell(row) for row in rows}


def _cell(row: Row) -> dict[str, Any]:
    output = row.worst_output
    return {"verdict": row.verdict.value, "reason": row.reason, "noise_ratio": output.noise_ratio if output else None}


_TITLES = ("model", "weights", "ONNX", "TorchScript", "nodes", "Transpose", "Loop", "CPU s", "memory")


def page(data: dict[str, Any]) -> str:
    """The whole page, from the results file alone."""
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    lines = [
        "# Keras models to ONNX and TorchScript",
        "",
        "Written by `make applications` from `benchmarks/results/applications.json`. Weights are random, and biases",
        "and statistics are moved off the zeros and ones of new layers. Each verdict stands on at least",
        f"{data['inputs']} inputs in batches of 1, 2, 3 and 7; R is the error in units of the source's own rounding",
        "error ([how](verdict.md)). CPU seconds, and memory above that of the open model, are those of the conversion",
        "to ONNX.",
        "",
        f"{versions}.",
        "",
        "| " + " | ".join(_TITLES) + " |",
        "|" + " --- |" * len(_TITLES),
        *("| " + " | ".join(_line(name, row)) + " |" for name, row in data["models"].items()),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [name, "", row["error"], *[""] * (len(_TITLES) - 3)]
    counts = [str(row[key]) for key in ("nodes", "transposes", "loops")]
    verdicts = [_verdict(row, form) for form in FORMATS]
    return [name, f"{row['weights_mb']} MB", *verdicts, *counts, f"{row['cpu_seconds']:.1f}", f"{row['peak_mb']} MB"]


def _verdict(row: dict[str, Any], form: str) -> str:
    if form not in row:
        return f"refused: {row.get('refused', '')}".replace("|", "/").replace("\n", " ")
    cell = row[form]
    ratio = f", R {cell['noise_ratio']:.2f}" if cell["noise_ratio"] is not None else ""
    return f"{cell['verdict']}{ratio}"


if __name__ == "__main__":
    main()
