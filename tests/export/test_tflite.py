"""LiteRT: recurrent layers become loops that are right at every size, and what has no operator there is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.limits import HANG
from toolkit import bundle, litert
from toolkit.errors import UnsupportedOperator

QUICK = {"count": 32, "latency": False}

# Every net with Keras' own loop put aside, and run at sizes of batch and time that it was not traced with.
LOOPS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import keras, numpy as np, tensorflow as tf
from pathlib import Path
from exporters import to_tflite
from exporters.sources import keras_model, source
from keras import layers as L
from toolkit import litert
from exporters.options import ExportOptions

def net(shape, *layers):
    x = start = keras.Input(shape, name="x")
    for layer in layers:
        x = layer(x)
    return keras.Model(start, x)

nets = {
    "gru backwards": net((None, 8), L.GRU(5, go_backwards=True)),
    "both ways": net((None, 8), L.Bidirectional(L.SimpleRNN(4, return_sequences=True))),
    "masked": net((None, 3), L.Masking(0.0), L.LSTM(4, return_sequences=True)),
    "convolutional": net((4, 6, 6, 2), L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)),
}
found = {}
for name, model in nets.items():
    keras.utils.set_random_seed(0)
    with keras_model.open_object(source.resolve(model), "cpu", None, model) as runner:
        path = Path(sys.argv[1]) / "net.tflite"
        to_tflite.strategies(runner)["tf.lite"](runner, path, ExportOptions())
    from toolkit.runtime.litert_runner import LitertRunner
    worst = 0.0
    with LitertRunner(path) as ours:
        for batch, time in ((1, 5), (3, 9), (7, 2)):
            shape = [batch, *(time if size is None else size for size in model.inputs[0].shape[1:])]
            random = np.random.default_rng(batch)
            x = random.standard_normal(shape).astype("float32")
            if name == "masked":
                x[:, ::2] = 0
            expected, heard = np.asarray(model(x)), next(iter(ours.run({"x": x}).values()))
            assert heard.shape == expected.shape and expected.std() > 0
            worst = max(worst, float(np.abs(heard - expected).max()))
    found[name] = [worst, litert.read(path).operators.get("WHILE", 0)]
print(json.dumps(found))
"""


def test_recurrent_layers_at_other_sizes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOOPS, str(tmp_path)], capture_output=True, text=True, check=False, timeout=HANG
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 4
    assert {name: worst for name, (worst, _) in found.items() if worst > 1e-6} == {}
    assert all(loops for _, loops in found.values())


# Graphs whose sizes are all free, at sizes that nothing was traced with: what other formats do in float64 or int64.
FREE_SIZES = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, onnx, tensorflow as tf
from pathlib import Path
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from exporters import to_tflite
from exporters.graph import read, signature
from exporters.options import ExportOptions
from toolkit import litert
from toolkit.contract import Contract
from toolkit.runtime.litert_runner import LitertRunner

def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)

def graph(nodes, *inputs, **constants):
    kept = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    shape = ["Y", 3, "H", "W"] if nodes[-1].op_type == "Resize" else None
    made = helper.make_graph(nodes, "g", list(inputs), [tensor("y", shape or ["n"] * RANKS[nodes[-1].op_type])], kept)
    made.output[0].type.tensor_type.elem_type = KINDS.get(nodes[-1].op_type, TensorProto.FLOAT)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

RANKS = {"Range": 1, "Div": 1, "ReduceMean": 2, "MaxPool": 4, "DepthToSpace": 4}
KINDS = {"Range": TensorProto.INT64, "Div": TensorProto.INT64}
image = tensor("x", ["b", 3, "h", "w"])

def resized(mode, coordinates, nearest="floor"):
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode=mode, nearest_mode=nearest,
                            coordinate_transformation_mode=coordinates)
    return graph([helper.make_node("Shape", ["z"], ["s"]), node], image, tensor("z", ["b", 3, "H", "W"]))

