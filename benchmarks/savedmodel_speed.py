"""Keras' applications as SavedModel: rebuilt from ONNX by the toolkit against what Keras itself exports.

python benchmarks/savedmodel_speed.py [--threads N] [--seconds S] [--files FOLDER [--write]] [MODEL ...]
                                                                                (`make bench-savedmodel`)

The application goes from Keras to ONNX, and from there to a SavedModel, as `toolkit export` does it; `model.export`
writes the native one of the same weights. Both run through `serving_default`, in turns, in one process of pinned
threads. Converting from ONNX is measured in a process of its own, beyond its imports. With `--files` the files are kept
in FOLDER and used again; `--write` only writes them. Rows of models and thread counts
that are not run are kept. Writes benchmarks/results/savedmodel_speed.json and docs/savedmodel-speed.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import turns

RESULTS = ROOT / "benchmarks" / "results" / "savedmodel_speed.json"
PAGE = ROOT / "docs" / "savedmodel-speed.md"
MODELS = (
    "ResNet50", "MobileNetV2", "EfficientNetB0", "DenseNet121", "VGG16", "MobileNet", "MobileNetV3Large", "ResNet50V2",
    "InceptionV3", "Xception", "NASNetMobile", "ConvNeXtTiny",
)  # fmt: skip
SIDE = {"InceptionV3": 299, "Xception": 299}  # of the images; 224 where nothing is said
INTRODUCTION = (
    "Keras' applications as SavedModel: rebuilt by the toolkit from their ONNX graph, against what `model.export` "
    "writes of the same model. Batch 1, through `serving_default`, both files in turns in one process. Below 1 the "
    "rebuilt file is faster. Difference: the largest between their outputs, over the largest output. Loading, and the "
    "first call after it, in seconds. Converting from ONNX in a process of its own, beyond imports; memory: the peak "
    "above what stood before, in sizes of the ONNX file."
)
HEAD = (
    "| Application | native ms | rebuilt ms | ratio (interval) | difference | native load + call, s | rebuilt, s "
    "| converting, CPU s | memory |"
)
RULE = "|---|" + "---:|" * 8


def write(name: str, folder: Path) -> None:
    """The native SavedModel and the ONNX file of one application, in this process."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import keras_zoo

    from exporters import to_onnx
    from exporters.options import ExportOptions
    from exporters.sources import keras_model
    from exporters.sources import source as sources

    model = keras_zoo.built(name)
    model.export(folder / "native", verbose=False)
    with keras_model.open_object(sources.resolve(model), "cpu", None, model) as runner:
        to_onnx.strategies(runner)["tf2onnx"](runner, folder / "model.onnx", ExportOptions())


def convert(onnx: Path, target: Path) -> dict[str, float]:
    """Write the SavedModel from ONNX; returns what that cost, beyond imports."""
    from exporters import to_savedmodel
    from exporters.graph import read, signature
    from exporters.onnx_to_keras import builder  # noqa: F401 - with TensorFlow and Keras, imports not to be measured
    from exporters.options import ExportOptions
    from toolkit.contract import Contract

    declared = signature.signature(read.read(onnx))
    gc.collect()
    turns.reset_peak()
    before, started = turns.peak(), time.process_time()
    to_savedmodel.from_onnx(onnx, target, declared, Contract(), ExportOptions())
    used = time.process_time() - started
    return {"convert_cpu_s": used, "convert_memory": (turns.peak() - before) * 2**20 / onnx.stat().st_size}


class Served:
    """A SavedModel's serving function, loaded, and how long that and its first call took."""

    def __init__(self, folder: Path, x: Any) -> None:
        import tensorflow as tf

        started = time.perf_counter()
        self._model = tf.saved_model.load(str(folder))
        self._function = self._model.signatures["serving_default"]
        loaded = time.perf_counter()
        (self._name,) = self._function.structured_input_signature[1]
        self._tensor = tf.constant(x)
        self(None)
        self.start = {"load_s": loaded - started, "first_call_s": time.perf_counter() - loaded}

    def __call__(self, _: object) -> Any:
        (output,) = self._function(**{self._name: self._tensor}).values()
        return output


