"""What a runtime's release can read: the table, files that do not fit, and exports that are made to."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from exporters import targets
from toolkit import bundle
from toolkit.cli import invoke
from toolkit.errors import BadInput, ExportFailed


def file(path, *, operator="Relu", opset=18, ir=8, domain=""):
    node = helper.make_node(operator, ["x"], ["y"], name="the/node", domain=domain)
    tensors = [helper.make_tensor_value_info(name, 1, ["batch"]) for name in "xy"]
    graph = helper.make_graph([node], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("text", "opset", "ir"),
    [("ort>=1.17", 20, 9), ("ort==1.17.3", 20, 9), ("ort1.16", 19, 8), ("ort-web", 18, 8), ("trt10", 20, 9)],
)
def test_releases(text, opset, ir):
    found = targets.parse(text)
    assert (found.opset, found.ir) == (opset, ir)


@pytest.mark.parametrize("text", ["", "foo", "ort>=", "ort<1.2", "ort>=1.2"])
def test_no_target(text):
    with pytest.raises(BadInput) as error:
        targets.parse(text)
    assert error.value.where == "--target"


def test_troubles_name_the_nodes(tmp_path):
    path = file(tmp_path / "m.onnx", operator="Unique", opset=21, ir=10)
    assert targets.troubles(path, targets.parse("trt10")) == [
        "it is written in opset 21, trt10 reads up to 20",
        "its IR version is 10, trt10 reads up to 9",
        "trt10 has no operator Unique (node 'the/node')",
    ]
    path = file(tmp_path / "c.onnx", operator="FusedMatMul", domain="com.microsoft")
    found = targets.troubles(path, targets.parse("trt10"))
    assert found == ["trt10 has no operator com.microsoft.FusedMatMul (node 'the/node')"]
    assert targets.troubles(path, targets.parse("ort1.17")) == []


def test_inspect_says_whether_a_file_fits(tmp_path, capsys):
    path = file(tmp_path / "m.onnx", opset=20, ir=9)
    assert invoke(["inspect", str(path), "--target", "ort>=1.17"]) == 0
    assert "fits        ort>=1.17: yes" in capsys.readouterr().out
    assert invoke(["inspect", str(path), "--target", "ort>=1.16"]) == 1
    assert "it is written in opset 20, ort>=1.16 reads up to 19" in capsys.readouterr().out


@pytest.mark.usefixtures("warm", "in_models")
def test_an_export_fits_its_target(tmp_path):
    made = bundle.export("zoo_torch:build", "onnx", tmp_path / "out", target="ort>=1.10", count=32, latency=False)
    model = onnx.load(made.file("onnx"))
    assert (model.opset_import[0].version, model.ir_version) == (15, 8)
    assert made.manifest.options["target"] == "ort>=1.10"
    with pytest.raises(BadInput) as error:
        bundle.export("zoo_torch:build", "onnx", tmp_path / "no", target="ort>=1.10", opset=17)
    assert error.value.found == "opset 17 is newer than ort>=1.10 reads (up to 15)"


def test_the_newest_row_runs_here(tmp_path):
    """The table may lag behind the installed ONNX Runtime; it may not be ahead."""
    import onnxruntime

    newest = targets.parse("ort>=1.99")
    path = file(tmp_path / "m.onnx", opset=newest.opset, ir=newest.ir)
    onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.usefixtures("warm", "in_models")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_opset_that_was_asked_for_is_written(tmp_path, precision):
    """By PyTorch's older exporter, since the newer one writes 18 at least."""
    asked = {"opset": 15, "precision": precision, "count": 32, "latency": False}
    made = bundle.export("zoo_torch:build", "onnx", tmp_path / "out", **asked)
    assert onnx.load(made.file("onnx")).opset_import[0].version == 15


def test_an_opset_that_cannot_be_written_is_said(tmp_path):
    path = file(tmp_path / "m.onnx", opset=20, ir=9)
    with pytest.raises(ExportFailed, match="onnx: it writes opset 20, and 13 was asked for"):
        bundle.export(path, "onnx", tmp_path / "out", opset=13, count=32)
