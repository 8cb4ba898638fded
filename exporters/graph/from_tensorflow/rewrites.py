"""Patterns of TensorFlow operators that have a better form: one function each, run before operators are converted.

A function looks at every node of tf2onnx's graph and changes the graph in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

Array = np.ndarray[Any, Any]
Rewrite = Callable[[Any, Any], None]


def rewriters() -> list[Callable[[Any, Any], Any]]:
    """The rewrites as tf2onnx takes them."""
    return [_adapted(rewrite) for rewrite in (_known_rank, _batch_normalization, _sign_bit)]


def _adapted(rewrite: Rewrite) -> Callable[[Any, Any], Any]:
    def adapted(graph: Any, nodes: Any) -> Any:
        for node in list(nodes):
            rewrite(graph, node)
        return graph.get_nodes()

    return adapted


def _sign_bit(graph: Any, node: Any) -> None:
    """Keras asks for the highest bit of a float, as its argmax does: it is set below 0, and of -0, whose inverse is
    below 0. ONNX has no other view of a tensor's bits.
    """
    if node.type != "Less" or _producer(graph, node.input[0], "BitwiseAnd") is None:
        return
    masked = _producer(graph, node.input[0], "BitwiseAnd")
    bits = next((_producer(graph, name, "Bitcast") for name in masked.input if _producer(graph, name, "Bitcast")), None)
    mask = next((_value(graph, name) for name in masked.input if graph.get_node_by_output(name).is_const()), None)
    if bits is None or mask is None or graph.get_dtype(bits.input[0]) != TensorProto.FLOAT:
        return
    if mask.size != 1 or int(mask.item()) != np.iinfo(np.int32).min:
        return
    x, output = bits.input[0], node.output[0]
    zero = graph.make_const(f"{node.name}/zero", np.zeros((), np.float32)).output[0]
    graph.remove_node(node.name)

    def make(kind: str, inputs: list[str], dtype: int, **more: Any) -> str:
        made = graph.make_node(kind, inputs, shapes=[graph.get_shape(x)], dtypes=[dtype], skip_conversion=True, **more)
        return str(made.output[0])

    inverse = make("Reciprocal", [x], TensorProto.FLOAT)
    below, is_zero, from_below = (
        make(kind, [value, zero], TensorProto.BOOL) for kind, value in (("Less", x), ("Equal", x), ("Less", inverse))
    )
    negative_zero = make("And", [is_zero, from_below], TensorProto.BOOL)
    make("Or", [below, negative_zero], TensorProto.BOOL, outputs=[output], name=node.name)


def _producer(graph: Any, name: str, kind: str) -> Any:
    """The node of that type that a value comes from, or None."""
    node = graph.get_node_by_output(name)
    return node if node is not None and node.type == kind else None


def _known_rank(graph: Any, node: Any) -> None:
    """An image of unknown rank, as Keras leaves in a loop over time: a convolution says what its rank is."""
    if node.type not in ("Conv2D", "DepthwiseConv2dNative") or graph.get_shape(node.input[0]) is not None:
        return
    kernel = graph.get_shape(node.input[1])
    if kernel is not None and node.get_attr("data_format").s == b"NHWC":
        graph.set_shape(node.input[0], [-1, -1, -1, kernel[2]])
        if graph.get_shape(node.output[0]) is None:
            channels = kernel[3] if node.type == "Conv2D" else kernel[2] * kernel[3]
            graph.set_shape(node.output[0], [-1, -1, -1, channels])


def _batch_normalization(graph: Any, node: Any) -> None:
    """Keras writes a normalization as x * s + (beta - mean * s), where s = rsqrt(variance + epsilon) * gamma.

    Left as arithmetic it costs six operators and, in images, a pair of transpositions around them.
    """
    found = next(_normalizations(graph, node), None)
    if found is None:
        return
    x, gamma, beta, mean, variance, epsilon = found
    shape, dtype = graph.get_shape(x), graph.get_dtype(x)
    if shape is None or len(shape) not in (2, 4, 5):
        return
    # as many numbers as there are channels: a shorter or longer x would be broadcast
    if {_value(graph, name).size for name in (gamma or beta, beta, mean, variance)} != {shape[-1]}:
        return
    if gamma is None:
        gamma = graph.make_const(f"{node.name}/gamma", np.ones_like(_value(graph, beta))).output[0]
    output = node.output[0]
    attributes: dict[str, Any] = {"epsilon": float(_value(graph, epsilon))}
    graph.remove_node(node.name)
    if len(shape) == 2:  # channels are the last axis and the second at once
        kind = "BatchNormalization"
    else:
        kind = "FusedBatchNormV3"
        attributes |= {"is_training": 0, "data_format": "NHWC" if len(shape) == 4 else "NDHWC"}
    graph.make_node(
        kind, [x, gamma, beta, mean, variance], attr=attributes, outputs=[output], name=node.name,
        shapes=[shape], dtypes=[dtype], skip_conversion=kind == "BatchNormalization",
    )  # fmt: skip


def _normalizations(graph: Any, node: Any) -> Iterator[tuple[str, str | None, str, str, str, str]]:
    """Names of x, gamma (if there is one), beta, mean, variance and epsilon where `node` ends a normalization."""
    for scaled, shift in _operands(graph, node, "AddV2", "Add"):
        for beta, shrunk in _operands(graph, _source(graph, shift), "Sub", swap=False):
            for x, factor in _operands(graph, _source(graph, scaled), "Mul"):
                for mean, same in _operands(graph, _source(graph, shrunk), "Mul"):
                    for gamma, variance, epsilon in _factors(graph, factor):
                        vectors = all(_is_vector(graph, name) for name in (gamma or beta, beta, mean, variance))
                        if same == factor and vectors and _is_scalar(graph, epsilon):
                            yield x, gamma, beta, mean, variance, epsilon


def _factors(graph: Any, name: str) -> Iterator[tuple[str | None, str, str]]:
    """Names of gamma, variance and epsilon where `name` is rsqrt(variance + epsilon) * gamma, or without gamma."""
    products: list[tuple[str | None, str]] = [(None, name), *_operands(graph, _source(graph, name), "Mul")]
    for gamma, inverse in products:
        spread = _argument(graph, _source(graph, inverse), "Rsqrt")
        for variance, epsilon in _operands(graph, _source(graph, spread), "AddV2", "Add"):
            yield gamma, variance, epsilon


def _operands(graph: Any, node: Any, *types: str, swap: bool = True) -> list[tuple[str, str]]:
    """The two inputs of a node of one of these types, in both orders where it may be swapped; else nothing."""
    if node is None or node.type not in types or len(node.input) != 2:
        return []
    first, second = (_unwrapped(graph, name) for name in node.input)
    return [(first, second), (second, first)] if swap else [(first, second)]


def _argument(graph: Any, node: Any, kind: str) -> str | None:
    return _unwrapped(graph, node.input[0]) if node is not None and node.type == kind else None


def _source(graph: Any, name: str | None) -> Any:
    return graph.get_node_by_output(name) if name else None


def _unwrapped(graph: Any, name: str) -> str:
    """The name of what a chain of nodes passes on: freezing leaves an Identity where a variable was read.

    Keras gives vectors the rank of the image where its axis is not -1: (channels) to (1, 1, 1, channels).
    """
    node = graph.get_node_by_output(name)
    while node is not None and (node.type == "Identity" or _is_lifted_vector(graph, node)):
        name = node.input[0]
        node = graph.get_node_by_output(name)
    return name


def _is_lifted_vector(graph: Any, node: Any) -> bool:
    if node.type != "Reshape" or not node.inputs[1].is_const():
        return False
    *ones, last = _value(graph, node.input[1]).tolist()
    return graph.get_shape(node.input[0]) == [last] and set(ones) <= {1}


def _value(graph: Any, name: str) -> Array:
    return np.asarray(graph.get_node_by_output(name).get_tensor_value(as_list=False))


def _is_vector(graph: Any, name: str) -> bool:
    node = graph.get_node_by_output(name)
    return node is not None and node.is_const() and _value(graph, name).ndim == 1


def _is_scalar(graph: Any, name: str) -> bool:
    node = graph.get_node_by_output(name)
    return node is not None and node.is_const() and _value(graph, name).size == 1
