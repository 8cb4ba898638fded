"""What rebuilding costs as graphs grow: CPU seconds and memory from 1e3 to 1e5 nodes, deep and wide.

python benchmarks/import_scale.py [--sizes N ...] [--targets torchscript keras] [--shapes chain wide]

(`make import-scale`.) `chain` is one operator behind the other, Add, Mul and Relu in turns, some with a weight; `wide`
is many short branches of Mul, Relu and Add that are added up in pairs. Each is rebuilt in a process of its own, from
the file to the TorchScript file or to the Keras model. Memory is the peak above what stood before. Rows that are not
run are kept. Writes benchmarks/results/import_scale.json and docs/import-scale.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RESULTS = ROOT / "benchmarks" / "results" / "import_scale.json"
PAGE = ROOT / "docs" / "import-scale.md"
SIZES = (1_000, 10_000, 100_000)
SHAPES = ("chain", "wide")
TARGETS = ("torchscript", "keras")
LONGEST = 1_800  # seconds for one row
INTRODUCTION = (
    "CPU seconds and peak memory of rebuilding an ONNX graph of so many nodes, from the file to the TorchScript file "
    "or to the Keras model, one thread, a process for each row, imports left out. `chain` is one operator behind the "
    "other; `wide` is many short branches, added up in pairs."
)


def chain(nodes: int) -> tuple[list[onnx.NodeProto], list[str]]:
    made, weights = [], []
    for i in range(nodes):
        kind = ("Add", "Mul", "Relu")[i % 3]
        weights += [f"w{i}"] if kind != "Relu" and i % 30 < 3 else []
        other = [f"w{i}"] if weights and weights[-1] == f"w{i}" else ["half"] if kind == "Mul" else ["x"]
        made.append(helper.make_node(kind, [f"v{i}" if i else "x", *(other if kind != "Relu" else [])], [f"v{i + 1}"]))
    return made, weights


def wide(nodes: int) -> tuple[list[onnx.NodeProto], list[str]]:
    made, weights, level = [], [], []
    for i in range(nodes // 4):
        weights += [f"w{i}"] if i % 10 == 0 else []
        made.append(helper.make_node("Mul", ["x", "half" if i % 10 else f"w{i}"], [f"a{i}"]))
        made.append(helper.make_node("Relu", [f"a{i}"], [f"b{i}"]))
        made.append(helper.make_node("Add", [f"b{i}", "x"], [f"c{i}"]))
        level.append(f"c{i}")
    while len(level) > 1:
        pairs = list(zip(level[::2], level[1::2], strict=False))
        results = [f"{one}_" for one, _ in pairs]
        made += [helper.make_node("Add", pair, [result]) for pair, result in zip(pairs, results, strict=True)]
        level = results + level[2 * len(pairs) :]
    return made, weights


def written(shape: str, nodes: int, folder: Path) -> Path:
    made, weights = {"chain": chain, "wide": wide}[shape](nodes)
    last = made[-1].output[0]
    random = np.random.default_rng(0)
    held = [numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    held += [numpy_helper.from_array(random.uniform(0.9, 1.1, 8).astype(np.float32), name) for name in weights]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8])] for name in ("x", last)]
    graph = helper.make_graph(made, shape, *ends, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "m.onnx")
    return folder / "m.onnx"


def peak() -> float:
    """The process' largest resident memory since the last reset, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(shape: str, nodes: int, target: str) -> dict[str, float]:
    """One row, in this process."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as text:
        path = written(shape, nodes, Path(text))
        if target == "torchscript":
            import torch

            from exporters import to_torchscript
            from exporters.graph import read, signature
            from exporters.options import ExportOptions
            from toolkit.contract import Contract

            torch.set_num_threads(1)
            declared = signature.signature(read.read(path))

            def build() -> None:
                to_torchscript.from_onnx(path, Path(text) / "m.pt", declared, Contract(), ExportOptions())
        else:
            from exporters import onnx_to_keras
            from exporters.onnx_to_keras import builder  # noqa: F401 - imports are no part of what is measured

            def build() -> None:
                onnx_to_keras.build(path)

        Path("/proc/self/clear_refs").write_text("5")
        before, started = peak(), time.process_time()
        build()
        return {"cpu_s": time.process_time() - started, "memory_mb": peak() - before}


def page(rows: dict[str, dict[str, float]]) -> str:
    table = ["| target | shape | nodes | CPU s | ms a node | peak, MB |", "|---|---|---:|---:|---:|---:|"]
    for key, row in sorted(rows.items(), key=lambda item: (*item[0].split()[:2], int(item[0].split()[2]))):
        target, shape, nodes = key.split()
        each = 1e3 * row["cpu_s"] / int(nodes)
        table.append(
            f"| {target} | {shape} | {int(nodes):,} | {row['cpu_s']:.1f} | {each:.2f} | {row['memory_mb']:.0f} |"
        )
    note = "<!-- written by benchmarks/import_scale.py: do not edit -->"
    return "\n\n".join(["# Rebuilding large graphs", note, INTRODUCTION, "\n".join(table)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, choices=SHAPES)
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    parser.add_argument("--one", action="store_true", help="measure the one row here and print it")
    given = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for target in given.targets:
        for shape in given.shapes:
            for nodes in given.sizes:
                if given.one:
                    print(json.dumps(measure(shape, nodes, target)))
                    continue
                words = ["--one", "--sizes", str(nodes), "--shapes", shape, "--targets", target]
                done = subprocess.run(
                    [sys.executable, __file__, *words], capture_output=True, text=True, check=True, timeout=LONGEST
                )
                rows[f"{target} {shape} {nodes}"] = json.loads(done.stdout.splitlines()[-1])
                print(target, shape, nodes, rows[f"{target} {shape} {nodes}"], flush=True)
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
                PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
