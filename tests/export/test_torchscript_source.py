"""TorchScript files as sources: their graphs hold no shapes, and the batch must stay free all the same."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import COUNT
from toolkit import bundle


class Rows(nn.Module):
    """Flattens, parts and joins axes, each in need of the rank that the one before left."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 14, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.conv(x).flatten(2).transpose(1, 2).unflatten(2, (2, 7))
        return torch.log_softmax(rows.flatten(1, 2).unflatten(-1, (-1, 7)).squeeze(2), dim=-1)


@pytest.mark.parametrize("way", ["traced", "scripted"])
def test_ranks_survive_flatten_and_unflatten(way, tmp_path):
    torch.manual_seed(0)
    module, path = Rows().eval(), tmp_path / "rows.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated: users' files are still there
        made = torch.jit.trace(module, torch.zeros(2, 3, 4, 4)) if way == "traced" else torch.jit.script(module)
        made.save(str(path))
    found = bundle.export(path, "onnx", tmp_path / "out", inputs=["x:float32[batch,3,4,4]"], count=COUNT, latency=False)
    assert found.report.passed


class Pyramid(nn.Module):
    """One picture in two sizes, by name: a dict is taken apart on the way, and what resizes must stay one operator."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.twice, self.fixed = nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(size=(9, 7))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = torch.relu(self.conv(x))
        return {"twice": self.twice(y), "fixed": self.fixed(y)}


def test_resizing_is_known_inside_a_dict(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "pyramid.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Pyramid().eval()).save(str(path))
    inputs = ["x:float32[batch,3,height<=24,8]"]
    found = bundle.export(path, "onnx", tmp_path / "out", inputs=inputs, count=COUNT, latency=False)
    assert found.report.passed
