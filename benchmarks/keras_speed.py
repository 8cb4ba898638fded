"""Keras' applications as TorchScript against the native PyTorch model of the same architecture, scripted.

python benchmarks/keras_speed.py [MODEL ...] [--threads N ...] [--seconds S]     (a part of `make bench-torchscript`)

The application goes from Keras over ONNX to TorchScript in a process of its own, as `toolkit export` does it. The
native model is torchvision's or timm's, with random weights: arithmetic of the same sizes, so that times compare and
outputs do not (R of the applications is in docs/applications.md). Then both files run in turns, as in
torchscript_speed.py. Writes benchmarks/results/keras_speed.json and docs/keras-speed.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import turns

RESULTS = ROOT / "benchmarks" / "results" / "keras_speed.json"
PAGE = ROOT / "docs" / "keras-speed.md"
# Application -> the side of its images, and where the native model is. NASNetMobile has none: timm's NASNet is another
# size of the family.
MODELS: dict[str, tuple[int, str]] = {
    "MobileNet": (224, "timm:mobilenetv1_100"),
    "MobileNetV2": (224, "torchvision:mobilenet_v2"),
    "MobileNetV3Small": (224, "torchvision:mobilenet_v3_small"),
    "MobileNetV3Large": (224, "torchvision:mobilenet_v3_large"),
    "EfficientNetB0": (224, "torchvision:efficientnet_b0"),
    "EfficientNetV2B0": (224, "timm:tf_efficientnetv2_b0"),
    "DenseNet121": (224, "torchvision:densenet121"),
    "ResNet50": (224, "torchvision:resnet50"),
    "ResNet50V2": (224, "timm:resnetv2_50"),
    "InceptionV3": (299, "torchvision:inception_v3"),
    "Xception": (299, "timm:legacy_xception"),
    "ConvNeXtTiny": (224, "torchvision:convnext_tiny"),
    "InceptionResNetV2": (299, "timm:inception_resnet_v2"),
    "VGG16": (224, "torchvision:vgg16"),
}
INTRODUCTION = (
    "Keras' applications, exported to TorchScript by the toolkit, against the native PyTorch model of the same "
    "architecture (torchvision or timm), scripted: batch 1, both files in turns in one process. Below 1 the export is "
    "faster. Each has its own framework's way of padding, preprocessing layers included; ResNet50's native model has "
    "its strides moved to where Keras has them. First calls: the first three after loading."
)
HEAD = "| Application | native model | native ms | export ms | ratio (interval) | first calls native, s | export, s |"
RULE = "|---|---|" + "---:|" * 5


def native(name: str) -> Any:
    """The native model with random weights, ready to be scripted."""
    import torch

    from benchmarks import torchvision_schemas  # noqa: F401 - before torchvision

    package, _, model = MODELS[name][1].partition(":")
    torch.manual_seed(0)
    if package == "timm":
        import timm

        return timm.create_model(model, pretrained=False, scriptable=True).eval()
    import torchvision

    extra = {"init_weights": False} if name == "InceptionV3" else {}
    built = getattr(torchvision.models, model)(weights=None, **extra).eval()
    if name == "ResNet50":  # torchvision strides in the second convolution of a block, Keras as the paper in the first
        for block in built.modules():
            if isinstance(block, torchvision.models.resnet.Bottleneck):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return built


def write(name: str, path: Path) -> None:
    """Export one application, in this process."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import keras_zoo

    from exporters import to_onnx, to_torchscript
    from exporters.options import ExportOptions
    from exporters.sources import keras_model
    from exporters.sources import source as sources

    model = keras_zoo.built(name)
    with keras_model.open_object(sources.resolve(model), "cpu", None, model) as runner:
        onnx = path.with_suffix(".onnx")
        to_onnx.strategies(runner)["tf2onnx"](runner, onnx, ExportOptions())
        to_torchscript.from_onnx(onnx, path, runner.signature, runner.contract, ExportOptions())


def measured(name: str, seconds: float, counts: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Number of threads -> the row of one application, of which one file is made for all."""
    import torch

    side = MODELS[name][0]
    rows = {}
    with tempfile.TemporaryDirectory() as text, torch.inference_mode():
        folder = Path(text)
        command = [sys.executable, str(Path(__file__)), "--write", name, str(folder / "ours.pt")]
        subprocess.run(command, check=True, capture_output=True, text=True)
        torch.jit.save(torch.jit.script(native(name)), folder / "native.pt")
        last = torch.randn(1, side, side, 3, generator=torch.Generator().manual_seed(1))
        first = last.permute(0, 3, 1, 2).contiguous()
        for threads in counts:
            torch.set_num_threads(threads)
            files = {each: torch.jit.load(folder / f"{each}.pt").eval() for each in ("native", "ours")}
            given = {"native": first, "ours": last}
            calls = {each: partial(_call, files[each], given[each]) for each in files}
            firsts = {each: turns.first_calls(call, None) for each, call in calls.items()}
            sides = turns.times(calls["native"], calls["ours"], None, seconds)
            rows[threads] = turns.compared(*sides) | {"first_calls_s": firsts}
    return rows


def _call(module: Any, x: Any, _: Any) -> Any:
    return module(x)


def page(data: dict[str, Any]) -> str:
    """The whole page, from the results file alone."""
    note = "<!-- written by benchmarks/keras_speed.py: do not edit -->"
    parts = ["# Keras applications as TorchScript: how fast", note, INTRODUCTION]
    return turns.page(parts, (HEAD, RULE), data, _line)


def _line(name: str, row: dict[str, Any]) -> str:
    first = turns.first_words(row)
    return (
        f"| {name} | {MODELS[name][1]} | {row['native_ms']:.1f} | {row['ours_ms']:.1f} | {row['ratio']:.2f} "
        f"({row['low']:.2f} to {row['high']:.2f}) | {first['native']} | {first['ours']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each model")
    parser.add_argument("--write", nargs=2, metavar=("MODEL", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.write[0], Path(given.write[1]))
        return
    warnings.simplefilter("ignore")
    data = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"threads": {}}
    data["versions"] = {name: version(name) for name in ("torch", "torchvision", "timm", "keras", "tensorflow")}
    for name in given.models:
        for threads, row in measured(name, given.seconds, given.threads).items():
            rows = {**data["threads"].get(str(threads), {}), name: row}
            data["threads"][str(threads)] = {each: rows[each] for each in MODELS if each in rows}
            print(name, f"{threads} threads: ratio {row['ratio']:.3f}", flush=True)
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    main()
