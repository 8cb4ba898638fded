"""A frozen TensorFlow graph run in float32 several times, every weight moved by up to 1 ULP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.tensorflow_graph import FrozenGraph
from toolkit.errors import Inconclusive
from toolkit.verification.tensorflow_float64 import LARGE, function_of

Array = np.ndarray[Any, Any]


def callables_of(frozen: FrozenGraph, count: int) -> list[Callable[[Mapping[str, Array]], dict[str, Array]]]:
    """The graph as `count` functions, each with other weights. Raises Inconclusive where it has none in float32."""
    import tensorflow as tf

    graph_def, weights = _opened(tf, frozen)
    if not weights:
        raise Inconclusive("the model has no weights that could be moved")
    fed = [*(tensor for _, tensor in frozen.inputs), *(f"{name}:0" for name in weights)]
    function = function_of(tf, graph_def, fed, [name for _, name in frozen.outputs], frozen.handles)

    def moved(seed: int) -> list[Any]:
        return [tf.constant(_moved(array, seed)) for array in weights.values()]

    # Large weights are moved when their turn comes: all copies together would be many times the model.
    is_large = sum(array.nbytes for array in weights.values()) >= LARGE
    kept = {} if is_large else {seed: moved(seed) for seed in range(count)}

    def call(seed: int, inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = [tf.convert_to_tensor(inputs[name]) for name, _ in frozen.inputs]
        results = function(*given, *(kept.get(seed) or moved(seed)))
        return {name: result.numpy() for (name, _), result in zip(frozen.outputs, results, strict=True)}

    return [partial(call, seed) for seed in range(count)]


def _opened(tf: Any, frozen: FrozenGraph) -> tuple[Any, dict[str, Array]]:
    """A copy of the graph with placeholders for its float32 weights, and their values; a scalar is no weight."""
    from tensorflow.core.framework import graph_pb2

    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(frozen.graph_def)
    weights = dict(frozen.weights)
    for node in graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            array = tf.make_ndarray(node.attr["value"].tensor)
            if array.size > 1:
                weights[node.name] = array
                node.op = "Placeholder"
                node.attr["shape"].shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
                del node.attr["value"]
    return graph_def, weights


def _moved(array: Array, seed: int) -> Array:
    step = np.random.default_rng(seed).integers(-1, 2, array.shape)
    moved: Array = np.where(step, np.nextafter(array, np.where(step > 0, np.inf, -np.inf).astype(array.dtype)), array)
    return moved
