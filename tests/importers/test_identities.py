"""Identity nodes go away where a graph may do without them, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser

from exporters.graph import identities

GRAPHS = {
    "in the middle": ("(float[n] x) => (float[n] y)", "a = Identity (x) b = Neg (a) y = Identity (b)", 1),
    "an input given back": ("(float[n] x) => (float[n] y)", "y = Identity (x)", 1),
    "one value for two outputs": ("(float[n] x) => (float[n] y, float[n] z)", "y = Neg (x) z = Identity (y)", 2),
    "a branch that gives what is outside": (
        "(float[n] x) => (float[n] y)",
        """s = ReduceSum <keepdims: int = 0> (x)
        zero = Constant <value: tensor = float {0}> ()
        c = Less (s, zero)
        y = If (c) <then_branch: graph = then_graph () => (float[n] t) { t = Identity (x) },
                    else_branch: graph = else_graph () => (float[n] e) { d = Neg (x) e = Identity (d) }>""",
        6,
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_the_graph_computes_the_same_without_them(case):
    interface, body, count = GRAPHS[case]
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> main {interface} {{ {body} }}')
    found = ir.serde.deserialize_model(model)
    identities.remove(found)
    assert len(list(found.graph.all_nodes())) == count
    written = ir.serde.serialize_model(found)
    onnx.checker.check_model(written, full_check=True)
    for x in (np.array([1.0, 2.0], np.float32), np.array([-3.0], np.float32)):
        sides = (onnxruntime.InferenceSession(each.SerializeToString()) for each in (model, written))
        expected, result = (side.run(None, {"x": x}) for side in sides)
        for one, other in zip(expected, result, strict=True):
            np.testing.assert_array_equal(one, other)
