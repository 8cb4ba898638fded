"""Sizes that are fixed although others are free: what becomes a constant, what stays, and that results stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import parser
from onnx.reference import ReferenceEvaluator

from exporters.graph.clean import clean

HEAD = '<ir_version: 10, opset_import: ["" : 21]>'
PADDED_TO_WINDOWS = """
    seven = Constant <value = int64 {7}> ()
    one = Constant <value_ints = [1]> ()
    h = Constant <value = int64 {2}> ()
    shape = Shape (x)
    height = Gather (shape, h)
    over = Mod (height, seven)
    short = Sub (seven, over)
    amount = Mod (short, seven)
    row = Constant <value_ints = [-1]> ()
    amounts = Reshape (amount, row)
    none = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
    last = Constant <value_ints = [0]> ()
    pads = Concat <axis = 0> (none, amounts, last)
    padded = Pad (x, pads)
    inner = Shape (padded)
    tall = Gather (inner, h)
    windows = Div (tall, seven)
    zero = Constant <value = int64 {0}> ()
    batch = Gather (inner, zero)
    batches = Reshape (batch, row)
    count = Reshape (windows, row)
    parts = Constant <value_ints = [7, -1]> ()
    target = Concat <axis = 0> (batches, count, parts)
    y = Reshape (padded, target)"""
KEPT_BY_EXPAND = """
    minus = Constant <value_ints = [-1]> ()
    ones = Constant <value_ints = [1, 1]> ()
    first = Shape <start = 0, end = 1> (x)
    five = Constant <value_ints = [5]> ()
    wanted = Concat <axis = 0> (first, five)
    kept = Equal (wanted, minus)
    target = Where (kept, ones, wanted)
    column = Constant <value_floats = [2.0]> ()
    y = Expand (column, target)"""
DOUBLED_HEIGHT = """
    shape = Shape (x)
    start = Constant <value_ints = [2]> ()
    end = Constant <value_ints = [4]> ()
    spatial = Slice (shape, start, end)
    wide = Cast <to = 1> (spatial)
    two = Constant <value_floats = [2.5]> ()
    scaled = Mul (wide, two)
    floored = Floor (scaled)
    sizes = Cast <to = 7> (floored)
    from = Constant <value_ints = [0]> ()
    leading = Slice (shape, from, start)
    target = Concat <axis = 0> (leading, sizes)
    y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
        (x, , , target)"""
MASK = """
    sizes = Constant <value_ints = [4, 4]> ()
    blank = ConstantOfShape <value = float[1] {0.0}> (sizes)
    places = Constant <value = int64[2, 1] {0, 2}> ()
    rows = Constant <value = float[2, 4] {1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0}> ()
    mask = ScatterND (blank, places, rows)
    turned = Transpose <perm = [1, 0]> (mask)
    difference = Sub (mask, turned)
    y = Add (x, difference)"""
CASES = {
    "padded to windows": (
        PADDED_TO_WINDOWS,
        "N,3,24,5",
        {"Pad", "Reshape", "Shape", "Gather", "Concat"},
        ["N", 4, 7, 15],
    ),
    "kept by expand": (KEPT_BY_EXPAND, "N,3", {"Expand", "Shape", "Concat", "Equal", "Where"}, ["N", 5]),
    "doubled": (DOUBLED_HEIGHT, "N,3,6,8", {"Resize", "Shape", "Slice", "Concat"}, ["N", 3, 15, 20]),
    "mask": (MASK, "N,4,4", {"Add"}, ["N", 4, 4]),
}


def proto(body: str, x: str) -> onnx.ModelProto:
    model = parser.parse_model(f"{HEAD} g (float[{x}] x) => (float y) {{ {body} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


@pytest.mark.parametrize("name", CASES)
def test_what_is_fixed_is_computed_and_what_is_free_stays(name: str) -> None:
    body, shape, left, result = CASES[name]
    before = proto(body, shape)
    after = clean(ir.from_proto(before))
    assert {node.op_type for node in after.graph} <= left
    found = after.graph.outputs[0].shape
    assert found is not None
    assert [size for size in found if isinstance(size, int)] == [size for size in result if isinstance(size, int)]
    for batch in (1, 3):
        sizes = [batch if size == "N" else int(size) for size in shape.split(",")]
        x = np.random.default_rng(batch).standard_normal(sizes).astype(np.float32)
        expected = ReferenceEvaluator(before).run(None, {"x": x})[0]
        given_back = ReferenceEvaluator(ir.to_proto(after)).run(None, {"x": x})[0]
        np.testing.assert_array_equal(given_back, expected)


def test_a_trained_weight_is_not_folded() -> None:
    model = proto("z = Mul (w, w) y = Add (x, z)", "N,4")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), "w"))
    assert [node.op_type for node in clean(ir.from_proto(model)).graph] == ["Mul", "Add"]


FLATTENED = """
    a = Relu (x)
    shape = Shape (a)
    first = Constant <value_ints = [0]> ()
    batch = Gather <axis = 0> (shape, first)
    rest = Constant <value_ints = [-1]> ()
    target = Concat <axis = 0> (batch, rest)
    y = Reshape (a, target)"""


def test_a_batch_that_was_freed_later_is_free_within() -> None:
    """Whoever edits an exported model's input leaves the example's batch in what the file says of the rest."""
    model = onnx.shape_inference.infer_shapes(proto(FLATTENED, "1,3,4"), data_prop=True)
    assert model.graph.value_info[0].type.tensor_type.shape.dim[0].dim_value == 1
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = np.ones((5, 3, 4), np.float32)
    after = ir.to_proto(clean(ir.from_proto(model)))
    assert ReferenceEvaluator(after).run(None, {"x": x})[0].shape == (5, 12)


def test_shapes_that_only_the_file_can_tell_are_believed() -> None:
    model = proto("z = com.example.Unknown (x) y = Relu (z)", "N,3")
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["N", 7]))
    shape = clean(ir.from_proto(model)).graph.outputs[0].shape
    assert shape is not None
    assert shape[1] == 7


SMALL = st.integers(-3, 9)


@settings(max_examples=60)
@given(
    operator=st.sampled_from(["Add", "Sub", "Mul", "Div", "Mod", "Equal", "Where", "Concat", "Gather", "Slice"]),
    numbers=st.lists(SMALL.filter(bool), min_size=2, max_size=2),
    batch=st.integers(1, 4),
    height=st.integers(1, 12),
)
def test_arithmetic_of_free_and_fixed_sizes_stays(operator: str, numbers: list[int], batch: int, height: int) -> None:
    """The sizes of x, of which the first is free, with two numbers, through any operator: the values stay."""
    bodies = {
        "Where": "c = Less (sizes, k) y = Where (c, sizes, k)",
        "Equal": "c = Equal (sizes, k) y = Cast <to = 7> (c)",
        "Concat": "y = Concat <axis = 0> (sizes, k)",
        "Gather": "i = Constant <value_ints = [1, -2]> () y = Gather (sizes, i)",
        "Slice": "a = Constant <value_ints = [-1]> () b = Constant <value_ints = [-9]> () "
        "z = Constant <value_ints = [0]> () y = Slice (sizes, a, b, z, a)",
    }
    body = bodies.get(operator, f"y = {operator} (sizes, k)")
    text = f"k = Constant <value_ints = {numbers}> () sizes = Shape (x) {body}"
    model = parser.parse_model(f"{HEAD} g (float[N,{height}] x) => (int64[M] y) {{ {text} }}")
    after = clean(ir.from_proto(model))
    x = np.zeros((batch, height), np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(ReferenceEvaluator(ir.to_proto(after)).run(None, {"x": x})[0], expected)


def test_where_one_counts_from_and_to_is_no_weight() -> None:
    """PyTorch's exporter may leave the ends of a `torch.arange` among the weights."""
    model = clean(ir.from_proto(parser.parse_model(f"""{HEAD}
        counted (float[batch, 4] x) => (float[batch, 4] y)
        <float start = {{0}}, float end = {{4}}, float step = {{1}}>
        {{
            places = Range (start, end, step)
            y = Mul (x, places)
        }}""")))  # fmt: skip
    assert [node.op_type for node in model.graph] == ["Mul"]
    assert model.graph.initializers["places"].const_value.numpy().tolist() == [0, 1, 2, 3]
