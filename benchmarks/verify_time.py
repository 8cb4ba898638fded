"""What `toolkit verify` costs beyond the models: CPU seconds of a two-layer model, and a large one's share.

python benchmarks/verify_time.py [--repeats N] [--parts small large] [--against DIR]

(`make verify-time`.) The small part verifies a two-layer model of each framework in four formats, and imports the
frameworks once each in processes of their own, in turns; what is told is the median of the command's CPU seconds (all
its processes, user and system) less that of the imports. The large part verifies Keras' ResNet50 with random weights in
four formats at five batch sizes, and asks the report how much of it was inside the models. With `--against`, another
checkout of this project is measured in the same turns. Rows of parts that are not run are kept. Writes
benchmarks/results/verify_time.json and docs/verify-time.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "verify_time.json"
PAGE = ROOT / "docs" / "verify-time.md"
LONGEST = 1_800  # seconds for one command
IMPORTS = ("import torch", "import tensorflow, keras", "import onnxruntime")
SMALL = ("torch", "keras", "tensorflow")
GOAL, SHARE = 2.0, 0.7
MODELS = """
def torch():
    import torch
    from torch import nn
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10)), torch.zeros(2, 16)

def keras():
    import keras
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((16,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10)])

def tensorflow():
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = (
                tf.Variable(0.2 * tf.random.stateless_normal(shape, (1, 2))) for shape in ((16, 32), (32, 10))
            )

        @tf.function(input_signature=[tf.TensorSpec([None, 16], tf.float32)])
        def __call__(self, x):
            return {"y": tf.nn.relu(x @ self.hidden) @ self.out}

    return Net()

def resnet50():
    import keras
    keras.utils.set_random_seed(0)
    return keras.applications.ResNet50(weights=None)
"""
INTRODUCTION = (
    "What `toolkit verify` takes beside running the models, from the command line to the table, worker processes "
    "included."
)
SMALL_WORDS = (
    "Importing PyTorch, TensorFlow with Keras, and ONNX Runtime once each, every one in a process of its own: "
    "{imports:.1f} CPU s. Medians of {repeats} turns with the commands. The workers' own imports cost less than these, "
    "since Python's garbage collector rests meanwhile. Goal: at most {goal:g} beyond them."
)
LARGE_WORDS = (
    "Keras' ResNet50 with random weights, {inputs} inputs in batches of {batch_sizes}: {cpu:.0f} CPU s, {wall:.0f} s. "
    "The source runs twice and in float64, every file in float32, in float64 and for its latency. Goal: {goal:.0f} % "
    "in the models. The same stages stand in every JSON report."
)


@dataclass(frozen=True)
class Cost:
    cpu: float
    wall: float


def run(words: Sequence[str], folder: Path, tree: Path = ROOT) -> Cost:
    """CPU seconds (user and system, of every process that it started) and wall seconds of one command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True,
        text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def toolkit(*words: str) -> list[str]:
    return ["-m", "toolkit", *words]


def framework(name: str) -> list[str]:
    return ["--framework", "keras" if name == "resnet50" else name]


def exported(name: str, folder: Path) -> str:
    """A bundle of the model in four formats, and the words that name it and its source."""
    run(
        toolkit(
            "export",
            f"two:{name}",
            *framework(name),
            "--to",
            "all",
            "-o",
            f"out-{name}",
            "--no-latency",
            "--count",
            "32",
        ),
        folder,
    )
    return f"out-{name}"


def small(folder: Path, repeats: int, trees: dict[str, Path]) -> dict[str, Any]:
    bundles = {name: exported(name, folder) for name in SMALL}
    costs: dict[str, list[Cost]] = {}
    for turn in range(repeats):
        for line in IMPORTS:
            costs.setdefault(line, []).append(run(["-c", line], folder))
        for name, bundle in bundles.items():
            words = toolkit("verify", f"two:{name}", *framework(name), bundle, "-q")
            for tree, path in trees.items():
                for more in ("--latency", "--no-latency"):
                    costs.setdefault(f"{tree} {name} {more}", []).append(run([*words, more], folder, path))
        print(f"turn {turn + 1} of {repeats}", flush=True)
    cpu = {what: statistics.median(cost.cpu for cost in found) for what, found in costs.items()}
    imports = sum(cpu.pop(line) for line in IMPORTS)
    return {
        "repeats": repeats,
        "imports": imports,
        "rows": {what: {"cpu": value, "beyond": value - imports} for what, value in cpu.items()},
    }


def large(folder: Path, trees: dict[str, Path]) -> dict[str, Any]:
    bundle = exported("resnet50", folder)
    words = toolkit("verify", "two:resnet50", *framework("resnet50"), bundle, "-q", "--count", "32")
    rows = {}
    for tree, path in trees.items():
        cost = run([*words, "--json", f"{tree}.json"], folder, path)
        report = json.loads((folder / f"{tree}.json").read_text(encoding="utf-8"))
        stages = report.get("stages", [])
        rows[tree] = {"cpu": cost.cpu, "wall": cost.wall, "batch_sizes": report["coverage"]["batch_sizes"],
                      "inputs": report["coverage"]["inputs"], "stages": stages}  # fmt: skip
        print(tree, rows[tree], flush=True)
    return rows


def shares(row: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Stage, and its share of the command's CPU and wall seconds; what lies before and after is the last."""
    found = [(stage["name"], stage["cpu"] / row["cpu"], stage["wall"] / row["wall"]) for stage in row["stages"]]
    rest = ("the command itself", 1 - sum(cpu for _, cpu, _ in found), 1 - sum(wall for _, _, wall in found))
    return [*found, rest]


def page(data: dict[str, Any]) -> str:
    parts = ["# What a verification costs", "<!-- written by benchmarks/verify_time.py: do not edit -->", INTRODUCTION]
    if "small" in data:
        part = data["small"]
        table = ["| source | with latency | CPU s | beyond the imports |", "|---|---|---:|---:|"]
        for what, row in part["rows"].items():
            tree, name, latency = what.split()
            words = name if tree == "here" else f"{name} ({tree})"
            timed = "yes" if latency == "--latency" else "no"
            table.append(f"| {words} | {timed} | {row['cpu']:.1f} | {row['beyond']:.1f} |")
        parts += [
            "## Two layers, four formats",
            SMALL_WORDS.format(imports=part["imports"], repeats=part["repeats"], goal=GOAL),
            "\n".join(table),
            f"{part['machine']}.",
        ]
    if "large" in data:
        part = data["large"]
        row = data["large"]["rows"]["here"]
        table = ["| stage | of the CPU time | of the wall time |", "|---|---:|---:|"]
        table += [f"| {name} | {100 * cpu:.1f} % | {100 * wall:.1f} % |" for name, cpu, wall in shares(row)]
        sizes = ", ".join(map(str, row["batch_sizes"]))
        parts += [
            "## ResNet50, four formats",
            LARGE_WORDS.format(**{**row, "batch_sizes": sizes}, goal=100 * SHARE),
            "\n".join(table),
            f"{part['machine']}.",
        ]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    load = f"load {os.getloadavg()[0]:.1f} when it began"
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {load}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=("small", "large"), choices=("small", "large"))
    parser.add_argument("--against", type=Path, help="another checkout of the project, measured in turns with this one")
    given = parser.parse_args()
    trees = {"here": ROOT} | ({"against": given.against.resolve()} if given.against else {})
    data = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    where = machine()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "two.py").write_text(MODELS, encoding="utf-8")
        for part in given.parts:
            data[part] = small(folder, given.repeats, trees) if part == "small" else {"rows": large(folder, trees)}
            data[part]["machine"] = where
            RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    main()
