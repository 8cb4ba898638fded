"""A frozen TensorFlow graph with every float made float64: in its nodes, its functions and its constants.

Float16 and bfloat16 inside of it too: a model of mixed precision has its own rounding there, which the truth has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exporters.graph import tensorflow_types
from exporters.graph.tensorflow_graph import FrozenGraph
from exporters.graph.tensorflow_weights import tensor_of
from toolkit.causes import said
from toolkit.errors import Inconclusive
from toolkit.signature import Signature
from toolkit.verification import tensorflow_kernels, tensorflow_streamed

Array = np.ndarray[Any, Any]

LARGE = 1_000_000_000  # bytes of weights; below that, a copy of them in float64 is cheaper than casts at every call


def callable_of(frozen: FrozenGraph) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """The graph as a function of float64 arrays by name. Raises Inconclusive where TensorFlow has no such kernel."""
    import tensorflow as tf

    graph_def = rewritten(frozen.graph_def)
    is_large = sum(array.nbytes for array in frozen.weights.values()) >= LARGE
    if is_large:
        tensorflow_streamed.widen_late(graph_def, frozen.weights)
    ending = tensorflow_streamed.FLOAT32 if is_large else ""
    fetched = [tensor for _, tensor in frozen.outputs]
    fed = [*(tensor for _, tensor in frozen.inputs), *(f"{name}{ending}:0" for name in frozen.weights)]
    try:
        function = function_of(tf, graph_def, fed, fetched, frozen.handles)
    except (ValueError, TypeError) as error:
        raise Inconclusive(f"TensorFlow cannot build the graph in float64 ({said(error)})") from error

    arrays = frozen.weights.values()
    weights = [tensor_of(each) if is_large else tf.constant(each, tf.float64) for each in arrays]

    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            results = function(*[tf.convert_to_tensor(inputs[name]) for name, _ in frozen.inputs], *weights)
        except tf.errors.OpError as error:
            raise Inconclusive(f"TensorFlow cannot run the graph in float64 ({said(error)})") from error
        return {name: result.numpy() for (name, _), result in zip(frozen.outputs, results, strict=True)}

    return call


def function_of(tf: Any, graph_def: Any, fed: Sequence[str], fetched: Sequence[str], handles: Mapping[str, Any]) -> Any:
    """A graph as a function of tensors, given by position in the order of `fed`, that returns a list.

    `handles` are its lookup tables', by tensor name.
    """

    def imported() -> None:
        graph = tf.compat.v1.get_default_graph()
        captured = {name: graph.capture(handle) for name, handle in handles.items()}
        tf.import_graph_def(graph_def, name="", input_map=captured)

    wrapped = tf.compat.v1.wrap_function(imported, [])
    element = wrapped.graph.get_tensor_by_name
    given = [element(name) for name in fed]
    # Without a signature, TensorFlow writes all arguments, weights too, into an error's text at every call.
    specs = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in given)
    return wrapped.prune(given, [element(name) for name in fetched], input_signature=(specs, {}))


def rewritten(graph_def: Any) -> Any:
    """A copy of a GraphDef in which every float is a DT_DOUBLE, and every complex number a pair of them."""
    from tensorflow.core.framework import types_pb2

    floats = (types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
    wide = dict.fromkeys(floats, types_pb2.DT_DOUBLE) | {types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128}
    copy = tensorflow_types.retyped(graph_def, wide)
    _spell_out(copy)
    return copy


_NARROW = {"fp16": "DT_HALF", "bf16": "DT_BFLOAT16"}


def own_precision(frozen: FrozenGraph, signature: Signature) -> str:
    """In how many bits a graph between float32 inputs and outputs computes: "fp32" where nothing in it is narrower."""
    from tensorflow.core.framework import types_pb2

    outer = {spec.dtype for spec in (*signature.inputs, *signature.outputs) if spec.is_float}
    for name, kind in _NARROW.items():
        if outer <= {"float32"} and tensorflow_types.holds(frozen.graph_def, getattr(types_pb2, kind)):
            return name
    return "fp32"


def _spell_out(graph_def: Any) -> None:
    """Put what an operator without a float64 kernel means in its place."""
    for node in [node for node in graph_def.node if node.op in tensorflow_kernels.FORMS]:
        part = tensorflow_kernels.small_graph(node)
        inputs = {str(index): name for index, name in enumerate(node.input) if not name.startswith("^")}
        graph_def.node.remove(node)
        _splice(graph_def, part, node.name, inputs)


def _splice(graph_def: Any, part: Any, name: str, inputs: Mapping[str, str]) -> None:
    """Put a small graph in the place of the node `name`; its placeholders p0, p1, ... are the node's inputs."""
    for node in part.node:
        if node.op == "Placeholder":
            continue
        added = graph_def.node.add()
        added.CopyFrom(node)
        added.name = name if node.name == "result" else f"{name}/float64/{node.name}"
        del added.input[:]
        for given in node.input:
            is_placeholder = given.startswith("p") and given[1:] in inputs
            added.input.append(inputs[given[1:]] if is_placeholder else f"{name}/float64/{given}")
