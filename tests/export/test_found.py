"""Models that return as much as they find: sizes that depend on values, nested as detectors nest them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import toolkit
from exporters.sources.source import Source
from exporters.sources.torch_module import TorchModuleRunner
from tests.limits import HANG
from toolkit.errors import RuntimeMissing
from toolkit.runtime.torchscript_runner import TorchScriptRunner
from toolkit.verification import float64


class Finder(torch.nn.Module):
    """One dict per picture in a list; the means are a list of scalars, as in torchvision's transforms."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.means = [0.1, 0.2, 0.3, 0.7]

    def forward(self, pictures):
        results = []
        for picture in pictures:
            scores = self.layer(picture - torch.tensor(self.means, dtype=picture.dtype)).sum(1)
            keep = torch.nonzero(scores > 0)[:, 0]
            results.append({"rows": picture[keep], "scores": scores[keep], "which": keep})
        return results


def finder() -> tuple[torch.nn.Module, tuple[list[torch.Tensor]]]:
    torch.manual_seed(0)
    return Finder(), ([torch.randn(9, 4)],)


def opened() -> TorchModuleRunner:
    source = Source(kind="torch-object", name="finder")
    return TorchModuleRunner(source, lambda _: finder(), "cpu", 1).__enter__()


def test_sizes_that_depend_on_values_get_names() -> None:
    signature = opened().signature
    assert signature.output_structure == [
        {"rows": "output_0.rows", "scores": "output_0.scores", "which": "output_0.which"}
    ]
    assert [spec.shape for spec in signature.outputs] == [("output_0.rows_0", 4), ("output_0.scores_0",),
                                                          ("output_0.which_0",)]  # fmt: skip


def test_truth_takes_lists_of_scalars_as_float32() -> None:
    module = Finder()
    kept = float64._scalars_as_float32(module).means
    assert kept == torch.tensor([0.1, 0.2, 0.3, 0.7]).double().tolist()


def test_every_format_of_a_list_of_dicts(tmp_path: Path) -> None:
    model, example = finder()
    model.example_inputs = example
    bundle = toolkit.export(model, to=["onnx", "torchscript"], output=tmp_path / "out", latency=False, count=32)
    assert bundle.report.passed
    assert bundle.routes["torchscript"] == "torch.jit.trace"  # nothing tells scripting what a list of dicts holds


def test_operators_of_a_package_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "found.pt"
    code = (
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "library.impl('nms', lambda boxes, scores, limit: scores.argsort(), 'CPU')\n"
        "example = torch.ones(2, 4), torch.ones(2)\n"
        "found = torch.jit.trace(lambda a, b: torch.ops.torchvision.nms(a, b, 0.5), example)\n"
        f"found.save({str(path)!r})\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=HANG)
    with pytest.raises(RuntimeMissing) as caught:
        TorchScriptRunner(path).__enter__()
    assert caught.value.found == "the operator torchvision::nms is of the package 'torchvision', which is not installed"
    assert caught.value.hint == "pip install torchvision"
