"""Graphs whose nodes stand before those whose results they read: ONNX Runtime opens them, and so do we."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from exporters.graph import known, order, read
from toolkit.errors import InvalidGraph

HEADER = '<ir_version: 8, opset_import: ["": 17]> '
SHUFFLED = "net (float[2] x, bool c) => (float[2] y) { y = Add(b, a)  b = Exp(a)  a = Neg(x) }"
# The branch's own nodes are shuffled, too, and one reads what comes after the If.
NESTED = """net (float[2] x, bool c) => (float[2] y) {
  y = If (c) <then_branch = one () => (float[2] p) { p = Exp(q)  q = Neg(a) },
              else_branch = two () => (float[2] r) { r = Abs(a) }>
  a = Sin(x)
}"""
CIRCLE = "net (float[2] x, bool c) => (float[2] y) { s = Neg(x)  a = Add(s, b)  b = Exp(a)  y = Neg(b) }"


def parsed(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEADER + text)


@pytest.mark.parametrize(("text", "wanted"), [
    (SHUFFLED, lambda x: np.exp(-x) - x), (NESTED, lambda x: np.exp(-np.sin(x))),
])  # fmt: skip
def test_nodes_are_sorted_when_a_model_is_read(text, wanted):
    given = parsed(text)
    before = given.SerializeToString()
    model = read.read(given)
    assert given.SerializeToString() == before
    proto = read.ir.to_proto(model)
    onnx.checker.check_model(proto)
    x = np.float32([0.3, -2])
    np.testing.assert_allclose(ReferenceEvaluator(proto).run(None, {"x": x, "c": np.array(True)})[0], wanted(x), 1e-6)


def test_nodes_that_are_in_order_keep_their_sequence():
    model = parsed("net (float[2] x, bool c) => (float[2] y) { b = Exp(x)  a = Neg(x)  y = Add(a, b) }")
    assert order.sort(model.graph, "m.onnx") is False
    shuffled = parsed("net (float[2] x, bool c) => (float[2] y) { b = Exp(x)  y = Add(a, b)  d = Abs(x)  a = Neg(x) }")
    assert order.sort(shuffled.graph, "m.onnx") is True
    assert [node.op_type for node in shuffled.graph.node] == ["Exp", "Abs", "Neg", "Add"]


def test_a_circle_is_refused(tmp_path: Path):
    path = tmp_path / "circle.onnx"
    path.write_bytes(parsed(CIRCLE).SerializeToString())
    with pytest.raises(InvalidGraph) as raised:
        read.read(path)
    assert str(raised.value) == (
        "InvalidGraph: circle.onnx, node '-> a': it waits for its own result: nodes of the graph read each other's in "
        "a circle\n  Export it again."
    )


def test_a_source_says_that_its_nodes_were_sorted(tmp_path: Path):
    sorted_one, shuffled = tmp_path / "sorted.onnx", tmp_path / "shuffled.onnx"
    shuffled.write_bytes(parsed(SHUFFLED).SerializeToString())
    sorted_one.write_bytes(read.ir.to_proto(read.read(shuffled)).SerializeToString())
    assert known.require(sorted_one).notes == ()
    assert list(known.require(shuffled).notes) == [
        "the file's nodes were not in the order in which they can be computed; they were sorted"
    ]