def timed(folder: Path, side: int, seconds: float) -> dict[str, Any]:
    import numpy as np

    x = np.random.default_rng(1).normal(size=(1, side, side, 3)).astype(np.float32)
    native, ours = (Served(folder / name, x) for name in ("native", "ours"))
    wanted, found = (np.asarray(each(None)) for each in (native, ours))
    row = {"difference": float(np.abs(found - wanted).max() / np.abs(wanted).max()),
           "start": {"native": native.start, "ours": ours.start}}  # fmt: skip
    return row | turns.compared(*turns.times(native, ours, None, seconds))


def _child(threads: int, *arguments: str) -> dict[str, Any]:
    """A step in a process of its own, of so many threads; what it prints last is its result."""
    pinned = {name: str(threads) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    environment = {**os.environ, **pinned, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(Path(__file__)), "--step", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def written(name: str, folder: Path) -> dict[str, Any]:
    """What converting cost; the files are written unless they are in `folder` already."""
    told = folder / "cost.json"
    if not told.exists():
        folder.mkdir(exist_ok=True)
        _child(1, "write", name, str(folder))
        told.write_text(json.dumps(_child(1, "convert", f"{folder}/model.onnx", f"{folder}/ours")))
    cost: dict[str, Any] = json.loads(told.read_text())
    return cost


def measured(name: str, folder: Path, threads: int, seconds: float) -> dict[str, Any]:
    cost = written(name, folder)
    return _child(threads, "time", str(folder), str(SIDE.get(name, 224)), str(seconds)) | cost


def step(what: str, *arguments: str) -> Any:
    warnings.simplefilter("ignore")
    if what == "write":
        return write(arguments[0], Path(arguments[1])) or {}
    if what == "convert":
        return convert(Path(arguments[0]), Path(arguments[1]))
    return timed(Path(arguments[0]), int(arguments[1]), float(arguments[2]))


def page(data: dict[str, Any]) -> str:
    """The whole page, from the results file alone."""
    note = "<!-- written by benchmarks/savedmodel_speed.py: do not edit -->"
    parts = ["# SavedModel from ONNX: how fast", note, INTRODUCTION]
    for threads, rows in sorted(data["threads"].items()):
        mean = math.exp(statistics.fmean(math.log(row["ratio"]) for row in rows.values()))
        table = [HEAD, RULE, *(_line(name, row) for name, row in rows.items())]
        parts += [f"## Threads: {threads}", f"Geometric mean of the ratios: **{mean:.2f}**.", "\n".join(table)]
    told = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    return "\n\n".join([*parts, f"Versions: {told}."]) + "\n"


def _line(name: str, row: dict[str, Any]) -> str:
    start = {side: f"{took['load_s']:.2f} + {took['first_call_s']:.2f}" for side, took in row["start"].items()}
    return (
        f"| {name} | {row['native_ms']:.1f} | {row['ours_ms']:.1f} | {row['ratio']:.2f} ({row['low']:.2f} to "
        f"{row['high']:.2f}) | {row['difference']:.0e} | {start['native']} | {start['ours']} | "
        f"{row['convert_cpu_s']:.1f} | {row['convert_memory']:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each model")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="keep the files here, and use them again")
    parser.add_argument("--write", action="store_true", help="only write the files, and time nothing")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(step(*given.step)))
        return
    if given.write and given.files is None:
        parser.error("--write keeps its files: say where, by --files")
    if given.write:
        for name in given.models:
            print(name, written(name, given.files / name), flush=True)
        return
    data = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"threads": {}}
    data["versions"] = {name: version(name) for name in ("tensorflow", "keras", "tf2onnx", "onnx")}
    rows = data["threads"].setdefault(str(given.threads), {})
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = measured(name, (given.files or Path(folder)) / name, given.threads, given.seconds)
        print(name, f"ratio {rows[name]['ratio']:.3f}", flush=True)
        data["threads"][str(given.threads)] = rows = {each: rows[each] for each in MODELS if each in rows}
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    main()
