"""Zeros around a maximum stay zeros in ONNX Runtime's default session, whose Pad_Fusion would make them vanish."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.graph import pad_guard

GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
padded ({kind}[1, 1, 4, 4] x) => ({kind}[1, 1, 2, 2] y) <int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}{constants}> {{
    a = Pad{mode}({inputs})
    y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (a)
}}
"""
FORMS = {
    "left out": {"constants": "", "inputs": "x, pads", "mode": ""},
    "written": {"constants": ", float zero = {0.0}", "inputs": "x, pads, zero", "mode": ""},
    "with a mode": {"constants": "", "inputs": "x, pads", "mode": ' <mode = "constant">'},
}


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def guarded(text: str) -> onnx.ModelProto:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    pad_guard.guard(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


@pytest.mark.parametrize("form", FORMS)
def test_zeros_win_over_negative_numbers(form):
    text = GRAPH.format(kind="float", **FORMS[form])
    x = -np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    expected = np.array([[[[0, 0], [0, -6]]]], np.float32)
    assert np.array_equal(run(guarded(text), x), expected)
    # The day that this fails, the fusion has been mended, and the guard may go.
    assert not np.array_equal(run(onnx.parser.parse_model(text), x), expected)


def test_in_double_too():
    x = -np.arange(1, 17, dtype=np.float64).reshape(1, 1, 4, 4)
    text = GRAPH.format(kind="double", **FORMS["left out"])
    assert run(guarded(text), x).reshape(-1).tolist() == [0, 0, 0, -6]


@pytest.mark.parametrize(
    "change", [{"constants": ", float one = {1.0}", "inputs": "x, pads, one"}, {"mode": ' <mode = "edge">'}]
)
def test_what_pads_with_something_else_is_left_alone(change):
    text = GRAPH.format(kind="float", **FORMS["left out"] | change)
    model = onnx.parser.parse_model(text)
    assert [node.SerializeToString() for node in guarded(text).graph.node] == [
        node.SerializeToString() for node in ir.to_proto(ir.from_proto(model)).graph.node
    ]
