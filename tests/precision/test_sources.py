"""Sources that compute in float16 or bfloat16 themselves: every format has a file of them, and the verdict sees through
their rounding.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.graph import half_guard
from exporters.precision import widen
from tests.conftest import COUNT
from toolkit import bundle
from toolkit.cli import invoke
from toolkit.verification import verifier

QUICK = {"count": COUNT, "latency": False}
pytestmark = pytest.mark.usefixtures("warm", "in_models")
ALL = ["onnx", "torchscript", "savedmodel", "hdf5"]

TORCH = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        return self.out(self.norm(torch.relu(self.conv(x)).mean((2, 3))))


class Cast(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Net().half()

    def forward(self, x):
        return self.inner(x.half()).float()


def bfloat16():
    return Net().eval().bfloat16(), (torch.randn(2, 3, 8, 8).bfloat16(),)


def float16():
    return Net().eval().half(), (torch.randn(2, 3, 8, 8).half(),)


def inside():
    return Cast().eval(), (torch.randn(2, 3, 8, 8),)
"""

KERAS = """
import keras

def build():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", dtype="mixed_bfloat16")(x)
    return keras.Model(x, keras.layers.Dense(3, dtype="bfloat16")(hidden))
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    (tmp_path / "few_torch.py").write_text(TORCH)
    (tmp_path / "few_keras.py").write_text(KERAS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", ["few_torch:bfloat16", "few_torch:float16", "few_torch:inside", "few_keras:build"])
def test_every_format_has_a_file(sources, source):
    made = bundle.export(source, ALL, sources / "out", **QUICK)
    assert [(row.format, row.verdict.value) for row in made.report.rows] == [(name, "PASS") for name in ALL]
    session = onnxruntime.InferenceSession(made.file("onnx"))  # what NumPy cannot hold nobody could take from it
    assert {value.type for value in session.get_outputs()} <= {"tensor(float)", "tensor(float16)"}
    assert verifier.verify(made.path, latency=False).passed  # by the golden data alone


def test_weights_of_bfloat16_are_stored_so_and_the_file_is_timed(sources, capsys):
    made = bundle.export("few_torch:bfloat16", ["onnx", "torchscript"], sources / "out", **QUICK)
    assert invoke(["bench", str(made.path), "--threads", "1"]) == 0  # takes float32 and bfloat16
    assert "torchscript" in capsys.readouterr().out
    stored = {item.name: item.data_type for item in onnx.load(made.file("onnx")).graph.initializer}
    assert stored["conv.weight"] == stored["out.weight"] == TensorProto.BFLOAT16


def test_a_wrong_weight_is_seen_through_the_rounding(sources):
    made = bundle.export("few_torch:bfloat16", ["onnx"], sources / "out", **QUICK)
    model = onnx.load(made.file("onnx"))
    weight = next(item for item in model.graph.initializer if item.name == "out.weight")
    values = numpy_helper.to_array(weight).astype(np.float32)
    values[2, 3] *= 1.05
    weight.CopyFrom(helper.make_tensor(weight.name, TensorProto.BFLOAT16, values.shape, values.reshape(-1)))
    wrong = sources / "wrong.onnx"
    onnx.save(model, wrong)
    report = verifier.verify("few_torch:bfloat16", [wrong], **QUICK)
    assert [row.verdict.value for row in report.rows] == ["FAIL"]


def attention_like(path, *, ends=TensorProto.FLOAT16):
    """A product behind a transposition, in float16: ONNX Runtime 1.31 dies on it."""
    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((8, 6)).astype(np.float16), "weight")
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Relu", ["half"], ["positive"]),
        helper.make_node("Transpose", ["positive"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["turned", "weight"], ["product"]),
        helper.make_node("Softmax", ["product"], ["shares"], axis=-1),
        helper.make_node("Cast", ["shares"], ["y"], to=ends),
    ]
    ends_of = [helper.make_tensor_value_info(name, ends, shape) for name, shape in
               (("x", ["batch", 5, 8]), ("y", [5, "batch", 6]))]  # fmt: skip
    graph = helper.make_graph(nodes, "g", ends_of[:1], ends_of[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("ends", [TensorProto.FLOAT16, TensorProto.FLOAT])
def test_an_onnx_file_in_float16(tmp_path, ends):
    """Also where ONNX Runtime would end the process: the file that is written no longer does that."""
    source = attention_like(tmp_path / "half.onnx", ends=ends)
    made = bundle.export(str(source), ALL, tmp_path / "out", **QUICK)
    assert [row.verdict.value for row in made.report.rows] == ["PASS"] * 4
    written = onnx.load(made.file("onnx"))
    assert written.opset_import[0].version == 17  # its own, since no other was asked for
    assert not half_guard.is_needed(ir.from_proto(written))


def test_another_opset_is_written_where_it_is_asked_for(tmp_path):
    made = bundle.export(str(attention_like(tmp_path / "half.onnx")), ["onnx"], tmp_path / "out", opset=21, **QUICK)
    assert onnx.load(made.file("onnx")).opset_import[0].version == 21
    assert [row.verdict.value for row in made.report.rows] == ["PASS"]


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_widened_in_branches_attributes_and_constants(dtype):
    """What is left computes nothing in few bits, and the same as the numbers say."""
    branch = [
        helper.make_graph([helper.make_node(name, ["sum"], [f"{name}_out"])], name, [],
                          [helper.make_tensor_value_info(f"{name}_out", dtype, None)])
        for name in ("Abs", "Neg")
    ]  # fmt: skip
    half = helper.make_tensor("value", dtype, [1], [0.1])
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["filled"], value=half),
        helper.make_node("Cast", ["x"], ["narrow"], to=dtype),
        helper.make_node("Add", ["narrow", "filled"], ["sum"]),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Cast", ["chosen"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", 1, ["n"]), helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", 1, ["n"])],
    )  # fmt: skip
    model = widen.widen(ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)],
                                                        ir_version=9)))  # fmt: skip
    assert widen.precision_of(model) == "fp32"
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    x = np.array([1.0001, -3.0], np.float32)
    tenth = float(np.asarray(0.1, np.float16) if dtype == TensorProto.FLOAT16 else np.float32(0.10009765625))
    for flag, wanted in ((True, np.abs(x + np.float32(tenth))), (False, -(x + np.float32(tenth)))):
        (found,) = session.run(None, {"x": x, "flag": np.array(flag)})
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