scaled = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")
whole = [tensor(name, [], TensorProto.INT64) for name in "abc"]
graphs = {
    "linear": resized("linear", "half_pixel"),
    "corners": resized("linear", "align_corners"),
    "cubic": resized("cubic", "pytorch_half_pixel"),
    "nearest": resized("nearest", "asymmetric"),
    "scales": graph([scaled], image, s=np.array([1, 1, 2, 0.75], np.float32)),
    "range": graph([helper.make_node("Range", ["a", "b", "c"], ["y"])], *whole),
    "quotient": graph([helper.make_node("Div", ["a", "b"], ["y"])],
                      *(tensor(name, ["n"], TensorProto.INT64) for name in "ab")),
    "ceil": graph([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], image),
    "blocks": graph([helper.make_node("SpaceToDepth", ["x"], ["s"], blocksize=2),
                     helper.make_node("DepthToSpace", ["s"], ["y"], blocksize=2, mode="CRD")], image),
    "mean": graph([helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)], image, axes=np.array([2, 3])),
}

def feed(name, b, h, w, H, W):
    random = np.random.default_rng(b)
    if name == "range":
        return {name: np.asarray(value) for name, value in (("a", h), ("b", -w), ("c", -b))}
    if name == "quotient":
        top = random.integers(-(2**62), 2**62, 40)
        return {"a": top, "b": np.concatenate([random.integers(1, 9, 20), random.integers(-(2**40), -1, 20)])}
    h, w = (2 * h, 2 * w) if name == "blocks" else (h, w)
    x = np.full((b, 3, 16 * h, 16 * w), 0.3) if name == "mean" else random.standard_normal((b, 3, h, w))
    fed = {"x": x.astype(np.float32)}
    return fed | {"z": np.zeros((b, 3, H, W), np.float32)} if len(graphs[name].graph.input) > 1 else fed

found = {}
for name, model in graphs.items():
    path, target = (Path(sys.argv[1]) / f"{name}.{end}" for end in ("onnx", "tflite"))
    onnx.save(model, path)
    to_tflite.from_onnx(path, target, signature.signature(read.read(path)), Contract(), ExportOptions())
    reference = ReferenceEvaluator(model)
    worst = 0.0
    with LitertRunner(target) as ours:
        for sizes in ((1, 5, 7, 9, 11), (2, 9, 8, 4, 3), (3, 13, 6, 2, 17)):
            given = feed(name, *sizes)
            (expected,), heard = reference.run(None, given), ours.run(given)["y"]
            assert heard.shape == expected.shape and heard.dtype == expected.dtype, (name, heard.shape, expected.shape)
            gap = heard - expected if name in ("range", "quotient") else heard.astype(float) - expected
            worst = max(worst, float(np.abs(gap).max(initial=0)))
    found[name] = worst
print(json.dumps(found))
"""


def test_graphs_of_free_sizes_at_other_sizes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FREE_SIZES, str(tmp_path)], capture_output=True, text=True, check=False, timeout=HANG
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 10
    exact = {"nearest", "range", "quotient", "ceil", "blocks"}
    assert {name: worst for name, worst in found.items() if worst > (0 if name in exact else 1e-5)} == {}


MODELS = """
import torch
from torch import nn

def gelu():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8)).eval(), torch.zeros(2, 4)

class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x) + 1

def erf():
    return Erf(), torch.zeros(2, 4)

class Wide(nn.Module):
    def forward(self, x):
        return x.double() * 2

def wide():
    return Wide(), torch.zeros(2, 4)
"""


@pytest.fixture
def at_models(tmp_path, monkeypatch):
    (tmp_path / "litert_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_models", "warm")
def test_gelu_is_one_operator():
    made = bundle.export("litert_models:gelu", "tflite", "out", **QUICK)
    assert made.report.passed
    assert litert.read(made.file("tflite")).operators["GELU"] == 1


@pytest.mark.usefixtures("at_models", "warm")
@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "erf",
            "LiteRT has no operator for Erf (node 'main_graph_1/Erf')",
            "Files with TensorFlow's own operators (SELECT_TF_OPS) are not written; --to savedmodel has them all.",
        ),
        (
            "wide",
            "'output' is float64, which LiteRT's operators do not take",
            "Export the model in float32, or to another format.",
        ),
    ],
)
def test_what_litert_lacks_is_refused(tmp_path, name, message, hint):
    with pytest.raises(UnsupportedOperator) as caught:
        bundle.export(f"litert_models:{name}", "tflite", "out", **QUICK)
    assert str(caught.value) == f"UnsupportedOperator: {message}\n  {hint}"
    assert not (tmp_path / "out").exists()
