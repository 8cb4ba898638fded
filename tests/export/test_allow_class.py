"""Pickled models of classes that the user names: PyTorch's own unpickler builds those, and nothing else is called."""

from __future__ import annotations

import os

import pytest
import torch

from exporters.sources import source as sources
from exporters.sources.opening import runner_of
from toolkit.errors import BadInput, UnsafeFile

INPUTS = ("x:float32[batch,4]",)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())

    def forward(self, x):
        return self.layers(x)


class Marked:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


NAME = f"{Net.__module__}.Net"


def test_an_allowed_class_is_built(tmp_path):
    torch.save(Net(), tmp_path / "net.pt")
    found = sources.resolve(tmp_path / "net.pt", inputs=INPUTS, allow=[NAME])
    with runner_of(found, "cpu", 1, None) as runner:
        assert [str(spec) for spec in runner.signature.outputs] == ["output:float32[batch,3]"]


@pytest.mark.parametrize("allow", [["other.Net"], [NAME]])
def test_anything_else_is_refused_unrun(tmp_path, allow):
    net = Net()
    net.mark = Marked(str(tmp_path / "marker"))
    torch.save(net, tmp_path / "net.pt")
    with pytest.raises(UnsafeFile) as error:
        sources.resolve(tmp_path / "net.pt", inputs=INPUTS, allow=allow)
    assert error.value.found.startswith("it calls what was not allowed: ")
    assert not (tmp_path / "marker").exists()


def test_a_function_is_no_class(tmp_path):
    net = Net()
    net.mark = Marked(str(tmp_path / "marker"))
    torch.save(net, tmp_path / "net.pt")
    found = sources.resolve(tmp_path / "net.pt", inputs=INPUTS, allow=[NAME, f"{os.mkdir.__module__}.mkdir"])
    with pytest.raises(BadInput) as error:
        runner_of(found, "cpu", 1, None).__enter__()
    assert error.value.found == f"'{os.mkdir.__module__}.mkdir' is no class"
    assert not (tmp_path / "marker").exists()
