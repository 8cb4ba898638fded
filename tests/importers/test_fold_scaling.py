"""Scales before a convolution go into its weights: what is folded, what is left, and that predictions stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser

from exporters.graph.clean import clean
from exporters.graph.fold_scaling import fold_scaling

RANDOM = np.random.default_rng(3)
CONSTANTS = {
    "w": (6, 3, 3, 3), "g": (6, 1, 3, 3), "k": (5, 1, 3, 3), "f": (1, 1, 1, 3), "m": (1, 3, 1, 1), "n": (5,), "e": (),
}  # fmt: skip
TO_FIRST = "Transpose <perm = [0, 3, 1, 2]>"
PAD = "pads = Constant <value_ints = [0, 0, 0, 0, 0, 0, 1, 1]> ()"
ENDS = f"{PAD} p = Pad (t, pads) y = Conv (p, w)"
CHANNELS = "pads = Constant <value_ints = [0, 1, 0, 0, 0, 1, 0, 0]> ()"
SAME = 'auto_pad = "SAME_UPPER", strides = [2, 2]'
FIRST, LAST = "N,3,5,5", "N,5,5,3"
# name -> body, shape of x, what is left
FOLDED = {
    "as Keras does": (
        f"a = Mul (x, e) b = Add (a, e) c = Sub (b, f) d = Max (f, e) h = Div (c, d) t = {TO_FIRST} (h) {ENDS}",
        LAST, ["Add", "Transpose", "Pad", "Conv"],
    ),
    "scaled only": (f"a = Div (x, e) y = Conv <{SAME}> (a, w)", FIRST, ["Conv"]),
    "from the left": (f"a = Add (e, x) b = Mul (m, a) y = Conv <{SAME}> (b, w)", FIRST, ["Add", "Conv"]),
    "groups": (f"a = Mul (x, m) b = Add (a, m) y = Conv <group = 3, {SAME}> (b, g)", FIRST, ["Add", "Conv"]),
    "before padding": (f"a = Add (x, m) {PAD} p = Pad (a, pads) b = Mul (p, m) y = Conv (b, w)", FIRST,
                       ["Add", "Pad", "Conv"]),
}  # fmt: skip
KEPT = {
    "shifted only": ("a = Add (x, e) y = Conv (a, w)", FIRST),
    "shifted before padding": (f"a = Mul (x, m) {PAD} p = Pad (a, pads) b = Add (p, m) y = Conv (b, w)", FIRST),
    "read by others": ("a = Mul (x, e) c = Conv (a, w) d = ReduceMax <keepdims = 1> (a) y = Add (c, d)", FIRST),
    "along the width": ("a = Mul (x, n) y = Conv (a, w)", FIRST),
    "divided into": ("a = Div (e, x) y = Conv (a, w)", FIRST),
    "padded with a number": (f"a = Mul (x, e) {PAD} p = Pad (a, pads, e) y = Conv (p, w)", FIRST),
    "padded channels": (f"a = Mul (x, e) {CHANNELS} p = Pad (a, pads) y = Conv <group = 5> (p, k)", FIRST),
    "nothing left of it": ("a = Mul (x, zero) b = Add (a, e) y = Conv (b, w)", FIRST),
}


def model(body: str, x: str) -> ir.Model:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[{x}] x) => (float[N,A,B,C] y) {{ {body} }}"""
    proto = parser.parse_model(text)
    arrays = {name: RANDOM.random(shape) + 0.5 for name, shape in CONSTANTS.items()}
    arrays["zero"] = np.zeros(())
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items() if name in used
    )
    return clean(ir.from_proto(proto))


def output(graph: ir.Model, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("case", FOLDED)
def test_scales_are_folded(case: str) -> None:
    body, x, left = FOLDED[case]
    graph = model(body, x)
    array = RANDOM.standard_normal([2, *map(int, x.split(",")[1:])]).astype(np.float32)
    before = output(graph, array)
    assert fold_scaling(graph) > 0
    assert [node.op_type for node in graph.graph] == left
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    np.testing.assert_allclose(output(graph, array), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", KEPT)
def test_what_may_not_be_folded_stays(case: str) -> None:
    graph = model(*KEPT[case])
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    assert fold_scaling(graph) == 0
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before


def test_weights_that_others_read_keep_their_bits() -> None:
    graph = model("a = Mul (x, m) b = Conv (a, w) c = Conv (x, w) y = Add (b, c)", FIRST)
    array = RANDOM.standard_normal((2, 3, 5, 5)).astype(np.float32)
    before, weight = output(graph, array), graph.graph.initializers["w"].const_value.numpy().copy()
    assert fold_scaling(graph) == 1
    np.testing.assert_array_equal(graph.graph.initializers["w"].const_value.numpy(), weight)
    np.testing.assert_allclose(output(graph, array), before, rtol=1e-5, atol=1e-5)
