"""What is no error of a file's: constants that a model amplifies, and equal scores in another order."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit import bundle
from toolkit.verification import verifier

QUICK = {"count": 64, "latency": False}
pytestmark = pytest.mark.usefixtures("warm")

# Places in [-1, 1] are turned and stretched by what a network says, so far that most lie between other pixels.
SPATIAL_TRANSFORMER = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(9)
        self.places = nn.Sequential(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
                                    nn.Flatten(), nn.Linear(128, 6))
        self.look = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x):
        turned = self.places(x).view(-1, 2, 3) + torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
        grid = F.affine_grid(turned, x.size(), align_corners=False)
        return self.look(F.grid_sample(x, grid, align_corners=False, padding_mode="border"))


def build():
    return Net().eval(), (torch.randn(2, 1, 20, 20),)
"""


# A picture of nothing has one score everywhere, and one of large numbers has many that are exactly 1: which of their
# places are the best five, each runtime says differently.
PEAKS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.heat = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x):
        heat = torch.sigmoid(self.heat(x))
        scores, places = heat.flatten(1).topk(5)
        return scores, places


def build():
    return Net().eval(), (torch.randn(2, 3, 12, 16),)
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    (tmp_path / "spatial.py").write_text(SPATIAL_TRANSFORMER)
    (tmp_path / "peaks.py").write_text(PEAKS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rounded_places_pass_and_moved_ones_do_not(source):
    made = bundle.export("spatial:build", ["onnx", "savedmodel"], source / "out", **QUICK)
    assert [row.verdict.value for row in made.report.rows] == ["PASS", "PASS"]
    lens = next(lens for lens in made.report.rows[0].lenses if lens.name == "float64")
    assert "its constants were rounded" in lens.detail

    model = onnx.load(made.file("onnx"))
    ends = [tensor for tensor in _constants(model.graph) if np.array_equal(numpy_helper.to_array(tensor), 1.0)]
    assert ends  # the last place of a row, and of a column
    for tensor in ends:
        tensor.CopyFrom(numpy_helper.from_array(np.float32(1 + 1e-5), tensor.name))
    onnx.save(model, source / "wrong.onnx")
    report = verifier.verify("spatial:build", [source / "wrong.onnx"], **QUICK)
    assert [row.verdict.value for row in report.rows] == ["FAIL"]


def test_equal_scores_are_ties(source):
    made = bundle.export("peaks:build", ["onnx", "savedmodel"], source / "out", **QUICK)
    assert [row.verdict.value for row in made.report.rows] == ["PASS", "PASS"]


def _constants(graph):
    found = [item.t for node in graph.node for item in node.attribute if item.name == "value"] + list(graph.initializer)
    return [tensor for tensor in found if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.dims]
