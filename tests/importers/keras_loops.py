"""Loops, branches and decoders that only a SavedModel holds: each through one, refused where files of Keras are meant.

Prints one JSON object: case -> {"saved": 'ok' or what is wrong, "plain": the refusal, "weights": how many there are}.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from exporters import onnx_to_keras
from tests.importers.keras_suite import save, traced
from toolkit.errors import UnsupportedOperator

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info
RANDOM = np.random.default_rng(0)
WEIGHT = (RANDOM.normal(size=(4, 4)) / 2).astype(np.float32)
Case = tuple[Any, dict[str, Any], list[Any]]


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], **weights: Any) -> Any:
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def counted() -> Iterator[tuple[str, Case]]:
    """So many turns as an input says, with a weight and a tensor from outside, and a sum from each turn."""
    body = helper.make_graph(
        [
            node("MatMul", ["s", "w"], ["a"]),
            node("Add", ["a", "z"], ["s1"]),
            node("Identity", ["c"], ["c1"]),
            node("ReduceSum", ["s1"], ["r"], keepdims=0),
        ],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("s", FLOAT, ["n", 4])],
        [info("c1", BOOL, []), info("s1", FLOAT, ["n", 4]), info("r", FLOAT, [])],
    )
    nodes = [node("Relu", ["x"], ["z"]), node("Loop", ["m", "", "x"], ["y", "sums"], body=body)]
    outputs = [info("y", FLOAT, ["n", 4]), info("sums", FLOAT, ["k"])]
    made = model(nodes, [info("x", FLOAT, ["n", 4]), info("m", INT64, [])], outputs, w=WEIGHT)
    x = RANDOM.normal(size=(2, 4)).astype(np.float32)
    for turns in (5, 1, 0):
        state, sums = x, []
        for _ in range(turns):
            state = state @ WEIGHT + np.maximum(x, 0)
            sums.append(state.sum())
        yield f"{turns} turns", (made, {"x": x, "m": np.array(turns)}, [state, np.array(sums, np.float32)])


def conditional() -> Iterator[tuple[str, Case]]:
    """Until its condition ends it; what it carries grows."""
    body = helper.make_graph(
        [
            node("Concat", ["s", "x"], ["s1"], axis=0),
            node("Shape", ["s1"], ["rows"], end=1),
            node("Less", ["rows", "most"], ["fewer"]),
            node("Squeeze", ["fewer"], ["c1"]),
        ],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("s", FLOAT, None)],
        [info("c1", BOOL, []), info("s1", FLOAT, None)],
    )
    made = model([node("Loop", ["", "go", "x"], ["y"], body=body)], [info("x", FLOAT, ["n", 4])],
                 [info("y", FLOAT, ["k", 4])], go=np.array(True), most=np.array([9]))  # fmt: skip
    x = RANDOM.normal(size=(2, 4)).astype(np.float32)
    yield "until a condition ends it", (made, {"x": x}, [np.concatenate([x] * 5)])


def counting() -> Iterator[tuple[str, Case]]:
    """Until a number that each turn adds to has grown: compared as float, as TensorFlow's exporter writes it."""
    body = helper.make_graph(
        [
            node("Add", ["k", "two"], ["k1"]),
            node("Cast", ["k1"], ["f"], to=FLOAT),
            node("Less", ["f", "most"], ["c1"]),
            node("MatMul", ["s", "w"], ["s1"]),
            node("ReduceSum", ["s1"], ["r"], keepdims=0),
        ],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("k", INT64, []), info("s", FLOAT, ["n", 4])],
        [info("c1", BOOL, []), info("k1", INT64, []), info("s1", FLOAT, ["n", 4]), info("r", FLOAT, [])],
    )
    nodes = [
        node("Less", ["none", "most"], ["go"]),
        node("Loop", ["", "go", "zero", "x"], ["", "y", "sums"], body=body),
    ]
    weights = {"w": WEIGHT, "zero": np.array(0), "two": np.array(2)}
    floats = {"none": np.array(0, np.float32), "most": np.array(5, np.float32)}
    outputs = [info("y", FLOAT, ["n", 4]), info("sums", FLOAT, ["k"])]
    made = model(nodes, [info("x", FLOAT, ["n", 4])], outputs, **weights, **floats)
    x = RANDOM.normal(size=(2, 4)).astype(np.float32)
    turns = [x @ np.linalg.matrix_power(WEIGHT, power) for power in (1, 2, 3)]
    yield "counts by twos to five", (made, {"x": x}, [turns[-1], np.array([each.sum() for each in turns], np.float32)])


