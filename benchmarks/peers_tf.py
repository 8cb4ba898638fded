"""PyTorch models as SavedModel and .h5, by the toolkit and by its peers: right or not, how fast, and what it costs.

python benchmarks/peers_tf.py [--only CONVERTER ...] [--seconds S] [MODEL ...]     (`make peers-tf`)

Each model is exported to ONNX once (nobuco takes the PyTorch module); each converter writes its files in a process of
its own, timed beyond its imports. Every SavedModel is then opened where TensorFlow is, run at batch 1, 2, 3, 7, and
timed against ours, in turns, in one process of one thread. Rows that are not run are kept. Writes
benchmarks/results/peers_tf.json and docs/peers-tf.md.

The interpreter must have this project, torchvision, nobuco, onnx2keras and tf_keras; onnx2tf pins other versions of
nearly everything, and has an environment of its own, whose interpreter `--onnx2tf` names.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import turns

RESULTS = ROOT / "benchmarks" / "results" / "peers_tf.json"
PAGE = ROOT / "docs" / "peers-tf.md"
OURS = "model-toolkit"
CONVERTERS = (OURS, "onnx2tf", "nobuco", "onnx2keras")
# Sizes but the batch are given, which all converters want.
SHAPES = {
    "ffn": (784,), "resnet18": (3, 224, 224), "mobilenet_v2": (3, 224, 224), "mobilenet_v3_small": (3, 224, 224),
    "shufflenet_v2_x1_0": (3, 224, 224), "unet": (3, 64, 64), "conv1d": (4, 50), "lstm": (12, 16), "gru": (12, 16),
    "tenc": (12, 64), "tricky": (3, 16, 16),
}  # fmt: skip
BATCHES = (1, 2, 3, 7)
PATIENCE = 600  # seconds for one conversion
LIMIT = 10.0  # of R, above which the verdict is FAIL
INTRODUCTION = (
    "PyTorch models of random weights, all from the same ONNX file (opset 17, batch free, the other sizes given), "
    "except for nobuco, which takes the PyTorch module, and is given tf_keras as the Keras 2 that it is written for. "
    "R: the error of the SavedModel in units of the source's own "
    "rounding error, the worst of batches 1, 2, 3 and 7; **wrong** above 10; where a file takes one batch size alone, "
    "that is said (onnx2tf is asked for batch 1 where it fails with a free one, both counted). Latency: "
    "ours over theirs at batch 1, one thread, both through `serving_default` in turns in one process (below 1 ours is "
    "faster), with the interval of the ratio, whether right or wrong; a peer's file takes its images in the order "
    "that it declares, so one that is channels last saves a transpose. Converting: CPU seconds beyond the imports, and "
    "peak memory above what stood before; the size of the ONNX file is beside the model's name. .h5: whether plain "
    "`keras.models.load_model` of Keras 3 opens the file, "
    "and gives what the SavedModel gives."
)


# -- the steps, each in a process of its own ------------------------------------------------------------------------


def source(name: str, folder: Path) -> dict[str, Any]:
    """The ONNX file, the inputs, what the source gives and the truth, in this process."""
    import numpy as np
    import torch

    from benchmarks import torch_zoo

    torch.manual_seed(3)
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator, which the exporter does not know
    model = torch_zoo.built(name)
    arrays = {}
    for batch in BATCHES:
        x = torch.randn(batch, *SHAPES[name])
        with torch.no_grad():
            arrays |= {f"x{batch}": x.numpy(), f"source{batch}": model(x).numpy()}
            arrays[f"truth{batch}"] = model.double()(x.double()).numpy()
        model.float()
    np.savez(folder / "data.npz", **arrays)
    options = {"opset_version": 17, "dynamo": False, "input_names": ["x"], "output_names": ["y"]}
    example = torch.randn(2, *SHAPES[name])
    torch.onnx.export(model, (example,), folder / "model.onnx", dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, **options)
    return {"onnx_mb": (folder / "model.onnx").stat().st_size / 2**20}


def _ours(_: str, onnx: Path, target: Path) -> Callable[[], None]:
    from exporters import to_hdf5, to_savedmodel
    from exporters.graph import read, signature
    from exporters.onnx_to_keras import builder  # noqa: F401 - with TensorFlow and Keras, imports not to be measured
    from exporters.options import ExportOptions
    from toolkit.contract import Contract

    declared = signature.signature(read.read(onnx))

    def convert() -> None:
        to_savedmodel.from_onnx(onnx, target / "saved_model", declared, Contract(), ExportOptions())

    def h5() -> None:
        to_hdf5.from_onnx(onnx, target / "model.h5", declared, Contract(), ExportOptions())

    convert.h5 = h5  # type: ignore[attr-defined]
    return convert


def _onnx2tf(_: str, onnx: Path, target: Path) -> Callable[[], None]:
    import numpy as np
    import onnx2tf

    os.chdir(target)  # where it looks for example images before it would download them
    images = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", images)
    copy = target / "copy.onnx"  # it writes into the file that it is given

    options = {"output_signaturedefs": True, "non_verbose": True}

    def convert() -> None:
        for batch in ({}, {"batch_size": 1}):  # free where it can be
            try:
                shutil.copy(onnx, copy)
                onnx2tf.convert(str(copy), output_folder_path=str(target / "saved_model"), **options, **batch)
                break
            except (Exception, SystemExit):
                if batch:
                    raise
        options.update(batch)

    def h5() -> None:
        again = shutil.copy(onnx, target / "again.onnx")
        onnx2tf.convert(str(again), output_folder_path=str(target / "h5"), output_h5=True, **options)
        (target / "h5" / "again_float32.h5").rename(target / "model.h5")

    convert.h5 = h5  # type: ignore[attr-defined]
    return convert


def _nobuco(name: str, _: Path, target: Path) -> Callable[[], None]:
    import tf_keras
    import torch

    # It is written for Keras 2, which goes by the name of tf_keras now.
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == tf_keras.__name__}
    sys.modules |= {name.removeprefix("tf_"): module for name, module in loaded.items()}
    from benchmarks import torch_zoo, torchvision_schemas  # noqa: F401 - declared before torchvision is imported

    import nobuco  # isort: skip - see above

    torch.backends.mha.set_fastpath_enabled(False)
    model, example = torch_zoo.built(name), torch.randn(1, *SHAPES[name])
    made: list[Any] = []

    def convert() -> None:
        order = nobuco.ChannelOrder.PYTORCH
        made.append(
            nobuco.pytorch_to_keras(
                model, args=[example], input_shapes={example: (None, *SHAPES[name])}, inputs_channel_order=order,
                outputs_channel_order={0: order}, debug_traces=nobuco.TraceLevel.NEVER,
            )
        )  # fmt: skip
        made[0].save(target / "saved_model", save_format="tf")

    convert.h5 = lambda: made[0].save(target / "model.h5")  # type: ignore[attr-defined]
    return convert


def _onnx2keras(_: str, onnx: Path, target: Path) -> Callable[[], None]:
    import onnx as library
    from onnx2keras import onnx_to_keras

    made: list[Any] = []

    def convert() -> None:
        made.append(onnx_to_keras(library.load(onnx), ["x"], verbose=False))
        made[0].export(target / "saved_model", verbose=False)

    convert.h5 = lambda: made[0].save(target / "model.h5")  # type: ignore[attr-defined]
    return convert


WAYS = dict(zip(CONVERTERS, (_ours, _onnx2tf, _nobuco, _onnx2keras), strict=True))


def convert(converter: str, name: str, folder: Path) -> dict[str, Any]:
    """Write the SavedModel and say what it cost; then the .h5 file, and why not if so."""
    target = folder / converter
    target.mkdir()
    onnx = folder / "model.onnx"
    run = WAYS[converter](name, onnx, target)
    gc.collect()
    turns.reset_peak()
    before, started = turns.peak(), sum(os.times()[:4])
    run()
    used = sum(os.times()[:4]) - started
    found = {"cpu_s": used, "memory_mb": turns.peak() - before}
    try:
        run.h5()  # type: ignore[attr-defined]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a converter raises is its row
        return found | {"h5": _line(error)}
    return found


def check(converter: str, folder: Path) -> dict[str, Any]:
    """R of the SavedModel over all batches that it takes, and whether plain Keras opens the .h5 file."""
    import numpy as np

    data = dict(np.load(folder / "data.npz"))
    served = Served(folder / converter / "saved_model", data["x1"])
    ratios, refused = {}, {}
    for batch in BATCHES:
        try:
            found = served.laid_back(served(served.laid(data[f"x{batch}"])), data[f"source{batch}"].shape)
            ratios[batch] = _ratio(found, data[f"source{batch}"], data[f"truth{batch}"])
        except Exception as error:  # noqa: BLE001 - see above
            refused[batch] = _line(error)
    row: dict[str, Any] = {"ratio": ratios, "refused": refused}
    if (folder / converter / "model.h5").exists():
        row["h5"] = _reopened(folder / converter / "model.h5", served, data)
    return row


def _ratio(found: Any, given: Any, truth: Any) -> float:
    import numpy as np

    noise = max(
        float(np.linalg.norm(given - truth)), 4 * float(np.finfo(np.float32).eps) * float(np.linalg.norm(truth))
    )
    return float(np.linalg.norm(found - truth)) / noise


def _reopened(path: Path, served: Served, data: dict[str, Any]) -> str:
    import keras
    import numpy as np

    try:
        model = keras.models.load_model(path)
    except Exception as error:  # noqa: BLE001 - see above
        return f"does not load: {_line(error)}"
    found = np.asarray(model(served.laid(data["x1"])))
    wanted = served.laid_back(served(served.laid(data["x1"])), data["source1"].shape)
    close = np.allclose(served.laid_back(found, data["source1"].shape), wanted, rtol=1e-3, atol=1e-4)
    return "right" if close else "loads, gives other numbers"


class Served:
    """A SavedModel's serving function, with the order of axes that it wants: the source's, or channels last."""

    def __init__(self, folder: Path, x: Any) -> None:
        import tensorflow as tf

        self._model = tf.saved_model.load(str(folder))
        self._function = self._model.signatures["serving_default"]
        ((self._name, self._spec),) = self._function.structured_input_signature[1].items()
        self._turned = not _fits(self._spec.shape, x.shape)
        if self._turned and not _fits(self._spec.shape, _last(x).shape):
            raise ValueError(f"an input of shape {self._spec.shape}, of which the source knows nothing")
        self._convert = tf.constant

    def laid(self, x: Any) -> Any:
        return self._convert(_last(x) if self._turned else x)

    def __call__(self, tensor: Any) -> Any:
        (output,) = self._function(**{self._name: tensor}).values()
        return output

    def laid_back(self, output: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        found = np.asarray(output)
        if found.shape == shape or len(shape) < 3:
            if found.shape != shape:
                raise ValueError(f"an output of shape {found.shape}, not {shape}")
            return found
        back = np.moveaxis(found, -1, 1)
        if back.shape != shape:
            raise ValueError(f"an output of shape {found.shape}, not {shape}")
        return back


def _last(x: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _fits(wanted: Any, shape: tuple[int, ...]) -> bool:
    return len(wanted) == len(shape) and all(
        one in (None, other) for one, other in zip(wanted[1:], shape[1:], strict=True)
    )


def timed(converter: str, folder: Path, seconds: float) -> dict[str, Any]:
    import numpy as np

    data = np.load(folder / "data.npz")
    x = data["x1"]
    theirs, ours = (Served(folder / side / "saved_model", x) for side in (converter, OURS))
    fed = {id(each): each.laid(x) for each in (theirs, ours)}
    return turns.compared(*turns.times(lambda _: theirs(fed[id(theirs)]), lambda _: ours(fed[id(ours)]), None, seconds))


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"


def step(what: str, *arguments: str) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    if what == "source":
        return source(arguments[0], Path(arguments[1]))
    if what == "convert":
        return convert(arguments[0], arguments[1], Path(arguments[2]))
    if what == "check":
        return check(arguments[0], Path(arguments[1]))
    return timed(arguments[0], Path(arguments[1]), float(arguments[2]))


# -- the run, and the page ------------------------------------------------------------------------------------------


def _child(python: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """A step in a process of its own, of one thread; what it prints last is its result."""
    pinned = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    command = [python, str(Path(__file__)), "--step", *arguments]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE,
            env={**os.environ, **pinned, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"more than {PATIENCE} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith(" ")]
        return {"error": (lines or [f"ended with {done.returncode}"])[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(
    name: str, folder: Path, known: dict[str, Any], given: argparse.Namespace, keep: Callable[[dict[str, Any]], None]
) -> None:
    """The rows of one model; `keep` is called with them behind each converter."""
    made = _child(sys.executable, "source", name, str(folder))
    if "error" in made:
        raise RuntimeError(f"{name}: {made['error']}")
    rows = {**known, **made}
    for converter in CONVERTERS:
        if given.only and converter not in (*given.only, OURS):
            continue
        python = given.onnx2tf if converter == "onnx2tf" else sys.executable
        legacy = {"TF_USE_LEGACY_KERAS": "1"} if converter == "nobuco" else {}
        row = _child(python, "convert", converter, name, str(folder), **legacy)
        if "error" not in row:
            row |= _child(sys.executable, "check", converter, str(folder))
        if "error" not in row and converter != OURS:
            row["speed"] = _child(sys.executable, "time", converter, str(folder), str(given.seconds))
        print(name, converter, row, flush=True)
        rows[converter] = row
        keep(rows)


def page(data: dict[str, Any]) -> str:
    """The whole page, from the results file alone."""
    note = "<!-- written by benchmarks/peers_tf.py: do not edit -->"
    parts = ["# SavedModel and .h5 beside other converters", note, INTRODUCTION, "## In short", _short(data["models"])]
    head = "| Model | Converter | R | ours / theirs | CPU s | MB | .h5 in plain Keras |"
    table = [head, "|---|---|---:|---:|---:|---:|---|"]
    for name, rows in data["models"].items():
        title = f"{name} ({rows['onnx_mb']:.1f} MB)"
        table += [_row(title, converter, rows[converter]) for converter in CONVERTERS if converter in rows]
    told = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    return "\n\n".join([*parts, "## Model by model", "\n".join(table), f"Versions: {told}."]) + "\n"


def _short(models: dict[str, Any]) -> str:
    head = (
        "| Converter | right at batches 1, 2, 3, 7 | right at batch 1 alone | .h5 right in plain Keras "
        "| ours / theirs, geometric mean |"
    )
    lines = [head, "|---|---:|---:|---:|---:|"]
    for converter in CONVERTERS:
        rows = [found[converter] for found in models.values() if converter in found]
        whole = sum(_right(row, BATCHES) for row in rows)
        one = sum(_right(row, (1,)) and not _right(row, BATCHES) for row in rows)
        opened = sum(row.get("h5") == "right" for row in rows)
        ratios = [row["speed"]["ratio"] for row in rows if "ratio" in row.get("speed", {}) and _right(row, (1,))]
        mean = f"{math.exp(statistics.fmean(map(math.log, ratios))):.2f} ({len(ratios)} models)" if ratios else ""
        lines.append(f"| {converter} | {whole} of {len(rows)} | {one} | {opened} | {mean} |")
    return "\n".join(lines)


def _right(row: dict[str, Any], batches: tuple[int, ...]) -> bool:
    ratios = {int(batch): ratio for batch, ratio in row.get("ratio", {}).items()}
    return all(batch in ratios and ratios[batch] <= LIMIT for batch in batches)


def _row(name: str, converter: str, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {name} | {converter} | none: {_cell(row['error'])} | | | | |"
    speed = row.get("speed", {})
    ratio = f"{speed['ratio']:.2f} ({speed['low']:.2f} to {speed['high']:.2f})" if "ratio" in speed else ""
    h5 = _cell(row.get("h5", ""))
    return f"| {name} | {converter} | {_quality(row)} | {ratio} | {row['cpu_s']:.1f} | {row['memory_mb']:.0f} | {h5} |"


def _quality(row: dict[str, Any]) -> str:
    ratios = row["ratio"]
    if not ratios:
        return f"none: {_cell(next(iter(row['refused'].values())))}"
    worst = max(ratios.values())
    text = f"{worst:.2f}" if worst <= LIMIT else f"**wrong**, {worst:.2g}"
    return text if not row["refused"] else f"{text}; batch {', '.join(map(str, ratios))} alone"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("<", "&lt;")[:110]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(SHAPES))
    parser.add_argument("--only", nargs="+", choices=CONVERTERS, help="these converters alone, beside ours")
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing, for each pair of files")
    parser.add_argument("--onnx2tf", default=str(ROOT / ".venv-onnx2tf" / "bin" / "python"), metavar="PYTHON")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        found = step(*given.step)
        print()
        print(json.dumps(found))
        return
    from importlib.metadata import version

    data = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    packages = ("torch", "tensorflow", "keras", "tf_keras", "nobuco", "onnx2keras")
    asked = "import importlib.metadata as m; print(m.version('onnx2tf'), '(TensorFlow', m.version('tensorflow') + ')')"
    theirs = subprocess.run([given.onnx2tf, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    data["versions"] = {**{name: version(name) for name in packages}, "onnx2tf": theirs}

    def keep(name: str, rows: dict[str, Any]) -> None:
        known = {**data["models"], name: rows}
        data["models"] = {each: known[each] for each in SHAPES if each in known}
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(data), encoding="utf-8")

    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder), data["models"].get(name, {}), given, partial(keep, name))


if __name__ == "__main__":
    main()
