"""Known defects of Keras and its formats, provoked: does the defect still exist, and do our models step around it?

Prints one JSON object: trap -> {"theirs": whether Keras still errs, "ours": what our model does, "ok" where right}.
`docs/keras-traps.md` describes each.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5py
import keras
import numpy as np
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_keras, to_hdf5, to_keras
from exporters.onnx_to_keras import hdf5, nesting
from exporters.options import ExportOptions
from exporters.sources import keras_model, source

RANDOM = np.random.default_rng(0)
Row = dict[str, Any]


def f(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def onnx_model(nodes: list[Any], feeds: dict[str, Any], weights: dict[str, Any], rank: int, opset: int = 18) -> Any:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *array.shape[1:]])
        for name, array in feeds.items()
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", *([None] * (rank - 1))])]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def right(model: Any, built: Any, feeds: dict[str, Any]) -> str:
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    given = [tf.constant(array) for array in feeds.values()]
    found = np.asarray(built(given[0] if len(given) == 1 else given))
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    worst = float(np.abs(found - expected).max())
    return "ok" if worst < 1e-4 else f"off by {worst:.2g}"


def reloaded(built: Any, suffix: str) -> Any:
    """The model through a file, opened as anybody would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        if suffix == ".h5":
            hdf5.save(built, path)
        else:
            built.save(path)
        return keras.models.load_model(path)


def in_all_forms(model: Any, feeds: dict[str, Any]) -> str:
    built = onnx_to_keras.build(model)
    found = [right(model, each, feeds) for each in (built, reloaded(built, ".h5"), reloaded(built, ".keras"))]
    return next((each for each in found if each != "ok"), "ok")


def addition() -> Row:
    """keras.ops.add takes an operand that squeezes to a vector for a bias of another axis."""
    x, b = f(1, 32, 8, 32), f(1, 32, 1, 1)
    theirs = float(np.abs(np.asarray(keras.ops.add(x, b)) - (x + b)).max()) > 1e-3
    model = onnx_model([helper.make_node("Add", ["x", "b"], ["y"])], {"x": x}, {"b": b}, 4)
    return {"theirs": theirs, "ours": in_all_forms(model, {"x": x})}


def channels_first() -> Row:
    """Conv2D(data_format="channels_first") adds its bias along the wrong axis where channels equal the width."""
    x, w, b = f(2, 3, 6, 6), f(4, 3, 3, 3), f(4)
    layer = keras.layers.Conv2D(4, 3, data_format="channels_first")
    layer.build(x.shape)
    layer.set_weights([w.transpose(2, 3, 1, 0), b])
    model = onnx_model([helper.make_node("Conv", ["x", "w", "b"], ["y"])], {"x": x}, {"w": w, "b": b}, 4)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    theirs = float(np.abs(np.asarray(layer(x)) - expected).max()) > 1e-3
    layouts = {getattr(each, "data_format", None) for each in onnx_to_keras.build(model).layers}
    ours = in_all_forms(model, {"x": x})
    return {"theirs": theirs, "ours": ours if "channels_first" not in layouts else "a layer is channels first"}


def grouped() -> Row:
    """Grouped convolutions are compiled with XLA, which is slow on CPUs."""
    x, w = f(2, 8, 6, 5), f(12, 2, 3, 3)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    model = onnx_model([node], {"x": x}, {"w": w}, 4)
    start = keras.Input((6, 5, 8))
    theirs = compiled(keras.Model(start, keras.layers.Conv2D(12, 3, groups=4)(start)), [None, 6, 5, 8])
    ours = compiled(onnx_to_keras.build(model), [None, 8, 6, 5])
    return {"theirs": theirs, "ours": in_all_forms(model, {"x": x}) if not ours else "compiled with XLA"}


def compiled(model: Any, shape: list[int | None]) -> bool:
    """Whether anything in the model's graph is left to XLA."""
    function = tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    return "_XlaMustCompile" in str(function.graph.as_graph_def())


