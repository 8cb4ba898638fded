"""Transpositions taken out of a graph: fewer of them, and the same outputs to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from exporters.graph import clean
from exporters.graph.transposes import reduce_transposes
from exporters.graph.transposes.cut import SINK, SOURCE, Network

_ORDERS = {"First": "Transpose <perm = [0, 3, 1, 2]>", "Last": "Transpose <perm = [0, 2, 3, 1]>"}

# name -> (transpositions that are left, the nodes between float[N,3,4,5] x and y)
CASES = {
    "a pair": (0, "a = First (x) y = Last (a)"),
    "element-wise": (0, "a = First (x) b = Relu (a) c = Mul (b, k) y = Last (c)"),
    "a vector": (1, "a = Add (x, v) b = First (a) y = MaxPool <kernel_shape = [2, 2]> (b)"),
    "a reduction": (0, "a = First (x) b = ReduceMean <keepdims = 0> (a, spatial) y = Relu (b)"),
    "two branches": (0, "a = First (x) b = Relu (a) c = Sigmoid (a) d = Concat <axis = 1> (b, c) y = Last (d)"),
    "a pad": (0, "a = First (x) b = Pad (a, pads) y = Last (b)"),
    "a slice": (0, "a = First (x) b = Slice (a, one, two, one) y = Last (b)"),
    "a split": (0, "a = First (x) b, c = Split <axis = 2, num_outputs = 2> (a) d = Sub (b, c) y = Last (d)"),
    "a softmax": (0, "a = First (x) b = Softmax <axis = 1> (a) y = Last (b)"),
    "one order alone": (1, "a = First (x) b = MaxPool <kernel_shape = [2, 2]> (a) y = Relu (b)"),
    "a shape": (1, "a = First (x) s = Shape (a) b = Last (a) c = Cast <to = 1> (s) m = ReduceMax (c) y = Add (b, m)"),
    "both": (2, "a = First (x) b = MaxPool <kernel_shape=[1,1]> (a) c = Last (b) d = MatMul (c, w) y = Add (d, x)"),
    "no element moves": (0, "a = ReduceMax (x, middle) b = First (a) y = GlobalMaxPool (b)"),
}  # fmt: skip


def _model(nodes: str) -> onnx.ModelProto:
    for order, operator in _ORDERS.items():
        nodes = nodes.replace(order, operator)
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    g (float[N,3,4,5] x) => (float[a,b,c,d] y)
    <float k = {{0.5}}, float[5] v = {{1, 2, 3, 4, 5}}, int64[2] spatial = {{2, 3}}, int64[2] middle = {{1, 2}},
     int64[1] one = {{1}}, int64[1] two = {{2}}, int64[8] pads = {{0, 0, 1, 2, 0, 1, 0, 3}},
     float[5,5] w = {{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5}}>
    {{ {nodes} }}"""
    model: onnx.ModelProto = parser.parse_model(text)
    if "keepdims = 0> (a, spatial)" in nodes:
        del model.graph.output[0].type.tensor_type.shape.dim[2:]
    return model


def _counted(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Transpose" for node in model.graph.node)


@pytest.mark.parametrize("name", CASES)
def test_fewer_transpositions_and_the_same_outputs(name: str) -> None:
    left, nodes = CASES[name]
    before = _model(nodes)
    after = ir.to_proto(reduce_transposes(clean.infer_shapes(ir.from_proto(before))))
    onnx.checker.check_model(after, full_check=True)
    assert _counted(after) == left <= _counted(before)
    for batch in (1, 2):
        x = np.random.default_rng(batch).normal(size=(batch, 3, 4, 5)).astype(np.float32)
        expected, found = (ReferenceEvaluator(model).run(None, {"x": x})[0] for model in (before, after))
        np.testing.assert_array_equal(found, expected)


def test_a_network_is_cut_where_it_is_cheapest() -> None:
    network = Network()
    edges: list[tuple[Any, Any, int]] = [
        (SOURCE, "a", 9), (SOURCE, "b", 9), ("a", "c", 2), ("b", "c", 3), ("b", "d", 4), ("c", SINK, 9), ("d", SINK, 1),
    ]  # fmt: skip
    for tail, head, capacity in edges:
        network.connect(tail, head, capacity)
    side = network.source_side()
    assert side == {SOURCE, "a", "b", "d"}
    assert sum(capacity for tail, head, capacity in edges if tail in side and head not in side) == 6


# What stays as it is in older opsets: a softmax over several axes, amounts that are no input.
OLDER = {
    "a softmax of several axes": (11, "a = First (x) b = Softmax <axis = 1> (a) y = Last (b)"),
    "a pad by attributes": (10, "a = First (x) b = Pad <pads = [0, 0, 1, 2, 0, 1, 0, 3]> (a) y = Last (b)"),
}


@pytest.mark.parametrize("name", OLDER)
def test_older_opsets_keep_their_meaning(name: str) -> None:
    opset, nodes = OLDER[name]
    before = _model(nodes)
    before.opset_import[0].version = opset
    after = ir.to_proto(reduce_transposes(clean.infer_shapes(ir.from_proto(before))))
    assert _counted(after) == _counted(before)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected, found = (ReferenceEvaluator(model).run(None, {"x": x})[0] for model in (before, after))
    np.testing.assert_array_equal(found, expected)


def test_a_constant_of_several_nodes_without_names_is_turned_for_each() -> None:
    before = _model("a = First (x) b = Add (a, c) d = Mul (b, c) y = Last (d)".replace("N", "3"))
    cube = np.random.default_rng(1).normal(size=(1, 3, 3, 3)).astype(np.float32)
    before.graph.initializer.append(onnx.numpy_helper.from_array(cube, "c"))
    for value in (*before.graph.input, *before.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_value = 3
    after = ir.to_proto(reduce_transposes(clean.infer_shapes(ir.from_proto(before))))
    assert _counted(after) == 0
    x = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
    expected, found = (ReferenceEvaluator(model).run(None, {"x": x})[0] for model in (before, after))
    np.testing.assert_array_equal(found, expected)
