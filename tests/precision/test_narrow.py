"""Graphs in float16 and bfloat16: what is rounded, what stays in float32, and that they still run."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser

from exporters.graph import read
from exporters.precision.narrow import narrow

HEAD = '<ir_version: 8, opset_import: ["": 18]> g '


def reduced(text, precision="fp16", *, compute=True, **weights):
    model = parser.parse_model(HEAD + text)
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return narrow(read.read(model), precision, compute=compute)


def run(model, **feed):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options).run(None, feed)


def dtypes(model):
    return {node.op_type: node.outputs[0].dtype for node in model.graph}


W = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def test_products_are_narrow_and_softmax_is_not():
    model = reduced("(float[B,4] x) => (float[B,3] y) { a = MatMul(x, w) y = Softmax(a) }", w=W)
    found = dtypes(model)
    assert (found["MatMul"], found["Softmax"]) == (ir.DataType.FLOAT16, ir.DataType.FLOAT)
    stored = model.graph.initializers["w"].const_value
    assert stored.dtype == ir.DataType.FLOAT16
    np.testing.assert_array_equal(stored.numpy(), W.astype(np.float16))
    x = np.ones((2, 4), np.float32)
    (y,) = run(model, x=x)
    assert y.dtype == np.float32
    scores = np.exp(x @ W) / np.exp(x @ W).sum(1, keepdims=True)
    np.testing.assert_allclose(y, scores, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("(float[B,4] x) => (float[B,4] y) { y = Mul(x, x) }", "Mul"),  # the square of a value overflows first
        ("(float[B,4] x) => (float[B,4] y) { y = Exp(x) }", "Exp"),
        ("(float[B,4] x) => (float[B,4] y) <float[1] big = {-1e9}> { y = Add(x, big) }", "Add"),
        ("(float[B,4] x) => (float[B,4] y) <float[1] tiny = {1e-12}> { y = Max(x, tiny) }", "Max"),
    ],
)
def test_what_would_overflow_stays(text, operator):
    assert dtypes(reduced(text))[operator] == ir.DataType.FLOAT


def test_bfloat16_holds_what_float16_does_not():
    text = "(float[B,4] x) => (float[B,4] y) <float[1] big = {-1e9}> { y = Add(x, big) }"
    assert dtypes(reduced(text, "bf16"))["Add"] == ir.DataType.BFLOAT16


def test_sizes_are_never_rounded():
    """2,051 has no float16: a size that is computed in floats keeps its value."""
    model = reduced(
        "(float[B,4] x) => (float[B] y) <float[1] half = {0.5}, float[1] two = {2.0}, float[1] v = {1.5}>"
        "{ n = Shape<start=0, end=1>(x) f = Cast<to=1>(n) d = Mul(f, two) h = Mul(d, half)"
        " i = Cast<to=7>(h) y = Expand(v, i) }"
    )
    (y,) = run(model, x=np.zeros((2051, 4), np.float32))
    assert y.shape == (2051,)


def test_stored_only():
    model = reduced("(float[B,4] x) => (float[B,3] y) { y = MatMul(x, w) }", "bf16", compute=False, w=W)
    assert dtypes(model)["MatMul"] == ir.DataType.FLOAT
    (y,) = run(model, x=np.eye(4, dtype=np.float32))
    import ml_dtypes

    np.testing.assert_array_equal(y, W.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_a_branch_reads_float32():
    model = reduced(
        "(float[B,4] x, bool c) => (float[B,3] y) { a = MatMul(x, w)"
        " y = If(c) <then_branch = t () => (float[B,3] p) { p = Relu(a) },"
        " else_branch = e () => (float[B,3] q) { q = Neg(a) }> }",
        w=W,
    )
    (y,) = run(model, x=np.ones((2, 4), np.float32), c=np.array(False))
    np.testing.assert_allclose(y, -(np.ones((2, 4)) @ W), rtol=2e-3, atol=2e-3)


def test_rounding_is_that_of_the_type():
    import torch

    from exporters.precision.rounded import rounded

    values = np.random.default_rng(1).standard_normal(10_000) * 100
    ours = rounded(torch.from_numpy(values), 11).numpy()
    np.testing.assert_array_equal(ours, values.astype(np.float16).astype(np.float64))
    assert float(rounded(torch.tensor(1e9, dtype=torch.float64), 11)) == pytest.approx(1e9, rel=1e-3)
