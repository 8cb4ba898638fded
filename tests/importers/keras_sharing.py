"""Graphs in which several nodes read one weight, as Keras models and files: each weight is there once, and right.

Prints one JSON object: case -> {"weights": sizes of the model's variables, "source": those of the graph's weights,
"model", "h5", "keras": the largest error of outputs, "trained": the same after every weight was changed, "h5_bytes"}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_keras
from exporters.onnx_to_keras import hdf5

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
RANDOM = np.random.default_rng(0)
BATCH = 3


def weight(*shape: int) -> Any:
    return (RANDOM.normal(size=shape) / 2).astype(np.float32)


def graph(nodes: list[Any], shape: list[Any], kind: int = FLOAT, **weights: Any) -> Any:
    """A model from `x` (batch, *shape) to `y`."""
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "graph", [info("x", kind, ["n", *shape])], [info("y", FLOAT, None)], stored)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (y,) = ReferenceEvaluator(model).run(None, {"x": feed(model)})
    made.output[0].CopyFrom(info("y", FLOAT, [None] * y.ndim))
    model.graph.CopyFrom(made)
    return model


def feed(model: Any) -> Any:
    value = model.graph.input[0].type.tensor_type
    shape = [BATCH, *(size.dim_value for size in value.shape.dim[1:])]
    integer = value.elem_type == INT64
    return RANDOM.integers(-11, 11, shape) if integer else RANDOM.normal(size=shape).astype(np.float32)


def loop(count: int, size: int) -> Any:
    """So many turns of one product."""
    body = helper.make_graph(
        [node("MatMul", ["s", "w"], ["a"]), node("Tanh", ["a"], ["t"]), node("Identity", ["c"], ["d"])],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("s", FLOAT, ["n", size])],
        [info("d", BOOL, []), info("t", FLOAT, ["n", size])],
    )
    turns = node("Constant", [], ["m"], value=numpy_helper.from_array(np.array(count)))
    going = node("Constant", [], ["on"], value=numpy_helper.from_array(np.array(True)))
    return graph(
        [turns, going, node("Loop", ["m", "on", "x"], ["y"], body=body)], [size], w=np.linalg.qr(weight(size, size))[0]
    )


CASES = {
    "one product twice": graph(
        [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), node("MatMul", ["b", "w"], ["y"])],
        [5, 6],
        w=weight(6, 6),
    ),
    "other biases": graph(
        [node("Gemm", ["x", "w", "p"], ["a"], transB=1), node("Gemm", ["a", "w", "q"], ["y"], transB=1)],
        [6],
        w=weight(6, 6),
        p=weight(6),
        q=weight(6),
    ),
    "one bias": graph(
        [node("Gemm", ["x", "v", "b"], ["a"]), node("Gemm", ["a", "w", "b"], ["y"])],
        [6],
        v=weight(6, 6),
        w=weight(6, 6),
        b=weight(6),
    ),
    "embedding and head": graph(
        [node("Gather", ["w", "x"], ["e"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
         node("MatMul", ["e", "t"], ["y"])],
        [7],
        INT64,
        w=weight(5000, 64),
    ),
    "embedding and head with a bias": graph(
        [node("Gather", ["w", "x"], ["e"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
         node("MatMul", ["e", "t"], ["m"]), node("Add", ["m", "b"], ["y"])],
        [7],
        INT64,
        w=weight(11, 6),
        b=weight(11),
    ),
    "there and back": graph(
        [node("MatMul", ["x", "w"], ["a"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
         node("MatMul", ["a", "t"], ["y"])],
        [5, 6],
        w=weight(6, 4),
    ),
    "convolution at two sizes": graph(
        [node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
         node("Conv", ["x", "w", "b"], ["a"]), node("Conv", ["p", "w", "b"], ["c"]),
         node("ReduceMean", ["a", "axes"], ["d"]), node("ReduceMean", ["c", "axes"], ["e"]),
         node("Add", ["d", "e"], ["y"])],
        [3, 8, 8],
        w=weight(4, 3, 3, 3),
        b=weight(4),
        axes=np.array([2, 3]),
    ),
    "convolution dilated": graph(
        [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
         node("Conv", ["x", "w"], ["b"], pads=[2, 2, 2, 2], dilations=[2, 2]), node("Add", ["a", "b"], ["y"])],
        [3, 8, 8],
        w=weight(4, 3, 3, 3),
    ),
    "convolution in groups": graph(
        [node("Conv", ["x", "w"], ["a"], group=2), node("Conv", ["a", "w"], ["y"], group=2)],
        [4, 8, 8],
        w=np.concatenate([weight(2, 2, 3, 3)] * 2),
    ),
    "normalised twice": graph(
        [node("LayerNormalization", ["x", "g", "b"], ["a"]), node("MatMul", ["a", "w"], ["c"]),
         node("LayerNormalization", ["c", "g", "b"], ["y"])],
        [5, 6],
        g=weight(6),
        b=weight(6),
        w=weight(6, 6),
    ),
    "recurrent twice": graph(
        [node("LSTM", ["x", "w", "r", "b"], ["s"], hidden_size=3, direction="bidirectional"),
         node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3]), node("Reshape", ["t", "sizes"], ["z"]),
         node("LSTM", ["z", "w", "r", "b"], ["y"], hidden_size=3, direction="bidirectional")],
        [2, 6],
        w=weight(2, 12, 6),
        r=weight(2, 12, 3),
        b=np.concatenate([weight(2, 12), np.zeros((2, 12), np.float32)], 1),
        sizes=np.array([0, 2, 6]),
    ),
    "added in two orders": graph(
        [node("Add", ["x", "w"], ["a"]), node("Conv", ["a", "k"], ["c"], pads=[1, 1, 1, 1]),
         node("Add", ["c", "w"], ["y"])],
        [3, 4, 5],
        w=weight(3, 4, 5),
        k=weight(3, 3, 3, 3),
    ),
    "loop": loop(3, 6),
    "loop of many turns": loop(310, 2),
}  # fmt: skip


def floats(model: Any) -> dict[str, Any]:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: array for name, array in arrays.items() if array.dtype == np.float32}


def changed(model: Any) -> Any:
    """The same graph with other weights."""
    other = type(model).FromString(model.SerializeToString())
    for tensor in other.graph.initializer:
        if tensor.data_type == FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.25), tensor.name))
    return other


def error(model: Any, x: Any, source: Any) -> float:
    (wanted,) = ReferenceEvaluator(source).run(None, {"x": x})
    found = np.asarray(model(x))
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    assert wanted.std() > 0
    return float(np.abs(found - wanted).max())


def main() -> None:
    warnings.simplefilter("ignore")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, source in CASES.items():
            x, model = feed(source), onnx_to_keras.build(source)
            row: dict[str, Any] = {"model": error(model, x, source)}
            row["weights"] = sorted(int(np.prod(weight.shape)) for weight in model.trainable_weights)
            row["source"] = sorted(array.size for array in floats(source).values())
            path = Path(folder) / "model.h5"
            hdf5.save(model, path)
            row["h5_bytes"], row["h5"] = path.stat().st_size, error(keras.models.load_model(path), x, source)
            model.save(Path(folder) / "model.keras")
            again = keras.models.load_model(Path(folder) / "model.keras")
            row["keras"] = error(again, x, source)
            for variable in again.trainable_variables:
                variable.assign(variable * 1.25)
            row["trained"] = error(again, x, changed(source))
            rows[name] = row
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
