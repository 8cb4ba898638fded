"""A pipeline from raw pictures: kept in the bundle, or put into every file and verified from the pixels on."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import toolkit
from toolkit import bundle
from toolkit.errors import BadInput
from toolkit.pipeline import Pipeline

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, 5)

    def forward(self, image):
        return self.out(torch.relu(self.conv(image)).mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Net(), torch.zeros(2, 3, 12, 12)
"""
PIPELINE = Pipeline(resize=16, filter="bicubic", crop=(12, 12), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))
RAW = np.random.default_rng(0).integers(0, 256, (2, 21, 30, 3), dtype=np.uint8)


@pytest.fixture
def net(tmp_path, monkeypatch):
    (tmp_path / "picture_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return "picture_net:build"


def export(pool, source, **options):
    return bundle.export(source, count=32, latency=False, preprocess=PIPELINE, pool=pool, **options)


def test_baked_files_take_raw_pictures_of_any_size(net, pool, tmp_path):
    made = export(pool, net, to="all", output="out", bake_preprocess=True)
    assert made.report.passed
    (spec,) = made.manifest.signature.inputs
    assert str(spec) == "image:uint8[batch,height,width,3]"
    assert "behind the pipeline" in made.report.reference.truth
    plain = export(pool, net, to=["onnx"], output="plain")
    assert plain.manifest.contract.pipeline == Pipeline(**{**vars(PIPELINE), "input": "image"})
    with toolkit.load("plain") as predictor, toolkit.load("out", format="onnx") as baked:
        inputs = predictor.preprocess(RAW)
        assert inputs["image"].shape == (2, 3, 12, 12)
        (expected,) = predictor.run(inputs).values()
        (found,) = baked.run(baked.preprocess(RAW)).values()
        PIL.Image.fromarray(RAW[0]).save("picture.png")
        seen = [each.classify("picture.png").index for each in (predictor, baked)]
    assert np.abs(found - expected).max() < 1e-5
    assert seen == [expected[0].argmax()] * 2


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        (Pipeline(resize=(9, 9)), "the pipeline makes pictures of [9, 9], and the model takes [12, 12]"),
        (Pipeline(resize=12), "the pipeline makes pictures of any proportions, and the model takes [12, 12]"),
        (Pipeline(resize=(12, 12), layout="nhwc"), "the pipeline makes float32[batch, height, width, 3], and"),
        (Pipeline(crop=(12, 12)), "a picture may be smaller than the crop, and a file cannot refuse it"),
        (Pipeline(resize=(12, 12), input="x"), "the model has no input 'x'"),
    ],
)  # fmt: skip
def test_a_pipeline_that_does_not_fit_is_refused(net, pool, tmp_path, pipeline, words):
    with pytest.raises(BadInput) as raised:
        bundle.export(net, "onnx", "out", preprocess=pipeline, bake_preprocess=True, pool=pool)
    assert words in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_pipeline_is_baked_in_float32_alone(net, pool):
    with pytest.raises(BadInput, match="a pipeline is not written in fp16"):
        export(pool, net, to="onnx", output="out", bake_preprocess=True, precision="fp16")
