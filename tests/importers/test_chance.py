"""What random operators draw, by its distribution: modules and TorchScript, tens of thousands of draws."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from exporters import onnx_to_torch
from tests.importers import chance

pytestmark = [
    pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning"),  # about nn.Module itself
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*TorchScript:DeprecationWarning"),
]
COUNT = 40_000


def module(operator: str, inputs: list[Any], scripted: bool, opset: int = 22, **attributes: Any) -> torch.nn.Module:
    names = [f"x{i}" for i in range(len(inputs))]
    kinds = [int(helper.np_dtype_to_tensor_dtype(array.dtype)) for array in inputs]
    values = [
        helper.make_tensor_value_info(name, kind, list(array.shape))
        for name, kind, array in zip(names, kinds, inputs, strict=True)
    ]
    node = helper.make_node(operator, names, ["y"], **attributes)
    rank = inputs[0].ndim if inputs else 2
    kind = attributes.get("dtype", TensorProto.FLOAT)
    result = helper.make_tensor_value_info("y", kind, [f"y{axis}" for axis in range(rank)])
    graph = helper.make_graph([node], "net", values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    built = onnx_to_torch.build(model)
    if not scripted:
        return built
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(built), buffer)
    buffer.seek(0)
    loaded: torch.nn.Module = torch.jit.load(buffer)
    return loaded


def drawn(net: torch.nn.Module, inputs: list[Any], seed: int = 7) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad():
        return net(*map(torch.from_numpy, inputs))


def uniform(low: float, high: float) -> Callable[[float], float]:
    return lambda x: min(max((x - low) / (high - low), 0.0), 1.0)


def gaussian(mean: float, scale: float) -> Callable[[float], float]:
    return lambda x: chance.normal((x - mean) / scale)


LIKE = np.zeros((200, 200), np.float32)
CONTINUOUS: dict[str, tuple[str, list[Any], dict[str, Any], Callable[[float], float]]] = {
    "normal": ("RandomNormal", [], {"shape": [200, 200], "mean": 3.0, "scale": 0.5}, gaussian(3.0, 0.5)),
    "normal_double": ("RandomNormal", [], {"shape": [200, 200], "dtype": TensorProto.DOUBLE}, gaussian(0, 1)),
    "normal_like": ("RandomNormalLike", [LIKE], {"mean": -1.0, "scale": 2.0, "seed": 4.0}, gaussian(-1, 2)),
    "uniform": ("RandomUniform", [], {"shape": [200, 200], "low": -1.0, "high": 2.0}, uniform(-1, 2)),
    "uniform_like": ("RandomUniformLike", [LIKE], {"low": 5.0, "high": 5.5}, uniform(5, 5.5)),
    "uniform_like_double": ("RandomUniformLike", [LIKE], {"dtype": TensorProto.DOUBLE}, uniform(0, 1)),
}


@pytest.mark.parametrize("scripted", [False, True], ids=["eager", "scripted"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_draws_follow_their_distribution(name: str, scripted: bool) -> None:
    operator, inputs, attributes, distribution = CONTINUOUS[name]
    net = module(operator, inputs, scripted, **attributes)
    y = drawn(net, inputs)
    wanted = torch.float64 if attributes.get("dtype") == TensorProto.DOUBLE else torch.float32
    assert (tuple(y.shape), y.dtype) == ((200, 200), wanted)
    assert chance.distance(y.numpy(), distribution) < chance.KOLMOGOROV
    assert torch.equal(y, drawn(net, inputs)), "the same seed draws the same"
    assert not torch.equal(y, drawn(net, inputs, seed=8)), "another seed draws something else"
    # neighbours know nothing of each other
    flat = (y.double() - y.double().mean()).reshape(-1)
    assert abs(float((flat[1:] * flat[:-1]).mean() / flat.var())) < chance.SIGMAS / COUNT**0.5


def test_a_wrong_distribution_is_noticed() -> None:
    samples = torch.randn(COUNT, generator=torch.Generator().manual_seed(0)).numpy()
    assert chance.distance(samples, gaussian(0, 1)) < chance.KOLMOGOROV
    assert chance.distance(samples, gaussian(0, 1.05)) > chance.KOLMOGOROV
    assert chance.distance(samples, gaussian(0.03, 1)) > chance.KOLMOGOROV


@pytest.mark.parametrize("scripted", [False, True], ids=["eager", "scripted"])
def test_multinomial_draws_classes_by_their_weight(scripted: bool) -> None:
    logits = np.log(np.float32([[1, 2, 3, 4], [1, 1, 1, 7]])).astype(np.float32) + 3  # unnormalised on purpose
    net = module("Multinomial", [logits], scripted, sample_size=COUNT, dtype=TensorProto.INT64)
    y = drawn(net, [logits])
    assert (tuple(y.shape), y.dtype) == ((2, COUNT), torch.int64)
    for row, weights in zip(y.numpy(), ([1, 2, 3, 4], [1, 1, 1, 7]), strict=True):
        hits = row[:, None] == np.arange(4)
        assert chance.shares(hits, np.array(weights) / 10) == "ok"


@pytest.mark.parametrize("scripted", [False, True], ids=["eager", "scripted"])
def test_bernoulli_draws_ones_by_their_chance(scripted: bool) -> None:
    chances = np.tile(np.float32([0.0, 0.1, 0.5, 0.9, 1.0]), (COUNT // 5, 1))
    y = drawn(module("Bernoulli", [chances], scripted, dtype=TensorProto.INT32), [chances])
    assert y.dtype == torch.int32
    assert chance.shares(y.numpy(), chances[0].astype(np.float64)) == "ok"


@pytest.mark.parametrize("scripted", [False, True], ids=["eager", "scripted"])
def test_dropout_in_training_mode_keeps_the_mean(scripted: bool) -> None:
    x = np.ones((COUNT,), np.float32)
    inputs = [x, np.array(0.3, np.float32), np.array(True)]
    y = drawn(module("Dropout", inputs, scripted), inputs).numpy()
    assert set(np.round(np.unique(y), 5)) == {0.0, np.float32(1.42857)}
    assert chance.dropout(x, 0.3, [y[None]]).startswith(("ok", "the same draw"))
