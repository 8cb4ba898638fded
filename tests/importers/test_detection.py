"""Boxes of which some have no area, and graphs in which nothing may be found."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import parser

from exporters import onnx_to_torch
from exporters.graph import nothing_found
from tests.limits import HANG

SUPPRESSION = """
<ir_version: 8, opset_import: ["" : 18]>
boxes (float[1, 4, 4] boxes, float[1, 1, 4] scores) => (int64[n, 3] found)
<int64 most = {9}, float limit = {0.5}> { found = NonMaxSuppression(boxes, scores, most, limit) }
"""
# Two (x, 1): of the elements above zero, in pairs; the 1 is written as -1.
PAIRS = """
<ir_version: 8, opset_import: ["" : 18]>
pairs (float[n, 2, 3] x, bool[n] wanted) => (float[m, p, 3] y)
<int64[1] first = {0}, int64[1] second = {1}, int64[1] rest = {-1}, int64[1] three = {3}> {
    which = Compress <axis = 0> (x, wanted)
    flat = Flatten(which)
    sizes = Shape(which)
    found = Gather(sizes, first)
    shape = Concat <axis = 0> (found, rest, three)
    y = Reshape(flat, shape)
}
"""


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def test_boxes_without_an_area_suppress_nothing() -> None:
    model = parser.parse_model(SUPPRESSION)
    boxes = np.array([[[0, 0, 2, 2], [3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 2, 1.9]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7, 0.6]]], np.float32)
    expected = run(model, boxes=boxes, scores=scores)
    assert expected[:, 2].tolist() == [0, 1, 2]
    assert onnx_to_torch.build(model)(torch.tensor(boxes), torch.tensor(scores)).tolist() == expected.tolist()


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions_without_an_area_are_nothing(mode: str) -> None:
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 16]>
        g (float[1, 2, 8, 8] x, float[k, 4] regions, int64[k] images) => (float[k, 2, 2, 2] y)
        {{ y = RoiAlign <output_height = 2, output_width = 2, mode = "{mode}"> (x, regions, images) }}""")
    inputs = {
        "x": np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype(np.float32),
        "regions": np.array([[1, 1, 1, 1], [5, 5, 1, 1], [1, 1, 5, 1], [2, 2, 4, 4]], np.float32),
        "images": np.zeros(4, np.int64),
    }
    expected = run(model, **inputs)
    assert not expected[:3].any()
    found = onnx_to_torch.build(model)(*map(torch.tensor, inputs.values()))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_number_alone_has_one_place() -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 16]>
        g (float x) => (int64[a, n] y) { y = NonZero (x) }""")
    for number in (2, 0):
        x = np.array(number, np.float32)
        assert onnx_to_torch.build(model)(torch.tensor(x)).tolist() == run(model, x=x).tolist()


def test_a_reshape_holds_where_nothing_was_found() -> None:
    graph = ir.from_proto(parser.parse_model(PAIRS))
    nothing_found.guard(graph)
    guarded = ir.to_proto(graph)
    onnx.checker.check_model(guarded, full_check=True)
    module = onnx_to_torch.build(guarded)
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    some, none = ({"x": x, "wanted": np.array(wanted)} for wanted in ([True, False, True, True], [False] * 4))
    assert np.array_equal(run(guarded, **some), x[some["wanted"]])
    for given in (some, none):
        expected = run(guarded, **given)
        assert np.array_equal(module(*map(torch.tensor, given.values())).numpy(), expected)
    assert expected.shape == (0, 0, 3)


OTHER = {
    "of all": PAIRS.replace("Compress <axis = 0> (x, wanted)", "Identity(x)"),
    "by two sizes at once": PAIRS.replace("Gather(sizes, first)", "Slice(sizes, first, two)")
    .replace("int64[1] first = {0},", "int64[1] first = {0}, int64[1] two = {2},")
    .replace("(found, rest, three)", "(found, rest)"),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_reshapes_stay(name: str) -> None:
    graph = ir.from_proto(parser.parse_model(OTHER[name]))
    before = [node.op_type for node in graph.graph]
    nothing_found.guard(graph)
    assert [node.op_type for node in graph.graph] == before


IN_KERAS = """
import sys, numpy as np, onnx, onnxruntime
from exporters import onnx_to_keras
from toolkit.errors import UnsupportedOperator

text = '''<ir_version: 8, opset_import: ["" : 18]>
agraph (float[3, n, 4] boxes, float[3, 2, n] scores) => (int64[k, 3] found)
<int64 most = {9223372036854775807}, float limit = {0.4}, float least = {0.1}> {
    found = NonMaxSuppression(boxes, scores, most, limit, least)
}'''
model = onnx.parser.parse_model(text)
random = np.random.default_rng(0)
corners = random.uniform(0, 4, (3, 40, 2)).astype("float32")
boxes = np.concatenate([corners, corners + random.uniform(0, 2, (3, 40, 2)).astype("float32")], -1)
scores = random.uniform(0, 1, (3, 2, 40)).astype("float32")
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
expected = session.run(None, {"boxes": boxes, "scores": scores})[0]
found = onnx_to_keras.build(model, plain=False)([boxes, scores])
print(len(expected) > 20, np.array_equal(found, expected))
try:
    onnx_to_keras.build(model)
except UnsupportedOperator as error:
    print(error.found, error.hint, sep="; ")
"""


def test_in_keras_by_the_operator_of_tensorflow() -> None:
    """A model that only a SavedModel holds chooses as ONNX Runtime does; one for Keras' files is refused."""
    done = subprocess.run([sys.executable, "-c", IN_KERAS], capture_output=True, text=True, check=False, timeout=HANG)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["True True"], done.stderr[-2000:]
    assert "NonMaxSuppression of as many boxes as there are has no Keras form" in lines[1]
    assert "toolkit export model.onnx --to savedmodel" in lines[1]


CHANNELS = """
import numpy as np, onnx
from exporters import onnx_to_keras

text = '''<ir_version: 8, opset_import: ["" : 18]>
agraph (float[n, c, h, w] x, float[2, 3, 1, 1] kernel) => (float[n, 2, h, w] y) { y = Conv(x, kernel) }'''
model = onnx.parser.parse_model(text)
kernel = np.arange(6, dtype="float32").reshape(2, 3, 1, 1)
model.graph.initializer.append(onnx.numpy_helper.from_array(kernel, "kernel"))
del model.graph.input[1]
x = np.arange(24, dtype="float32").reshape(2, 3, 2, 2)
print(np.array_equal(onnx_to_keras.build(model)(x), np.einsum("oc,nchw->nohw", kernel[:, :, 0, 0], x)))
"""


def test_channels_that_only_the_weight_knows() -> None:
    done = subprocess.run([sys.executable, "-c", CHANNELS], capture_output=True, text=True, check=False, timeout=HANG)
    assert done.stdout.splitlines() == ["True"], done.stderr[-2000:]
