"""TorchScript rebuilt from ONNX against the native PyTorch model, scripted: speed, R, first calls, cost of converting.

python benchmarks/torchscript_speed.py [--threads N] [--seconds S] [MODEL ...]     (`make bench-torchscript`)

torchvision's models with random weights (and random BatchNorm statistics, so that folding is tested). Each is scripted,
saved and loaded; exported to ONNX and rebuilt, saved and loaded; then both files run in turns, A B B A, in one process
of pinned threads. The ratio is that of the medians, its interval from bootstrapped pairs. R is the error against the
model in float64, in units of the native model's own. Rows of models and thread counts that are not run are kept. Writes
benchmarks/results/torchscript_speed.json and docs/torchscript-speed.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from benchmarks import torchvision_schemas, turns  # noqa: F401 - the path comes first; schemas before torchvision
from benchmarks.turns import compared, first_calls, peak, reset_peak, times

RESULTS = ROOT / "benchmarks" / "results" / "torchscript_speed.json"
PAGE = ROOT / "docs" / "torchscript-speed.md"
# Model -> the size of its images, and what its constructor wants beside `weights`.
MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet18": (224, {}), "resnet50": (224, {}), "mobilenet_v2": (224, {}), "mobilenet_v3_large": (224, {}),
    "efficientnet_b0": (224, {}), "densenet121": (224, {}), "squeezenet1_1": (224, {}), "vgg11": (224, {}),
    "shufflenet_v2_x1_0": (224, {}), "mnasnet1_0": (224, {}), "regnet_y_400mf": (224, {}),
    "resnext50_32x4d": (224, {}), "convnext_tiny": (224, {}), "inception_v3": (299, {"init_weights": False}),
    "vit_b_32": (224, {}), "swin_t": (224, {}),
}  # fmt: skip
INTRODUCTION = (
    "torchvision's model, scripted, against the TorchScript file that the toolkit writes from its ONNX graph: batch 1, "
    "both files in turns in one process. Below 1 the rebuilt file is faster. R is its error in units of the native "
    "model's own rounding noise. First calls: the first three after loading. Memory: the peak while converting, above "
    "what stood before, in sizes of the file; memory that an earlier model left free is used again and does not show: "
    "a model run alone may need more."
)
HEAD = (
    "| Model | native ms | rebuilt ms | ratio (interval) | R | first calls native, s | rebuilt, s | converting, CPU s "
    "| memory |"
)
RULE = "|---|" + "---:|" * 8


def build(name: str) -> Any:
    import torchvision

    size, extra = MODELS[name]
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, **extra).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            module.weight.data.normal_(0, 0.02)  # a new ViT's head is all zeros, and so would be its scores
    return model, torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))


def converted(model: Any, x: Any, folder: Path) -> dict[str, float]:
    """Write the rebuilt file; returns what that cost, beyond imports."""
    from exporters import to_torchscript
    from exporters.graph import read, signature
    from exporters.options import ExportOptions
    from toolkit.contract import Contract

    onnx = folder / "model.onnx"
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter has no form of the operator that it is
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            model, (x[:2],), str(onnx), dynamo=False, do_constant_folding=False, opset_version=18,
            training=torch.onnx.TrainingMode.PRESERVE, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )  # fmt: skip
    torch.backends.mha.set_fastpath_enabled(fast)
    declared = signature.signature(read.read(onnx))
    gc.collect()
    reset_peak()
    before, started = peak(), time.process_time()
    to_torchscript.from_onnx(onnx, folder / "ours.pt", declared, Contract(), ExportOptions())
    size = (folder / "ours.pt").stat().st_size / 2**20
    return {"convert_cpu_s": time.process_time() - started, "convert_memory": (peak() - before) / size}


def noise_ratio(model: Any, native: Any, ours: Any, x: Any) -> float:
    truth = model.double()(x.double())
    found = native(x)
    scores = found if isinstance(found, torch.Tensor) else found[0]  # a scripted Inception always returns two
    return float((ours(x) - truth).norm() / (scores - truth).norm())


def measured(name: str, seconds: float) -> dict[str, Any]:
    model, x = build(name)
    with tempfile.TemporaryDirectory() as text, torch.inference_mode():
        folder = Path(text)
        torch.jit.save(torch.jit.script(model), folder / "native.pt")
        with torch.inference_mode(False), torch.no_grad():
            cost = converted(model, x, folder)
        native, ours = (torch.jit.load(folder / f"{side}.pt").eval() for side in ("native", "ours"))
        first = {"native": first_calls(native, x[:1]), "ours": first_calls(ours, x[:1])}
        row: dict[str, Any] = {**cost, "first_calls_s": first, "R": noise_ratio(model, native, ours, x)}
        sides = times(native, ours, x[:1], seconds)
    return row | compared(*sides)


def page(data: dict[str, Any]) -> str:
    note = "<!-- written by benchmarks/torchscript_speed.py: do not edit -->"
    return turns.page(["# TorchScript from ONNX: how fast", note, INTRODUCTION], (HEAD, RULE), data, _line)


def _line(name: str, row: dict[str, Any]) -> str:
    first = turns.first_words(row)
    return (
        f"| {name} | {row['native_ms']:.1f} | {row['ours_ms']:.1f} | {row['ratio']:.2f} ({row['low']:.2f} to "
        f"{row['high']:.2f}) | {row['R']:.2f} | {first['native']} | {first['ours']} | "
        f"{row['convert_cpu_s']:.1f} | {row['convert_memory']:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each model")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(given.threads)
    data = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"threads": {}}
    data["versions"] = {name: version(name) for name in ("torch", "torchvision", "onnx")}
    rows = data["threads"].setdefault(str(given.threads), {})
    for name in given.models:
        rows[name] = measured(name, given.seconds)
        print(name, f"ratio {rows[name]['ratio']:.3f}, R {rows[name]['R']:.2f}", flush=True)
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    main()
