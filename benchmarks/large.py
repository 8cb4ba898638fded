"""A model of 3.2 GB to every format: memory and seconds of the export and of its verification, by stage.

python benchmarks/large.py [--source NAME ...] [--to FORMAT ...] [--small]     (`make large`)

The model has random weights, made here: once as a state_dict beside its factory, once as ONNX with external data. Each
export is the whole command, in processes of its own; ten times a second it is looked at how much memory all of its
processes hold (a page that several share counts once). Rows are written to benchmarks/results/large.json as they come,
and docs/large.md from them; rows that are not run are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "large.json"
PAGE = ROOT / "docs" / "large.md"
SOURCES = {"state_dict": "state_dict + factory (PyTorch)", "onnx": "ONNX, external data"}
FORMATS = ("onnx", "torchscript", "savedmodel", "hdf5")
COUNT = 32  # inputs that a verdict is made of
EVERY = 0.1  # seconds between two looks
LONGEST = 1_200  # seconds for one row
PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "tensorflow", "keras")


def make(folder: Path, factory: str) -> None:
    """Both sources, in a process that has only PyTorch."""
    code = (
        "import sys, torch; sys.path[:0] = sys.argv[1:3]; import large_sources\n"
        f"model = large_sources.{factory}().eval()\n"
        "torch.save(model.state_dict(), sys.argv[3] + '/weights.pt')\n"
        "torch.onnx.export(model, (torch.zeros(2, large_sources.WIDTH),), dynamo=True, optimize=False, verbose=False,\n"
        "                  input_names=['x'], output_names=['y'], external_data=True,\n"
        "                  dynamic_shapes=({0: torch.export.Dim('batch')},)).save(sys.argv[3] + '/large.onnx',\n"
        "                                                                        external_data=True)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(HERE), str(ROOT), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Watch(threading.Thread):
    """Looks at this process and all below it; keeps, for each stage, the most that they held and the largest one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stage = "start"
        self.peaks: dict[str, dict[str, float]] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            held = [found for pid in tree(os.getpid()) if (found := memory(pid))]
            peak = self.peaks.setdefault(self.stage, dict.fromkeys(("all", "largest", "mapped", "seconds"), 0.0))
            peak["all"] = max(peak["all"], sum(each["RssAnon"] for each in held))
            peak["largest"] = max(peak["largest"], *(each["RssAnon"] for each in held))
            peak["mapped"] = max(peak["mapped"], sum(each["RssFile"] for each in held))


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))
    except OSError:
        return


