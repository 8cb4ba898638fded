"""Weights in a file of their own travel with the model, through the command, and come to lie inside small exports."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper


def test_external_weights_are_exported(toolkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32).tofile("weights.bin")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "weights.bin", "offset": "0", "length": "48"}.items():
        weight.external_data.add(key=key, value=value)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 4), ("y", 3)))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], name="m")], "g", [x], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), "m.onnx")
    done = toolkit(
        *[
            "export",
            "m.onnx",
            "--to",
            "torchscript",
            "--to",
            "onnx",
            "-o",
            "out",
            "--count",
            "32",
            "--no-latency",
            "--no-optimize",
            "-q",
        ]
    )
    assert (done.code, done.out) == (0, "")
    assert {path.name for path in (tmp_path / "out").glob("model.*")} == {"model.onnx", "model.pt"}
    assert not onnx.load("out/model.onnx", load_external_data=False).graph.initializer[0].external_data
