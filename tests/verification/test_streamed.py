"""Large PyTorch models in float64, their weights widened one by one: the same numbers as those of a float64 copy."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from exporters.sources.source import Source
from exporters.sources.torch_module import TorchModuleRunner
from toolkit.signature import Signature, TensorSpec
from toolkit.verification import float64, streamed
from toolkit.verification.plan import make
from toolkit.verification.streamed import Streamed


class Tied(nn.Module):
    """An embedding that is the output layer too, around attention."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.scores = nn.Linear(16, 50, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, ids):
        return self.scores(self.layer(self.words(ids)))


class Rested(nn.Module):
    """A dropout that returns the weight itself, which must outlive the next operators."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(8, 8))

    def forward(self, x):
        table = nn.functional.dropout(self.table, 0.5, self.training)
        return (x @ self.table.t() + x @ self.table[:, ::2].repeat(1, 2)) @ table


def _images():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2))


MODELS = {
    "convolutions": (_images, lambda: torch.randn(2, 3, 8, 8)),
    "scripted": (lambda: torch.jit.script(_images()), lambda: torch.randn(2, 3, 8, 8)),
    "tied weights": (Tied, lambda: torch.randint(0, 50, (2, 5))),
    "a dropout at rest": (Rested, lambda: torch.randn(3, 8)),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("name", MODELS)
def test_as_a_float64_copy(name):
    torch.manual_seed(0)
    build, example = MODELS[name]
    module, x = build().eval(), example()
    before = copy.deepcopy(module.state_dict())
    wide = x.double() if x.is_floating_point() else x
    expected = copy.deepcopy(module).double()(wide)
    with torch.inference_mode(), Streamed(module):
        found = module(wide)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_a_weight_is_not_changed():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x):
            self.seen.add_(1)
            return x + self.seen

    module = Counting()
    with torch.inference_mode(), Streamed(module), pytest.raises(TypeError, match="changes a weight"):
        module(torch.zeros(3, dtype=torch.float64))
    assert not module.seen.any()


@pytest.mark.parametrize(
    ("build", "shape", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8)), ("batch", 4), "widened one by one"),
        (lambda: _First(nn.LSTM(4, 5)), ("batch", 3, 4), "in float64"),  # it compares dtypes
    ],
    ids=["streamed", "a copy after all"],
)
def test_the_truth_of_a_large_model(monkeypatch, build, shape, words):
    torch.manual_seed(0)
    module, signature = build(), Signature((TensorSpec("x", "float32", shape),), ())
    source = Source("torch-object", "model", inputs=("x:float32[" + ",".join(map(str, shape)) + "]",))
    with TorchModuleRunner(source, lambda _: (module, None), "cpu", None) as runner:
        batches = [batch.inputs for batch in make(signature, None, count=32).batches]
        copied = float64.of_runner(runner)
        monkeypatch.setattr(streamed, "LARGE", 0)
        found = float64.of_runner(runner)
        assert found.how.endswith(words)
        assert not copied.how.endswith("one by one")
        for batch in batches:
            first, second = copied.run(batch)["output"], found.run(batch)["output"]
            assert abs(first - second).max() <= 1e-14 * abs(first).max()


class _First(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]
