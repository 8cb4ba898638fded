"""Integers are generated over the range that the model takes, and outputs' dimensions are called like inputs'."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import onnx
import pytest
from onnx import parser

from exporters.sources import dimensions, ranges
from exporters.sources import source as sources
from exporters.sources.opening import runner_of
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.verification import plan

TORCH = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 4)
        self.kinds = nn.Embedding(3, 4)

    def forward(self, ids, kind, mask):
        return ((self.words(ids) + self.kinds(kind)) * mask[..., None]).sum(1)

def build():
    torch.manual_seed(0)
    return Net()
"""
INPUTS = ("ids:int64[batch,seq]", "kind:int64[batch,seq]", "mask:int64[batch,seq]")


def test_the_tables_of_a_torch_module(tmp_path):
    (tmp_path / "looks_up.py").write_text(TORCH)
    found = sources.resolve("looks_up:build", inputs=INPUTS, search=[str(tmp_path)])
    with runner_of(found, "cpu", 1, None) as runner:
        known = ranges.of_runner(runner)
        assert known == {"ids": 50, "kind": 3}  # a mask is no index
        made = plan.make(runner.signature, None, count=128, ranges=known)
    drawn = {
        name: np.concatenate([batch.inputs[name].ravel() for batch in made.batches]) for name in ("ids", "kind", "mask")
    }
    assert {name: (int(found.min()), int(found.max())) for name, found in drawn.items()} == {
        "ids": (0, 49), "kind": (0, 2), "mask": (0, 1),
    }  # fmt: skip
    assert [text for text in made.not_tried if "'" in text] == ["'mask' other than 0 and 1"]


def test_the_tables_of_an_onnx_file(tmp_path):
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (int64[B] ids) => (float[B,2] y)'
        " <float[3,2] table = {1, 2, 3, 4, 5, 6}> { y = Gather(table, ids) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    with OnnxRunner(tmp_path / "m.onnx", threads=1) as runner:
        assert ranges.of_runner(runner) == {"ids": 3}


class Fake:
    """A runner whose outputs have the sizes that a function says."""

    given: ClassVar[dict[str, np.ndarray]] = {}

    def __init__(self, inputs, outputs, sizes):
        from toolkit.signature import Signature, TensorSpec

        self.signature = Signature(
            tuple(TensorSpec("x", "float32", shape) for shape in inputs),
            tuple(TensorSpec(f"y{i}", "float32", shape) for i, shape in enumerate(outputs)),
        )
        self.sizes = sizes

    def run(self, arrays):
        return {f"y{i}": np.zeros(shape) for i, shape in enumerate(self.sizes(*arrays["x"].shape))}


def test_an_output_bears_the_names_of_the_input():
    runner = Fake([("batch", "height", 4)], [("batch", "y_1"), ("batch", "y_1")], lambda b, h, _: [(b, h), (b, h // 2)])
    assert [spec.shape for spec in dimensions.named(runner).outputs] == [("batch", "height"), ("batch", "y_1")]


@pytest.mark.usefixtures("warm", "in_models")
def test_a_keras_model_end_to_end(tmp_path, monkeypatch):
    from toolkit import bundle

    (tmp_path / "tokens_net.py").write_text(
        "import keras\n\n"
        "def build():\n"
        "    keras.utils.set_random_seed(0)\n"
        "    tokens = keras.Input((None,), dtype='int32', name='tokens')\n"
        "    return keras.Model(tokens, keras.layers.Embedding(30, 4, name='each')(tokens))\n"
    )
    monkeypatch.chdir(tmp_path)
    made = bundle.export("tokens_net:build", "onnx", tmp_path / "out", count=32, latency=False)
    assert [str(spec) for spec in made.manifest.signature.outputs] == ["each:float32[batch,tokens_1,4]"]
    report = json.loads((made.path / "report.json").read_text())
    assert not [text for text in report["coverage"]["not_tried"] if "tokens" in text]