def slashes() -> Row:
    """'/' in a layer's name is refused; PyTorch's and TensorFlow's names of weights are full of such things."""
    try:
        keras.layers.Dense(2, name="a/b")
        theirs = False
    except ValueError:
        theirs = True
    w = f(4, 3)
    model = onnx_model([helper.make_node("MatMul", ["x", "enc/layer.0/attn:w"], ["y"])], {"x": f(2, 4)},
                       {"enc/layer.0/attn:w": w}, 2)  # fmt: skip
    names = [layer.name for layer in onnx_to_keras.build(model).layers]
    ours = in_all_forms(model, {"x": f(2, 4)}) if any("enc.layer.0.attn" in name for name in names) else str(names)
    return {"theirs": theirs, "ours": ours}


def compiled_file() -> Row:
    """An .h5 of a model that was compiled with a loss by its short name does not load."""
    start = keras.Input((4,))
    model = keras.Model(start, keras.layers.Dense(2)(start))
    model.compile(optimizer="adam", loss="mse")
    x = f(3, 4)
    model.fit(x, f(3, 2), verbose=0)
    expected = np.asarray(model(x))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(folder / "theirs.h5")
        theirs = not loads(folder / "theirs.h5")
        ours = []
        for target, path in ((to_hdf5, folder / "ours.h5"), (to_keras, folder / "ours.keras")):
            with keras_model.open_object(source.resolve(model), "cpu", None, model) as runner:
                target.strategies(runner)["keras"](runner, path, ExportOptions())
            again = keras.models.load_model(path)
            same = np.array_equal(np.asarray(again(x)), expected)
            ours.append("ok" if same and not again.compiled else f"{path.name} differs, or is compiled")
    return {"theirs": theirs, "ours": next((each for each in ours if each != "ok"), "ok")}


def loads(path: Path) -> bool:
    try:
        keras.models.load_model(path)
    except (TypeError, ValueError):
        return False
    return True


def vocabularies() -> Row:
    """What a lookup learned from data is not in an .h5: loaded, it knows no word."""
    lookup = keras.layers.StringLookup(output_mode="one_hot")
    lookup.adapt(["red", "blue", "green", "blue"])
    start = keras.Input((1,), dtype="string")
    model = keras.Model(start, lookup(start))
    words = tf.constant([["blue"], ["other"], ["red"]])
    expected = np.asarray(model(words))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "theirs.h5"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(path)
        try:
            theirs = not np.array_equal(np.asarray(keras.models.load_model(path)(words)), expected)
        except tf.errors.FailedPreconditionError:
            theirs = True
    same = np.array_equal(np.asarray(reloaded(model, ".h5")(words)), expected) and lookup.input_vocabulary is None
    return {"theirs": theirs, "ours": "ok" if same else "it differs, or the user's model was changed"}


def constants() -> Row:
    """An array that is given to an operation is written into the configuration as text, 40 times its size."""
    table = f(64, 500)
    start = keras.Input((500,))
    literal = keras.Model(start, keras.ops.matmul(start, keras.ops.transpose(table)))
    theirs = len(literal.to_json()) > 3 * table.nbytes
    model = onnx_model([helper.make_node("Mul", ["x", "table"], ["y"])], {"x": f(2, 64, 500)}, {"table": table}, 3)
    built = onnx_to_keras.build(model)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.h5"
        hdf5.save(built, path)
        text, size, stored = _sizes(path)
    if text > 10_000 or stored != table.nbytes or size > 1.2 * table.nbytes:
        return {"theirs": theirs, "ours": f"{text} characters, {size} bytes, of which {stored} are weights"}
    return {"theirs": theirs, "ours": in_all_forms(model, {"x": f(2, 64, 500)})}


