"""A product after lists of sizes, scripted: PyTorch's compiler takes `addmm` apart, and errs about lists then."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from exporters import onnx_to_torch


def recurrent_classifier():
    """Pixels reshaped into steps by a size that is read from a shape, an LSTM over them, its last state classified."""
    rng = np.random.default_rng(0)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    def whole(name, *values):
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "steps", "width"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["moved"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["moved", "w", "r", "b"], ["states"], hidden_size=6),
        helper.make_node("Squeeze", ["states", "one"], ["lone"]),
        helper.make_node("Slice", ["lone", "last", "end", "zero"], ["final"]),
        helper.make_node("Squeeze", ["final", "zero"], ["flat"]),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["y"]),
    ]
    weights = [
        weight("w", 1, 24, 12), weight("r", 1, 24, 6), weight("b", 1, 48), weight("kernel", 6, 5), weight("bias", 5),
        whole("zero", 0), whole("one", 1), whole("steps", 4), whole("width", 12), whole("last", -1),
        whole("end", 2**31 - 1),
    ]  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 4, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    graph = helper.make_graph(nodes, "main", [x], [y], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_product_after_lists_of_sizes():
    module = onnx_to_torch.build(recurrent_classifier()).eval()
    scripted = torch.jit.script(module)
    for batch in (2, 2, 2, 5):
        x = torch.randn(batch, 4, 4, 3)
        with torch.inference_mode():
            torch.testing.assert_close(scripted(x), module(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_onnx_itself_agrees():
    model = recurrent_classifier()
    onnx.checker.check_model(model)
    x = np.random.default_rng(1).standard_normal((3, 4, 4, 3)).astype(np.float32)
    (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    with torch.inference_mode():
        found = onnx_to_torch.build(model).eval()(torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
