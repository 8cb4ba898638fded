"""ONNX files of several ages, with functions, weights outside, and quantised; `save` writes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)


def weight(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32), name)


def model(nodes: Sequence[Any], weights: Sequence[Any], opset: int, ir: int, **settings: Any) -> Any:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    inputs = [x]
    if ir < 4:  # then weights are inputs too
        inputs += [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in weights]
    graph = helper.make_graph(nodes, "main", inputs, [y], list(weights))
    opsets = [helper.make_opsetid("", opset), *settings.pop("opsets", ())]
    return helper.make_model(graph, ir_version=ir, opset_imports=opsets, **settings)


def dense(opset: int, ir: int) -> Any:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Softmax", ["h"], ["y"], axis=1),
    ]
    return model(nodes, [weight("w", 4, 3), weight("b", 3)], opset, ir)


def functions() -> Any:
    swish = helper.make_function(
        "own", "Swish", ["a"], ["c"],
        [helper.make_node("Sigmoid", ["a"], ["b"]), helper.make_node("Mul", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Swish", ["h"], ["y"], domain="own")]
    opsets = [helper.make_opsetid("own", 1)]
    return model(nodes, [weight("w", 4, 3)], 18, 8, opsets=opsets, functions=[swish])


def quantised() -> Any:
    """QuantizeLinear and DequantizeLinear around a matrix product, weights in int8."""
    scale = numpy_helper.from_array(np.float32(0.05), "scale")
    zero = numpy_helper.from_array(np.int8(0), "zero")
    whole = numpy_helper.from_array(RNG.integers(-100, 100, (4, 3)).astype(np.int8), "whole")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    return model(nodes, [scale, zero, whole], 13, 8)


def save(folder: Path) -> None:
    onnx.save(dense(7, 3), folder / "opset7_ir3.onnx")
    onnx.save(dense(13, 7), folder / "opset13.onnx")
    onnx.save(dense(23, 11), folder / "opset23_ir11.onnx")
    onnx.save(functions(), folder / "functions.onnx")
    onnx.save(quantised(), folder / "qdq.onnx")
    settings = {"save_as_external_data": True, "location": "external.data", "size_threshold": 0}
    onnx.save(dense(18, 9), folder / "external.onnx", **settings)


if __name__ == "__main__":
    save(Path(sys.argv[1]))