def long_sums() -> Row:
    """TensorFlow adds up any axis but the last one element after the other: worst on a blank picture."""
    noise, scores = RANDOM.uniform(0, 1, (1, 32, 64, 64)).astype(np.float32), 3 * f(2, 4, 4096)
    blank = np.broadcast_to(noise[:, :3, :1, :1], (1, 3, 128, 128)).copy()
    layer = keras.layers.GroupNormalization(8, epsilon=1e-5)
    theirs = min(
        roundings(keras.ops.mean(blank.transpose(0, 2, 3, 1), (1, 2)), exactly(blank).mean((2, 3))),
        roundings(np.asarray(layer(noise.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2), grouped_normally(noise, 8)),
    )
    node, pixels, wide = helper.make_node, {"axes": np.array([-1, 2])}, exactly(noise)
    length = np.sqrt((wide**2).sum((2, 3), keepdims=True))
    found = [
        off([node("GlobalAveragePool", ["x"], ["y"])], blank, exactly(blank).mean((2, 3), keepdims=True)),
        off([node("GlobalAveragePool", ["x"], ["y"])], noise, wide.mean((2, 3), keepdims=True)),
        off([node("ReduceSum", ["x", "axes"], ["y"])], noise, wide.sum((2, 3), keepdims=True), **pixels),
        off([node("ReduceL2", ["x", "axes"], ["y"])], noise, length, **pixels),
    ]
    # what is counted is a whole number, whatever it is counted by
    marks = (RANDOM.uniform(0, 1, (2, 3, 60, 50)) < 0.7).astype(np.float32)
    counted = off([node("ReduceSum", ["x", "axes"], ["y"])], marks, marks.sum((2, 3), keepdims=True), **pixels)
    shares = np.exp(exactly(scores)) / np.exp(exactly(scores)).sum(-1, keepdims=True)
    grid = RANDOM.uniform(0, 1, (4096, 2)).astype(np.float32)
    argmax = [node("Softmax", ["x"], ["p"]), node("MatMul", ["p", "grid"], ["y"])]
    groups = node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=8)
    ends = {"scale": np.ones(32, np.float32), "bias": np.zeros(32, np.float32)}
    found += [off(argmax, scores, shares @ grid, grid=grid), off([groups], noise, grouped_normally(noise, 8), **ends)]
    return {"theirs": theirs > 20, "ours": "ok" if max(found) < 3 and counted == 0 else f"{found}, {counted}"}


def off(nodes: list[Any], x: Any, exact: Any, **weights: Any) -> float:
    """How many roundings the rebuilt graph is away from what is exact."""
    return roundings(onnx_to_keras.build(onnx_model(nodes, {"x": x}, weights, exact.ndim, 21))(x), exact)


def exactly(x: Any) -> Any:
    return x.astype(np.float64)


def grouped_normally(x: Any, groups: int) -> Any:
    """Group normalisation without scale and bias, in float64."""
    wide = exactly(x).reshape(len(x), groups, -1)
    return ((wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)).reshape(x.shape)


def roundings(found: Any, exact: Any) -> float:
    """The error in units of float32's rounding of what it is an error of."""
    error = np.asarray(found, np.float64) - exact
    return float(np.sqrt(np.mean(error**2) / np.mean(exact**2)) * 2**24)


def depth() -> Row:
    """Keras walks a graph by calls within calls: a chain of a thousand operations is more than Python allows."""
    start = value = keras.Input((4,))
    for _ in range(1_100):
        value = keras.ops.relu(value)
    try:
        keras.Model(start, value)
        theirs = False
    except RecursionError:
        theirs = True
    chain = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(1_299)]
    ends = helper.make_node("Neg", ["v1299"], ["y"])
    x = f(2, 4)
    long = in_all_forms(onnx_model([*chain, ends], {"x": x}, {}, 2), {"x": x})
    return {"theirs": theirs, "ours": long if long != "ok" else _in_small_parts()}


