"""Every kind of source to every format: PASS, or the reason or refusal, per cell.

python benchmarks/matrix.py [ROW ...]

The files are made anew by benchmarks/matrix_sources, each kind by its own framework, and exported as the command line
does it, with a verdict on every file. Rows are written to benchmarks/results/matrix.json as they come, and the page
docs/matrix.md from them; names given on the command line renew their rows alone. Rows that need a package that is not
installed here are left as they were.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from exporters.sources import source as sources
from toolkit import bundle, formats
from toolkit.errors import ToolkitError
from toolkit.files import digest
from toolkit.verification.report import Report, Verdict
from toolkit.verification.verifier import Settings
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

HERE = Path(__file__).resolve().parent
MAKERS = HERE / "matrix_sources"
RESULTS = HERE / "results" / "matrix.json"
PAGE = HERE.parent / "docs" / "matrix.md"
COUNT = 32  # inputs that a verdict is made of, besides those that are searched for


@dataclass(frozen=True)
class Row:
    """One source as a user would name it; "{files}" stands for the folder of the files that were made."""

    group: str
    name: str
    source: str
    inputs: tuple[str, ...] = ()
    factory: str | None = None
    framework: str | None = None
    signature: str | None = None
    trust: bool = False
    data: str | None = None  # an .npz of real inputs
    fresh: bool = False  # in workers of its own: what other rows have imported would help it
    needs: tuple[str, ...] = ()


IMAGE = ("image:float32[batch,3,16,16]",)
X = ("x:float32[batch,4]",)
IDS = ("ids:int64[batch,sequence]",)
NET = {"factory": "torch_sources:build", "inputs": IMAGE}

ROWS = (
    Row("PyTorch", "factory", "torch_sources:build", IMAGE),
    Row("PyTorch", "state_dict + factory", "{files}/state_dict.pt", **NET),
    Row("PyTorch", "state_dict as PyTorch 1.5 wrote it + factory", "{files}/legacy.pth", **NET),
    Row("PyTorch", "Lightning checkpoint + factory", "{files}/lightning.ckpt", **NET),
    Row("PyTorch", "checkpoint of DistributedDataParallel + factory", "{files}/ddp.pth", **NET),
    Row("PyTorch", "safetensors + factory", "{files}/weights.safetensors", **NET),
    Row("PyTorch", "pickled model, trusted", "{files}/pickled.pt", IMAGE, trust=True),
    Row("PyTorch", "pickled model, not trusted", "{files}/pickled.pt", IMAGE),
    Row("PyTorch", "TorchScript, scripted", "{files}/scripted.pt", IMAGE),
    Row("PyTorch", "TorchScript, traced", "{files}/traced.pt", IMAGE),
    Row("PyTorch", "torch.export .pt2, trusted", "{files}/exported.pt2", trust=True),
    Row("Keras", "factory, functional", "keras_sources:functional"),
    Row("Keras", "factory, Sequential", "keras_sources:sequential"),
    Row("Keras", "factory, Sequential that was never called", "keras_sources:unbuilt", X),
    Row("Keras", "factory, subclassed without get_config", "keras_sources:subclassed", X),
    Row("Keras", "factory, subclassed with get_config", "keras_sources:configured", X),
    Row("Keras", "factory, dict inputs and outputs, functional", "keras_sources:several"),
    Row("Keras", "factory, dict inputs and outputs, subclassed", "keras_sources:dicts",
        ("ids:int32[batch,sequence]", "mask:float32[batch,sequence]")),
    Row("Keras", "factory, mixed_float16 inside", "keras_sources:mixed"),
    Row("Keras", "factory, strings", "keras_sources:strings"),
    Row("Keras", ".keras, functional", "{files}/functional.keras"),
    Row("Keras", ".keras, Sequential", "{files}/sequential.keras"),
    Row("Keras", ".keras of a class of the user's", "{files}/configured.keras", X, fresh=True),
    Row("Keras", ".keras of a class of the user's + factory", "{files}/configured.keras", X,
        factory="keras_sources:configured"),
    Row("Keras", ".h5", "{files}/functional.h5"),
    Row("Keras", ".h5, compiled", "{files}/compiled.h5"),
    Row("Keras", ".weights.h5 + factory", "{files}/functional.weights.h5", factory="keras_sources:functional"),
    Row("Keras", ".weights.h5 of a subclassed model + factory", "{files}/configured.weights.h5", X,
        factory="keras_sources:configured"),
    Row("Keras", ".h5 of Keras 2, simple", "{files}/keras2_simple.h5", needs=("tf_keras",)),
    Row("Keras", ".h5 of Keras 2", "{files}/keras2_depthwise.h5", needs=("tf_keras",)),
    Row("Keras", ".keras of Keras 2", "{files}/keras2_depthwise.keras", needs=("tf_keras",)),
    Row("TensorFlow", "tf.Module factory", "tensorflow_sources:build"),
    Row("TensorFlow", "tf.Module factory, not a tf.function", "tensorflow_sources:plain", X),
    Row("TensorFlow", "tf.Module factory, strings", "tensorflow_sources:strings"),
    Row("TensorFlow", "SavedModel", "{files}/default_signature"),
    Row("TensorFlow", "SavedModel of Keras 2", "{files}/keras2_savedmodel", needs=("tf_keras",)),
    Row("TensorFlow", "SavedModel of TensorFlow 1", "{files}/tf1"),
    Row("TensorFlow", "SavedModel, two signatures, one chosen", "{files}/two_signatures", signature="embed"),
    Row("TensorFlow", "SavedModel, two signatures, none chosen", "{files}/two_signatures"),
    Row("TensorFlow", "SavedModel without signatures", "{files}/no_signatures"),
    Row("TensorFlow", "checkpoint + factory", "{files}/written.index", factory="tensorflow_sources:build"),
    Row("TensorFlow", "checkpoint folder + factory", "{files}/checkpoint", factory="tensorflow_sources:build"),
    Row("ONNX", "opset 7, IR 3, weights as inputs", "{files}/opset7_ir3.onnx"),
    Row("ONNX", "opset 13", "{files}/opset13.onnx"),
    Row("ONNX", "opset 23, IR 11", "{files}/opset23_ir11.onnx"),
    Row("ONNX", "functions", "{files}/functions.onnx"),
    Row("ONNX", "external data", "{files}/external.onnx"),
    Row("ONNX", "quantised (QDQ)", "{files}/qdq.onnx"),
    Row("by name", "timm", "timm:resnet18?pretrained=False", ("image:float32[batch,3,64,64]",), needs=("timm",)),
    Row("by name", "torchvision", "torchvision:squeezenet1_1?weights=None", ("image:float32[batch,3,64,64]",),
        needs=("torchvision",)),
    Row("Hugging Face", "encoder (BERT)", "{files}/bert", needs=("transformers",)),
    Row("Hugging Face", "text classifier (DistilBERT)", "{files}/distilbert", needs=("transformers",)),
    Row("Hugging Face", "picture classifier (ViT)", "{files}/vit", needs=("transformers",)),
    Row("Hugging Face", "language model (GPT-2)", "{files}/gpt2", needs=("transformers",)),
    Row("Hugging Face", "encoder and decoder (T5)", "{files}/t5", needs=("transformers",)),
    Row("shapes", "token ids, two dynamic dimensions", "torch_sources:tokens", ("ids:int64[batch,sequence<=64]",)),
    Row("shapes", "optional input given", "torch_sources:masked", (*IDS, "mask:float32[batch,sequence]")),
    Row("shapes", "optional input left out", "torch_sources:masked", IDS),
    Row("shapes", "keyword-only input, optional before it left out", "torch_sources:masked",
        (*IDS, "scale:float32[1]")),
    Row("shapes", "dict in; dict, tuple, list and named tuple out", "torch_sources:nested"),
    Row("shapes", "dataclass out, one field None", "torch_sources:answers", X),
    Row("shapes", "weights shared by two layers", "torch_sources:shared", IDS),
    Row("shapes", "three dynamic dimensions, one shared", "torch_sources:ranked",
        ("ids:int64[batch,queries]", "features:float32[batch,keys<=32,5]")),
    Row("shapes", "no batch dimension", "torch_sources:scalars", ("x:float32[4]", "temperature:float32[]")),
    Row("shapes", "scalar in, scalar out", "torch_sources:scalars", (*X, "temperature:float32[]")),
    Row("shapes", "control flow on values", "torch_sources:branches", X),
    Row("shapes", "names that files forbid", "torch_sources:awkward", X),
    Row("dtypes", "float16", "torch_sources:float16", ("x:float16[batch,4]",)),
    Row("dtypes", "bfloat16", "torch_sources:bfloat16", ("x:bfloat16[batch,4]",)),
    Row("dtypes", "float64", "torch_sources:float64", ("x:float64[batch,4]",)),
    *(
        Row("dtypes", dtype, "torch_sources:whole", (f"x:{dtype}[batch,4]",))
        for dtype in ("int8", "int16", "int32", "int64", "uint8")
    ),
    Row("dtypes", "bool", "torch_sources:bools", ("x:bool[batch,4]",)),
)  # fmt: skip

# Which script writes the files, and what it needs.
SCRIPTS = {"torch_sources": (), "keras_sources": (), "tensorflow_sources": (), "onnx_sources": (),
           "keras2_sources": ("tf_keras",), "transformers_sources": ("transformers",)}  # fmt: skip


def main() -> None:
    names = sys.argv[1:]
    kept = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        files = Path(os.environ.get("MATRIX_FILES") or folder)  # files made before, where the same ones will do
        if "MATRIX_FILES" not in os.environ:
            make(files)
        with WorkerPool(limits=Limits(threads=1, seconds=300)) as pool:
            for row in ROWS:
                if (names and key(row) not in names and row.group not in names) or not installed(row.needs):
                    continue
                kept[key(row)] = in_fresh_workers(row, files) if row.fresh else cells(pool, row, files)
                print(
                    key(row),
                    *(f"    {form} {told(cell)}" for form, cell in kept[key(row)].items()),
                    sep="\n",
                    flush=True,
                )
                write({key(each): kept[key(each)] for each in ROWS if key(each) in kept})


def in_fresh_workers(row: Row, files: Path) -> dict[str, Any]:
    with WorkerPool(limits=Limits(threads=1, seconds=300)) as pool:
        return cells(pool, row, files)


def key(row: Row) -> str:
    return f"{row.group}: {row.name}"


def installed(packages: Sequence[str]) -> bool:
    return all(find_spec(package) is not None for package in packages)


def make(folder: Path) -> None:
    """Every file, each by the framework that it is of."""
    settings = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    for script, needs in SCRIPTS.items():
        if installed(needs):
            command = [sys.executable, str(MAKERS / f"{script}.py"), str(folder)]
            done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **settings})
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])


def cells(pool: WorkerPool, row: Row, files: Path, names: tuple[str, ...] = formats.ALL) -> dict[str, Any]:
    """All formats at once; where that fails, those that have not passed in two halves, and so on to each by itself."""
    found = export(pool, row, files, names)
    left = tuple(name for name in names if found[name]["verdict"] != "PASS")
    if left and len(names) > 1:
        middle = (len(left) + 1) // 2
        for half in filter(None, (left[:middle], left[middle:])):
            found |= cells(pool, row, files, half)
    return found


def export(pool: WorkerPool, row: Row, files: Path, names: tuple[str, ...]) -> dict[str, Any]:
    settings = Settings(count=COUNT, latency=False)
    text = row.source.replace("{files}", str(files))
    trust = [digest(Path(text))] if row.trust else []
    try:
        source = sources.resolve(
            text, inputs=row.inputs, factory=row.factory, framework=row.framework, trust=trust, search=[str(MAKERS)],
            **({"signature": row.signature} if row.signature else {}),
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            data = row.data and row.data.replace("{files}", str(files))
            request = bundle.Request(source, names, Path(folder) / "out", ExportOptions(), settings, data=data)
            found = bundle.carry_out(pool, request)
    except ToolkitError as error:
        reason = f"{type(error).__name__}: {error.found}".replace(str(files), "")
        report = getattr(error, "report", None)  # of a failed verdict, which some formats may have passed
        passed = {} if report is None else passes(report, {})
        return {name: passed.get(name, {"verdict": "refused", "reason": reason[:300]}) for name in names}
    return passes(found.report, found.routes)


def passes(report: Report, routes: Mapping[str, str]) -> dict[str, Any]:
    """The cells of the formats that passed; by which route, where that is known."""
    return {
        each.format: {
            "verdict": each.verdict.value,
            "noise_ratio": each.worst_output.noise_ratio if each.worst_output else None,
            "route": routes.get(each.format),
        }
        for each in report.rows
        if each.verdict is Verdict.PASS
    }


def told(cell: dict[str, Any]) -> str:
    return f"{cell['verdict']} {cell.get('reason', '')}".strip()


def write(rows: dict[str, Any]) -> None:
    # Rows of packages that are not installed here stay, and so do the versions that they were made with.
    packages = json.loads(RESULTS.read_text("utf-8"))["environment"] if RESULTS.exists() else {}
    for package in ("torch", "keras", "tensorflow", "onnx", "onnxruntime-gpu", "tf_keras", "transformers", "timm"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    data = {"environment": {**packages, "python": platform.python_version()}, "inputs": COUNT, "rows": rows}
    RESULTS.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


def page(data: dict[str, Any]) -> str:
    """The whole page, from the results file alone."""
    versions = ", ".join(f"{name} {number}" for name, number in data["environment"].items())
    cells = [cell for row in data["rows"].values() for cell in row.values()]
    passed = sum(cell["verdict"] == "PASS" for cell in cells)
    lines = [
        "# Every kind of source to every format",
        "",
        "Written by `make matrix` from `benchmarks/results/matrix.json`. The models are small, their weights random;",
        f"each PASS stands on at least {data['inputs']} inputs in batches of 1, 2, 3 and 7; the number beside it is R,",
        "the error in units of the source's own rounding error ([how](verdict.md)); `=` means bit for bit. A number in",
        "brackets leads to the reason, in a user's words. Some rows are refused on purpose: they show the refusal.",
        "",
        f"{passed} of {len(cells)} cells PASS. {versions}.",
    ]
    for group in dict.fromkeys(row.group for row in ROWS):
        rows = {row.name: data["rows"][key(row)] for row in ROWS if row.group == group and key(row) in data["rows"]}
        if rows:
            lines += ["", f"## {group}", "", *table(rows)]
    return "\n".join(lines) + "\n"


def table(rows: dict[str, Any]) -> list[str]:
    titles = ("source", *formats.ALL)
    reasons: dict[str, int] = {}
    lines = [f"| {' | '.join(titles)} |", f"| {' | '.join(['---'] * len(titles))} |"]
    for name, cells_of_row in rows.items():
        shown = [cell_text(cells_of_row[form], reasons) for form in formats.ALL]
        lines.append(f"| {' | '.join([name, *shown])} |")
    return [*lines, *([""] if reasons else []), *(f"{number}. {reason}" for reason, number in reasons.items())]


def cell_text(cell: dict[str, Any], reasons: dict[str, int]) -> str:
    if cell["verdict"] == "PASS":
        ratio = cell["noise_ratio"]
        return "PASS =" if ratio is None else f"PASS {ratio:.1f}"
    reason = " ".join(cell["reason"].replace("|", "\\|").replace("<", "&lt;").split())
    return f"{cell['verdict']} ({reasons.setdefault(reason, len(reasons) + 1)})"


if __name__ == "__main__":
    main()
