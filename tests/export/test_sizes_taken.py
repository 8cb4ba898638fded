"""Models that do not say what they take: of which sizes only multiples, and what a built Keras model's inputs are."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from exporters.sources import examples, multiples, torch_module
from exporters.sources.source import Source
from toolkit.errors import FactoryFailed
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import plan


class Halved(nn.Module):
    """As a U-Net does: halves a picture, doubles it, and joins it with what it was before."""

    def __init__(self, times: int):
        super().__init__()
        self.times = times

    def forward(self, x):
        return torch.cat([x, nn.functional.interpolate(nn.functional.max_pool2d(x, self.times), None, self.times)], 1)


def _opened(model, text):
    source = Source("model", "torch-object", "torch", "", inputs=(text,))
    return torch_module.open_object(source, "cpu", None, model).__enter__()


@pytest.mark.parametrize("times", [2, 3, 8])
def test_sizes_that_a_model_takes_are_found(times):
    runner = _opened(Halved(times), "x:float32[batch,3,height,width]")
    assert runner.signature.multiples == (("height", times), ("width", times))
    assert runner.notes == [f"sizes are multiples of {times} (height, width): the model raised at others"]
    made = plan.make(runner.signature, None, count=64)
    sizes = {batch.inputs["x"].shape[2:] for batch in made.batches}
    assert len(sizes) > 1
    assert all(side % times == 0 for each in sizes for side in each)
    assert all(height != width for height, width in sizes)
    for batch in made.batches[:4]:
        runner.run(batch.inputs)
    assert f"sizes of 'height' that are no multiples of {times}" in made.coverage().not_tried


def test_sizes_that_the_user_says_are_kept():
    assert _opened(Halved(2), "x:float32[batch,3,height%16,width%4]").signature.multiples == (
        ("height", 16),
        ("width", 4),
    )


def test_a_model_that_takes_no_size_says_so():
    with pytest.raises(FactoryFailed, match="the model raised RuntimeError"):
        _opened(nn.Conv2d(5, 1, 1), "x:float32[batch,3,height,width]")


def test_sizes_of_multiples_are_different():
    spec = TensorSpec("x", "float32", ("batch", "height", "width"))
    signature = Signature((spec,), (), multiples=(("height", 32), ("width", 32)))
    assert examples.sizes(signature, 0) == {"batch": 2, "height": 32, "width": 64}
    assert Signature.from_json(signature.to_json()) == signature
    assert list(multiples.candidates(signature)) == []
    assert Signature((spec,), (), limits=(("height", 70),), multiples=(("height", 32),)).sized("height", 90) == 64


BUILT = """
import keras, numpy as np
from exporters.sources import keras_built, keras_model

class Two(keras.Model):
    def __init__(self):
        super().__init__()
        self.words, self.dense = keras.layers.Embedding(30, 8), keras.layers.Dense(4)

    def call(self, inputs):
        return self.dense(keras.ops.concatenate([keras.ops.mean(self.words(inputs[0]), 1), inputs[1]], -1))

class One(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, x):
        return self.dense(x)

two, one = Two(), One()
two((np.zeros((2, 5), "int32"), np.zeros((2, 3), "float32")))
one.build((None, None, 7))
for model in (two, one):
    shapes = keras_built.shapes_of(model)
    example = keras_built.example(keras, model, shapes)
    signature = keras_model._free(keras_model.example_signature(example), keras_built.flat(shapes))
    print(*signature.inputs)
print(keras_built.shapes_of(One()), "call" in vars(keras.layers.Embedding))
"""


def test_a_built_keras_model_says_what_it_takes():
    done = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "input_0:int32[batch,5] input_1:float32[batch,3]", "x:float32[batch,x_1,7]", "None True",
    ], done.stderr  # fmt: skip