def _in_small_parts() -> str:
    """Values that cross from one part into several later ones, weights and sizes among them, and inputs used late."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Softmax", ["b"], ["c"]),
        helper.make_node("Mul", ["c", "scale"], ["d"]),
        helper.make_node("Shape", ["z"], ["size"]),
        helper.make_node("Expand", ["one", "size"], ["e"]),
        helper.make_node("Add", ["d", "e"], ["f"]),
        helper.make_node("Mul", ["f", "scale"], ["g"]),
        helper.make_node("Sub", ["g", "a"], ["h"]),
        helper.make_node("Concat", ["h", "z", "b"], ["y"], axis=1),
    ]
    feeds = {"x": f(3, 4), "z": f(3, 5)}
    model = onnx_model(nodes, feeds, {"w": f(4, 5), "scale": f(1, 5), "one": f(1, 1)}, 2)
    usual = nesting.DEEPEST
    for nesting.DEEPEST in (1, 2, 3, 5):
        found = in_all_forms(model, feeds)
        if found != "ok":
            return f"in parts of {nesting.DEEPEST}: {found}"
    nesting.DEEPEST = usual
    return "ok"


def _sizes(path: Path) -> tuple[int, int, int]:
    """Characters of the configuration, bytes of the file, bytes of its datasets."""
    found: list[int] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
        text = len(file.attrs["model_config"])
    return text, path.stat().st_size, sum(found)


def weights() -> Row:
    """Weights are weights: in layers, by their names, trainable, float32, once; gradients reach all of them."""
    stored = {
        "stem.weight": f(8, 3, 3, 3), "stem.bias": f(8), "norm.weight": f(8), "norm.bias": f(8), "norm.mean": f(8),
        "norm.var": abs(f(8)) + 1, "head.weight": f(5, 8), "head.bias": f(5), "scale": f(1, 8, 1, 1),
    }  # fmt: skip
    norm = ["norm.weight", "norm.bias", "norm.mean", "norm.var"]
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight", "stem.bias"], ["a"]),
        helper.make_node("BatchNormalization", ["a", *norm], ["b"]),
        helper.make_node("Mul", ["b", "scale"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    x = f(2, 3, 7, 7)
    model = onnx_model(nodes, {"x": x}, stored, 2)
    built = onnx_to_keras.build(model)
    problems = [right(model, built, {"x": x})]
    trained = sorted(array.size for name, array in stored.items() if name not in norm[2:])
    if sorted(int(np.prod(each.shape)) for each in built.trainable_variables) != trained:
        problems.append(f"trainable: {[(each.path, tuple(each.shape)) for each in built.trainable_variables]}")
    if {each.dtype for each in built.variables} != {"float32"}:
        problems.append(f"dtypes { ({each.dtype for each in built.variables}) }")
    names = {layer.name.partition(".")[0] for layer in built.layers}
    problems += [f"no layer is called {name}" for name in ("stem", "norm", "head", "scale") if name not in names]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(built(x, training=True)))
    values = [each.value for each in built.trainable_variables]
    gradients = tape.gradient(loss, values)
    problems += [each.path for each, gradient in zip(values, gradients, strict=True) if gradient is None]
    before = [np.array(each) for each in built.non_trainable_variables]
    built(x, training=True)
    after = [np.array(each) for each in built.non_trainable_variables]
    if all(np.array_equal(*pair) for pair in zip(before, after, strict=True)):
        problems.append("training does not move the statistics of BatchNormalization")
    return {"theirs": None, "ours": next((each for each in problems if each != "ok"), "ok")}


TRAPS: dict[str, Callable[[], Row]] = {
    "addition": addition,
    "channels first": channels_first,
    "grouped convolutions": grouped,
    "slashes in names": slashes,
    "compiled models": compiled_file,
    "learned vocabularies": vocabularies,
    "constants as text": constants,
    "long sums": long_sums,
    "depth": depth,
    "weights": weights,
}

if __name__ == "__main__":
    print(json.dumps({name: trap() for name, trap in TRAPS.items()}))