def memory(pid: int) -> dict[str, int]:
    """What a process holds, in bytes; nothing of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile") if name in found}


def measure(folder: Path, source: str, to: str, factory: str) -> dict[str, Any]:
    """One row, in this process: the export with its verification."""
    from toolkit import bundle
    from toolkit.worker.limits import Limits

    watch = Watch()
    moments: list[tuple[str, float]] = []

    def stage(words: str) -> None:
        name = words.split(maxsplit=1)[0]
        watch.stage = name
        moments.append((name, time.monotonic()))

    given = {
        "state_dict": {"source": str(folder / "weights.pt"), "factory": f"large_sources:{factory}",
                       "inputs": ["x:float32[batch,2048]"]},
        "onnx": {"source": str(folder / "large.onnx")},
    }[source]  # fmt: skip
    started = time.monotonic()
    watch.start()
    made = bundle.export(
        **given, to=to, output=folder / "out", count=COUNT, latency=False, stage=stage, limits=Limits(threads=2)
    )
    ended = time.monotonic()
    watch.ended.set()
    watch.join()
    for (name, begun), (_, after) in zip(moments, [*moments[1:], ("", ended)], strict=True):
        if name in watch.peaks:
            watch.peaks[name]["seconds"] += after - begun
    row = made.report.rows[0]
    return {
        "verdict": str(row.verdict),
        "route": made.routes[to],
        "ratio": max((output.noise_ratio or 0.0 for output in row.outputs), default=None),
        "lenses": {lens.name: lens.detail for lens in row.lenses},
        "seconds": ended - started,
        "stages": watch.peaks,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--to", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--small", action="store_true", help="a model of 0.3 GB, to try this; nothing is written")
    parser.add_argument("--files", type=Path, help="where the sources are kept from run to run")
    parser.add_argument("--one", action="store_true", help="measure the one row here and print it")
    given = parser.parse_args()
    factory = "small" if given.small else "build"
    if given.one:
        sys.path.insert(0, str(HERE))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        print(json.dumps(measure(given.files, *given.source, *given.to, factory)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = given.files or Path(made)
        folder.mkdir(exist_ok=True)
        if not (folder / "large.onnx").exists():
            make(folder, factory)
        size = (folder / "weights.pt").stat().st_size
        for source in given.source:
            for to in given.to:
                found = one(folder, source, to, small=given.small)
                print(source, to, told(found, size), flush=True)
                if not given.small:
                    write(source, to, found, size)


def one(folder: Path, source: str, to: str, *, small: bool) -> dict[str, Any]:
    """One row, measured in processes of its own."""
    words = ["--one", "--files", str(folder), "--source", source, "--to", to, *(["--small"] if small else [])]
    done = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, check=False, timeout=LONGEST
    )
    shutil.rmtree(folder / "out", ignore_errors=True)
    if done.returncode:
        return {"verdict": "refused", "reason": done.stderr.strip().splitlines()[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def told(found: Mapping[str, Any], size: int) -> str:
    if "stages" not in found:
        return f"{found['verdict']} {found['reason']}"
    stages = (
        f"{name} {peak['seconds']:.0f} s, {peak['all'] / size:.2f} ({peak['largest'] / size:.2f}) x"
        for name, peak in found["stages"].items()
    )
    return f"{found['verdict']} {found['seconds']:.0f} s; {'; '.join(stages)}"


def write(source: str, to: str, found: Mapping[str, Any], size: int) -> None:
    kept = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else {}
    rows = {**kept, f"{source} {to}": dict(found)}
    data = {
        "environment": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "bytes": size,
        "inputs": COUNT,
        "rows": {key: rows[key] for key in (f"{s} {f}" for s in SOURCES for f in FORMATS) if key in rows},
    }
    RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


def page(data: Mapping[str, Any]) -> str:
    """The whole page, from the results file alone."""
    size = data["bytes"]
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    lines = [
        "# A large model to every format",
        "",
        "Written by `make large` from `benchmarks/results/large.json`.",
        f"The model has {size / 1e9:.1f} GB of random float32 weights in a few large tensors. Each row is the",
        f"whole command: export, and verification on at least {data['inputs']} inputs in batches of 1, 2, 3",
        "and 7 with the truth in float64. Memory is in units of the weights: the most that all processes",
        "together held at one time, and in brackets the most that one of them held. Pages of files that are",
        "mapped are not in it, since the system may drop them at any time. The frameworks' own code and",
        "tables are in it (about 0.1 a process). `open` includes the factory's own random weights; `write`",
        "includes a first look at the file; seconds are wall-clock, on two threads of a machine that was",
        "doing other work.",
        "",
        f"{versions}.",
    ]
    for source, words in SOURCES.items():
        rows = {form: data["rows"][key] for form in FORMATS if (key := f"{source} {form}") in data["rows"]}
        if rows:
            lines += ["", f"## From {words}", "", *table(rows, size)]
    return "\n".join(lines) + "\n"


def table(rows: Mapping[str, Any], size: int) -> list[str]:
    stages = {"open": "open", "write": "write", "run": "truth", "verify": "verify"}
    lines = [f"| format | verdict | {' | '.join(stages.values())} | seconds |", f"|---|---|{'---|' * len(stages)}---:|"]
    for form, row in rows.items():
        shown = [_held(row.get("stages", {}).get(stage), size) for stage in stages]
        verdict = "PASS" if row["verdict"] == "PASS" else f"{row['verdict']}: {row.get('reason', '')}"
        seconds = f"{row['seconds']:.0f}" if "seconds" in row else ""
        lines.append(f"| {form} | {verdict} | {' | '.join(shown)} | {seconds} |")
    return lines


def _held(peak: Mapping[str, float] | None, size: int) -> str:
    if peak is None:
        return ""
    return f"{peak['all'] / size:.2f} ({peak['largest'] / size:.2f}) in {peak['seconds']:.0f} s"


if __name__ == "__main__":
    main()
