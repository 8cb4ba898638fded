"""Folding into convolutions: what is folded, what is left, and that predictions stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser

from exporters.graph.clean import clean
from exporters.graph.fold_batchnorm import fold_batchnorm

RANDOM = np.random.default_rng(0)


def model(body: str, x: str, y: str, *, initializers: dict[str, tuple[int, ...]], extra_output: str = "") -> ir.Model:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[{x}] x) => (float[{y}] y{extra_output}) {{ {body} }}"""
    proto = parser.parse_model(text)
    for name, shape in initializers.items():
        values = RANDOM.random(shape) + 0.5 if name == "v" else RANDOM.standard_normal(shape)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    return clean(ir.from_proto(proto))


def outputs(graph: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})


CHANNELS = ("s", "b", "m", "v")
NORM = "y = BatchNormalization <epsilon = 0.001> (z, s, b, m, v)"
FOLDED = {
    "bn": ("z = Conv (x, w)" + NORM, "B,3,8,8", "B,4,6,6", {"w": (4, 3, 3, 3)}, 4),
    "bn, bias": ("z = Conv (x, w, c)" + NORM, "B,3,8,8", "B,4,6,6", {"w": (4, 3, 3, 3), "c": (4,)}, 4),
    "bn, depthwise": ("z = Conv <group = 6> (x, w)" + NORM, "B,6,8,8", "B,6,6,6", {"w": (6, 1, 3, 3)}, 6),
    "bn, transposed": ("z = ConvTranspose (x, w)" + NORM, "B,3,8,8", "B,4,10,10", {"w": (3, 4, 3, 3)}, 4),
    "bn, transposed, grouped": (
        "z = ConvTranspose <group = 2> (x, w)" + NORM, "B,4,8,8", "B,6,10,10", {"w": (4, 3, 3, 3)}, 6,
    ),
    "bn, linear": ("z = Gemm <transB = 1> (x, w)" + NORM, "B,5", "B,4", {"w": (4, 5)}, 4),
    "bn, linear, not transposed": ("z = Gemm (x, w)" + NORM, "B,5", "B,4", {"w": (5, 4)}, 4),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDED)
def test_a_normalization_is_folded(case: str) -> None:
    body, x, y, weights, channels = FOLDED[case]
    graph = model(body, x, y, initializers=weights | dict.fromkeys(CHANNELS, (channels,)))
    shape = [2 if size == "B" else int(size) for size in x.split(",")]
    array = RANDOM.standard_normal(shape).astype(np.float32)
    before = outputs(graph, array)
    assert fold_batchnorm(graph) == 1
    assert len(graph.graph) == 1
    assert "w" in graph.graph.initializers
    np.testing.assert_allclose(outputs(graph, array)[0], before[0], rtol=1e-5, atol=1e-5)


def test_factors_and_summands_are_folded_one_after_the_other() -> None:
    body = "a = Conv (x, w) b = Mul (a, f) c = Add (s, b) d = Sub (c, t) y = Mul (h, d)"
    sizes = {"w": (4, 3, 1, 1), "f": (4, 1, 1), "s": (1, 4, 1, 1), "t": (4, 1, 1), "h": ()}
    graph = model(body, "B,3,4,4", "B,4,4,4", initializers=sizes)
    array = RANDOM.standard_normal((2, 3, 4, 4)).astype(np.float32)
    before = outputs(graph, array)
    assert fold_batchnorm(graph) == 4
    np.testing.assert_allclose(outputs(graph, array)[0], before[0], rtol=1e-5, atol=1e-5)


KEPT = {
    "another reader": ("z = Conv (x, w) u = Relu (z) n = BatchNormalization (z, s, b, m, v) y = Add (n, u)", {}),
    "an output": ("z = Conv (x, w) y = BatchNormalization (z, s, b, m, v)", {"extra_output": ", float[B,4,4,4] z"}),
    "in training mode": (
        "z = Conv (x, w) y, p, q = BatchNormalization <training_mode = 1> (z, s, b, m, v)",
        {"extra_output": ", float[4] p"},
    ),
    "along the width": ("z = Conv (x, w) y = Mul (z, k)", {}),
    "subtracted from": ("z = Conv (x, w) y = Sub (f, z)", {}),
    "something between": ("z = Conv (x, w) r = Relu (z) y = BatchNormalization (r, s, b, m, v)", {}),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_cannot_be_folded_stays(case: str) -> None:
    body, more = KEPT[case]
    sizes = {"w": (4, 3, 1, 1), "k": (4,), "f": (4, 1, 1)} | dict.fromkeys(CHANNELS, (4,))
    graph = model(body, "B,3,4,4", "B,4,4,4", initializers=sizes, **more)
    before = [node.op_type for node in graph.graph]
    assert fold_batchnorm(graph) == 0
    assert [node.op_type for node in graph.graph] == before


def test_a_shared_weight_is_left_to_the_others() -> None:
    body = "z = Conv (x, w) n = BatchNormalization (z, s, b, m, v) o = Conv (x, w) y = Add (n, o)"
    graph = model(body, "B,3,4,4", "B,4,4,4", initializers={"w": (4, 3, 1, 1)} | dict.fromkeys(CHANNELS, (4,)))
    shared = graph.graph.initializers["w"].const_value.numpy().copy()
    array = RANDOM.standard_normal((2, 3, 4, 4)).astype(np.float32)
    before = outputs(graph, array)
    assert fold_batchnorm(graph) == 1
    np.testing.assert_array_equal(graph.graph.initializers["w"].const_value.numpy(), shared)
    np.testing.assert_allclose(outputs(graph, array)[0], before[0], rtol=1e-5, atol=1e-5)