def scanned() -> Iterator[tuple[str, Case]]:
    """Backwards along an axis of free size, results stacked along another, the last one first."""
    body = helper.make_graph(
        [node("Add", ["s", "e"], ["s1"]), node("Mul", ["s1", "k"], ["o"])], "body",
        [info("s", FLOAT, ["n", 4]), info("e", FLOAT, ["n", 4])],
        [info("s1", FLOAT, ["n", 4]), info("o", FLOAT, ["n", 4])],
    )  # fmt: skip
    scan = node(
        "Scan", ["start", "x"], ["end", "y"], body=body, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[1], scan_output_axes=[1], scan_output_directions=[1],
    )  # fmt: skip
    made = model([scan], [info("start", FLOAT, ["n", 4]), info("x", FLOAT, ["n", "t", 4])],
                 [info("end", FLOAT, ["n", 4]), info("y", FLOAT, ["n", "t", 4])], k=WEIGHT[:1])  # fmt: skip
    x, start = RANDOM.normal(size=(2, 5, 4)).astype(np.float32), np.ones((2, 4), np.float32)
    sums = np.cumsum(x[:, ::-1], 1, dtype=np.float32)[:, ::-1] + start[:, None]
    yield "scan of free length", (made, {"start": start, "x": x}, [sums[:, 0], sums * WEIGHT[:1]])


def branches() -> Iterator[tuple[str, Case]]:
    """One of two results, of other sizes."""
    twice = helper.make_graph([node("Concat", ["x", "x"], ["p"], axis=0)], "then", [], [info("p", FLOAT, None)])
    other = helper.make_graph([node("MatMul", ["x", "w"], ["q"])], "else", [], [info("q", FLOAT, None)])
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        node("If", ["c"], ["y"], then_branch=twice, else_branch=other),
    ]
    made = model(
        nodes, [info("x", FLOAT, [3, 4])], [info("y", FLOAT, ["k", 4])], w=WEIGHT, zero=np.array(0, np.float32)
    )
    x = np.abs(RANDOM.normal(size=(3, 4))).astype(np.float32)
    yield "one branch", (made, {"x": x}, [np.concatenate([x, x])])
    yield "the other branch", (made, {"x": -x}, [-x @ WEIGHT])


def pictures() -> Iterator[tuple[str, Case]]:
    """A bitmap of 2 rows and 3 columns, which is stored from the last row on, each row filled up to 12 bytes."""
    colours = RANDOM.integers(0, 256, (2, 3, 3)).astype(np.uint8)
    rows = b"".join(bytes(row[:, ::-1].reshape(-1)) + bytes(3) for row in colours[::-1])
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54 + len(rows), 0, 0, 54, 40, 3, 2, 1, 24, 0, 24, 2835, 2835, 0, 0
    )
    decoder = node("ImageDecoder", ["x"], ["y"], pixel_format="BGR")
    byte = TensorProto.UINT8
    made = model([decoder], [info("x", byte, ["n"])], [info("y", byte, ["h", "w", "c"])])
    made.opset_import[0].version = 20
    yield "a picture", (made, {"x": np.frombuffer(header + rows, np.uint8)}, [colours[:, :, ::-1]])


def row(made: Any, feeds: dict[str, Any], expected: list[Any]) -> dict[str, Any]:
    try:
        onnx_to_keras.build(made)
        refusal = "none"
    except UnsupportedOperator as error:
        refusal = str(error)
    built = onnx_to_keras.build(made, plain=False)
    with tempfile.TemporaryDirectory() as folder:
        save({"case": traced(built)}, {"case": built}, Path(folder))
        signature = tf.saved_model.load(folder).signatures["case"]
        results = signature(**{f"input_{i}": tf.constant(array) for i, array in enumerate(feeds.values())})
    found = [results[f"output_{i}"].numpy() for i in range(len(expected))]
    wrong = [
        f"output {i}: {each.shape}" for i, (each, wanted) in enumerate(zip(found, expected, strict=True))
        if each.shape != wanted.shape or not np.allclose(each, wanted, rtol=1e-5, atol=1e-5)
    ]  # fmt: skip
    return {"saved": ", ".join(wrong) or "ok", "plain": refusal, "weights": len(built.weights)}


if __name__ == "__main__":
    made = [
        case for cases in (counted(), conditional(), counting(), scanned(), branches(), pictures()) for case in cases
    ]
    print(json.dumps({name: row(*case) for name, case in made}))
