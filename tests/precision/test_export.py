"""Exports in fewer bits, verified in a class of their own: right ones pass in it, and wrong ones in none."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.conftest import COUNT
from toolkit import bundle, manifest
from toolkit.errors import BadInput
from toolkit.verification import verifier

QUICK = {"count": COUNT, "latency": False}
pytestmark = pytest.mark.usefixtures("warm", "in_models")


MIXED = """
import keras

def build():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", dtype="mixed_float16")(x)
    return keras.Model(x, keras.layers.Dense(3, dtype="float32")(hidden))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.npz"
    np.savez(path, x=np.random.default_rng(3).standard_normal((64, 4)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def half(pool, models, tmp_path_factory):
    """The tiny PyTorch network in float16."""
    from exporters.options import ExportOptions
    from exporters.sources import source as sources

    folder = tmp_path_factory.mktemp("half") / "out"
    settings = verifier.Settings(count=COUNT, latency=False, precision="fp16", trust=None)
    source = sources.resolve("zoo_torch:build", search=[str(models)])
    options = ExportOptions(precision="fp16")
    return bundle.carry_out(pool, bundle.Request(source, ("onnx", "torchscript", "hdf5"), folder, options, settings))


def rows(report):
    return [(row.format, row.verdict.value, row.reason) for row in report.rows]


def test_float16(half):
    assert rows(half.report) == [(name, "PASS", "reduced: fp16") for name in ("onnx", "torchscript", "hdf5")]
    assert manifest.load(half.path).precision == "fp16"
    written = {item.name: item.data_type for item in onnx.load(half.file("onnx")).graph.initializer}
    assert written["out.weight"] == onnx.TensorProto.FLOAT16
    assert json.loads((half.path / "report.json").read_text())["reference"]["precision"] == "fp16"


def test_the_bundle_proves_itself(half):
    assert verifier.verify(half.path, latency=False).passed


def test_it_is_no_float32_file(half):
    report = verifier.verify("zoo_torch:build", [half.file("onnx")], locate=False, **QUICK)
    assert [row.verdict.value for row in report.rows] == ["FAIL"]
    with pytest.raises(BadInput) as error:
        verifier.verify("zoo_torch:build", [half.path], **QUICK)
    assert error.value.found == "its files are in fp16, and are to be judged as fp32"


def test_one_changed_weight_is_found_in_its_class(half, tmp_path):
    model = onnx.load(half.file("onnx"))
    weight = next(item for item in model.graph.initializer if item.name == "out.weight")
    values = numpy_helper.to_array(weight).copy()
    values[1, 2] = np.nextafter(values[1, 2], np.float16(100))
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    report = verifier.verify("zoo_torch:build", [tmp_path / "wrong.onnx"], precision="fp16", **QUICK)
    assert report.rows[0].verdict.value == "FAIL"
    assert report.rows[0].reason.startswith("weights: 'out.weight' differs in 1 of 24 values")


def test_bfloat16_is_not_float16(tmp_path):
    made = bundle.export("zoo_torch:build", "onnx", tmp_path / "out", precision="bf16", **QUICK)
    assert rows(made.report) == [("onnx", "PASS", "reduced: bf16")]
    for precision in ("fp32", "fp16"):
        report = verifier.verify("zoo_torch:build", [made.file("onnx")], precision=precision, locate=False, **QUICK)
        assert [row.verdict.value for row in report.rows] == ["FAIL"]


def test_int8_from_data(data, tmp_path):
    made = bundle.export(
        "zoo_keras:build", ["onnx", "torchscript", "tflite"], tmp_path / "out", precision="int8", data=data, **QUICK
    )
    assert rows(made.report) == [(name, "PASS", "reduced: int8") for name in ("onnx", "torchscript", "tflite")]
    assert {node.op_type for node in onnx.load(made.file("onnx")).graph.node} >= {"QuantizeLinear", "DequantizeLinear"}
    assert "inputs unlike the calibration data: 8 bits know no others" in made.report.coverage.not_tried


def test_a_model_of_mixed_precision_is_of_its_own_class(tmp_path, monkeypatch):
    (tmp_path / "mixed_net.py").write_text(MIXED)
    monkeypatch.chdir(tmp_path)
    made = bundle.export("mixed_net:build", ["onnx", "torchscript"], tmp_path / "out", **QUICK)
    assert rows(made.report) == [(name, "PASS", "reduced: fp16") for name in ("onnx", "torchscript")]
    assert verifier.verify(made.path, latency=False).passed


@pytest.mark.parametrize(
    ("formats", "precision", "given", "message"),
    [
        ("hdf5", "int8", {},
         "hdf5 cannot hold int8: Keras holds 8-bit weights as 32-bit integers, four times their size"),
        ("tflite", "bf16", {}, "tflite cannot hold bf16: LiteRT's operators take no bfloat16"),
        ("onnx", "fp8", {}, "'fp8' is no precision"),
        ("onnx", "int8", {}, "int8 learns its ranges from data, and there is none"),
        ("onnx", "fp16", {"calibrate": "rows.npz"}, "fp16 needs no calibration"),
        ("onnx", "fp16", {"search": 1.0},
         "a search looks for differences that float32 does not excuse; fp16 differs everywhere"),
    ],
)  # fmt: skip
def test_refused_before_anything_is_written(tmp_path, formats, precision, given, message):
    with pytest.raises(BadInput) as error:
        bundle.export("zoo_torch:build", formats, tmp_path / "out", precision=precision, **given, **QUICK)
    assert error.value.found == message
    assert not (tmp_path / "out").exists()
