"""Thousands of equal numbers are added up in ONNX Runtime as exactly as in PyTorch, and read back as one operator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from exporters.graph import patterns, sum_guard
from exporters.graph.clean import clean

ROUNDING = 2.0**-24
HEAD = (
    '<ir_version: 10, opset_import: ["" : {opset}]> g (float[{sizes}] x) => (float[{out}] y) <{weights}> {{ {body} }}'
)
CHANNELS = "float[4] s = {1, -2, 0.5, 3}, float[4] b = {0, 1, -1, 2}"
GROUPS = "r = Reshape (x, g) i = InstanceNormalization (r, o, z) h = Shape (x) y = Reshape (i, h)"
TWO = "int64[3] g = {0, 2, -1}, float[2] o = {1, 1}, float[2] z = {0, 0}"
PICTURE, POINTS = "N,4,96,128", "N,4,1,1"


def written(body: str, sizes: str = PICTURE, out: str = PICTURE, weights: str = "", opset: int = 18) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEAD.format(body=body, sizes=sizes, out=out, weights=weights, opset=opset))


def layer() -> onnx.ModelProto:
    model = written("y = LayerNormalization <axis = 2> (x, s, b)")
    for name in "sb":
        weight = np.linspace(1, 2, 96 * 128, dtype=np.float32).reshape(96, 128)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model


# What is written -> the operators that the importers see behind it.
LONG = {
    "mean": (written("y = ReduceMean (x, a)", out=POINTS, weights="int64[2] a = {2, 3}"), ["ReduceMean"]),
    "mean, none kept": (
        written("y = ReduceMean <keepdims = 0> (x, a)", out="N,4", weights="int64[2] a = {-1, -2}"), ["ReduceMean"]),
    "mean of an older opset": (written("y = ReduceMean <axes = [2, 3]> (x)", out=POINTS, opset=13), ["ReduceMean"]),
    "mean of all": (written("y = ReduceMean (x)", out="1,1,1,1"), ["ReduceMean"]),
    "mean of a long row": (
        written("y = ReduceMean (x, a)", "N,4,65536", "N,4,1", "int64[1] a = {2}"),
        ["Reshape", "ReduceMean", "ReduceMean"]),
    "sum": (written("y = ReduceSum (x, a)", out=POINTS, weights="int64[2] a = {2, 3}", opset=13), ["ReduceSum"]),
    "pool": (written("y = GlobalAveragePool (x)", out=POINTS), ["ReduceMean"]),
    "pool of free sizes": (written("y = GlobalAveragePool (x)", "N,4,H,W", POINTS), ["ReduceMean"]),
    "pool of a volume": (written("y = GlobalAveragePool (x)", "N,4,16,24,32", "N,4,1,1,1"), ["ReduceMean"]),
    "instances": (written("y = InstanceNormalization (x, s, b)", weights=CHANNELS), ["InstanceNormalization"]),
    "instances of free sizes": (
        written("y = InstanceNormalization (x, s, b)", "N,4,H,W", "N,4,H,W", CHANNELS), ["InstanceNormalization"]),
    "instances of a free length": (
        written("y = InstanceNormalization (x, s, b)", "N,4,L", "N,4,L", CHANNELS), ["InstanceNormalization"]),
    "groups": (written(GROUPS, weights=TWO), ["GroupNormalization"]),
    "groups of free sizes": (written(GROUPS, "N,4,H,W", "N,4,H,W", TWO), ["GroupNormalization"]),
    "groups of a free length": (written(GROUPS, "N,4,L", "N,4,L", TWO), ["GroupNormalization"]),
    "groups as one operator": (
        written("y = GroupNormalization <num_groups = 2> (x, s, b)", weights=CHANNELS, opset=21),
        ["GroupNormalization"]),
    "layer": (layer(), ["LayerNormalization"]),
}  # fmt: skip
SHORT = {
    "a few places": written("y = GlobalAveragePool (x)", "N,4,14,14", POINTS),
    "one axis": written("y = GlobalAveragePool (x)", "N,4,4096", "N,4,1"),
    "a row": written("y = ReduceMean (x, a)", "N,4,4096", "N,4,1", "int64[1] a = {2}"),
    "no axis at all": written("y = ReduceMean <noop_with_empty_axes = 1> (x)"),
    "a small group": written("y = InstanceNormalization (x, s, b)", "N,4,10,10", "N,4,10,10", CHANNELS),
}


def guarded(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = ir.from_proto(model)
    sum_guard.guard(graph)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def in_double(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    if model.graph.node[0].op_type == "GroupNormalization":  # the reference computes it in float32
        import torch

        scale, bias = (torch.tensor([*weight.float_data]).double() for weight in model.graph.initializer)
        return torch.nn.functional.group_norm(torch.from_numpy(x).double(), 2, scale, bias).numpy()
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for value in (*wide.graph.input, *wide.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    for weight in wide.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            weight.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype(np.float64), weight.name)
            )
    return ReferenceEvaluator(wide).run(None, {"x": x.astype(np.float64)})[0]


def sizes(model: onnx.ModelProto, batch: int) -> list[int]:
    free = {"N": batch, "H": 96, "W": 128, "L": 12288}
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return [free[dim.dim_param] if dim.dim_param else dim.dim_value for dim in dims]


def equal_numbers(name: str, shape: list[int]) -> np.ndarray:
    """A picture of one colour per channel; framed, where there would be nothing to normalise without an edge.

    Rows of a free length cannot be parted; there, as with the layer, many zeros stand between other numbers.
    """
    if name == "layer" or "free length" in name:
        return np.maximum(np.random.default_rng(0).standard_normal(shape), 0).astype(np.float32)
    colours = np.linspace(0.3, 1.7, shape[1], dtype=np.float32).reshape(1, -1, *[1] * (len(shape) - 2))
    x = np.broadcast_to(colours, shape).copy()
    if "instances" in name or "groups" in name:
        x[..., -1] += 2
        x[..., 0] -= 1
    return x


@pytest.mark.parametrize("name", LONG)
def test_equal_numbers_are_added_up_exactly(name):
    model, _ = LONG[name]
    x = equal_numbers(name, sizes(model, 2))
    wanted = in_double(model, x)
    before, after = (
        np.abs(run(form, x) - wanted).max() / np.abs(wanted).max() / ROUNDING for form in (model, guarded(model))
    )
    assert after < 10
    assert before > 3 * after  # the day that this fails, ONNX Runtime adds up in parts, and the guard may go


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("batch", [1, 3])
def test_noise_predicts_the_same(name, batch):
    model, _ = LONG[name]
    x = np.random.default_rng(batch).standard_normal(sizes(model, batch)).astype(np.float32)
    wanted = in_double(model, x)
    assert np.abs(run(guarded(model), x) - wanted).max() < 32 * ROUNDING * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("name", LONG)
def test_the_importers_see_one_operator(name):
    model, seen = LONG[name]
    graph = clean(ir.from_proto(guarded(model)))
    patterns.apply(graph)
    left = [node.op_type for node in graph.graph if node.op_type not in ("Shape", "Mul", "Add")]
    assert Counter(left) == Counter(seen)


@pytest.mark.parametrize("name", SHORT)
def test_short_sums_stay(name):
    model = SHORT[name]
    assert [node.op_type for node in guarded(model).graph.node] == [node.op_type for node in model.graph.node]


def test_double_stays():
    model = written("y = GlobalAveragePool (x)", out=POINTS)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    assert guarded(model).graph.node[0].op_type == "GlobalAveragePool"


def test_a_mean_that_is_read_stays():
    body = "y, m = LayerNormalization <axis = 2> (x, s) z = Add (y, m)"
    model = written(body.replace(" y,", " n,"), weights="float[1,1] s = {2}")
    model.graph.node[0].output[0], model.graph.node[1].input[0], model.graph.node[1].output[0] = "n", "n", "y"
    assert "LayerNormalization" in [node.op_type for node in guarded(model).graph.node]


def test_a_new_layers_weights_stay():
    """Scale 1 and bias 0 are what training starts from: the file keeps them by their names."""
    ones = "float[4] s = {1, 1, 1, 1}, float[4] b = {0, 0, 0, 0}"
    proto = guarded(written("y = InstanceNormalization (x, s, b)", weights=ones))
    assert {"s", "b"} <= {weight.name for weight in proto.graph.initializer}
