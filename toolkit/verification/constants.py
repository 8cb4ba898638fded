"""What the rounding of a file's constants to float32 does to its outputs, measured in float64.

A converter works numbers out that the source has in float64 or computes as it runs: the places of a grid, the weights
of a resize, the root of a size. In a file they are rounded to float32, and a model may amplify that: a rotation of
pixels by so much that all fall between others. Here every constant that is no weight of the source's is moved by one
unit in its last place; weights are the source's own, bit for bit, and stay.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import Inconclusive
from toolkit.pipeline import Pipeline
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner
from toolkit.signature import Signature
from toolkit.verification import float64
from toolkit.verification.weights import fingerprints

Array = np.ndarray[Any, Any]
Move = Callable[[Array], Array]

_EXACT_BITS = 0xFFF  # a number whose last 12 bits are 0, such as 0.5 or 1000, was hardly rounded


def of_runner(runner: Runner, known: Iterable[tuple[int, int]]) -> float64.Float64Model:
    """An opened file in float64 with its constants moved; `known` are (size, hash) of the source's weights."""
    move = _mover(known)
    if isinstance(runner, TensorFlowRunner):
        return _of_tensorflow(runner, move)
    if isinstance(runner, TorchRunner):
        return _of_torch(runner, move)
    raise Inconclusive(f"the constants of a {type(runner).__name__} cannot be moved")


def of_onnx(
    path: Path, signature: Signature, pipeline: Pipeline | None, known: Iterable[tuple[int, int]]
) -> float64.Float64Model:
    """An ONNX file likewise, rebuilt in PyTorch."""
    import onnx_ir as ir

    from exporters.graph import clean, read

    move = _mover(known)
    graph = clean.clean(read.read(path))
    for value in graph.graph.initializers.values():
        if value.const_value is not None and value.dtype == ir.DataType.FLOAT:
            value.const_value = ir.tensor(move(value.const_value.numpy()), name=value.name)
    return float64.of_onnx(graph, signature, pipeline, few_bits=False)


def _of_tensorflow(runner: TensorFlowRunner, move: Move) -> float64.Float64Model:
    import tensorflow as tf

    from exporters.graph import tensorflow_graph
    from toolkit.verification import tensorflow_float64

    frozen = tensorflow_graph.freeze(runner.function, runner.signature)
    for node in frozen.graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            moved = move(tf.make_ndarray(node.attr["value"].tensor))
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(moved, shape=moved.shape))
    weights = {name: move(array) for name, array in frozen.weights.items()}
    call = tensorflow_float64.callable_of(replace(frozen, weights=weights))
    return float64.Float64Model(runner.signature, "constants moved", call)


def _of_torch(runner: TorchRunner, move: Move) -> float64.Float64Model:
    import torch

    module = copy.deepcopy(runner.module)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.dtype == torch.float32:
                tensor.copy_(torch.from_numpy(move(tensor.numpy())))
    return float64.Float64Model(
        runner.signature, "constants moved", partial(float64.call_torch, runner, module.double())
    )


def _mover(known: Iterable[tuple[int, int]]) -> Move:
    """Moves what is no weight: every number that may have been rounded, up or down by chance, always alike."""
    weights = set(known)
    generator = np.random.default_rng(0)

    def move(array: Array) -> Array:
        (found,) = fingerprints([("", array)])
        if (found["size"], found["hash"]) in weights:
            return array
        towards = np.where(generator.integers(0, 2, array.shape), np.inf, -np.inf).astype(np.float32)
        rounded = (np.ascontiguousarray(array).view(np.uint32) & _EXACT_BITS) != 0
        return np.asarray(np.where(rounded & np.isfinite(array), np.nextafter(array, towards), array), np.float32)

    return move
