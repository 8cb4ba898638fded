"""A TensorFlow graph with other dtypes: in its nodes, its functions and its constants."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

_COUNTER = itertools.count(1)


def nodes(graph_def: Any) -> Iterator[Any]:
    """All nodes, those of functions too."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def holds(graph_def: Any, dtype: int) -> bool:
    """Whether an operator computes in a dtype (of `types_pb2.DataType`)."""
    return any(
        dtype == item.type or dtype in item.list.type for node in nodes(graph_def) for item in node.attr.values()
    )


def retyped(graph_def: Any, dtypes: Mapping[int, int]) -> Any:
    """A copy of a GraphDef with one dtype in the place of another; constants are converted."""
    from tensorflow.core.framework import graph_pb2

    copy = graph_pb2.GraphDef()
    copy.CopyFrom(graph_def)
    for function in copy.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            argument.type = dtypes.get(argument.type, argument.type)
    for node in nodes(copy):
        _retype(node, dtypes)
    _rename_functions(copy)
    return copy


def _retype(node: Any, dtypes: Mapping[int, int]) -> None:
    # Inferred shapes are for other tools; they are dropped so that nothing contradicts the new types.
    node.attr.pop("_output_shapes", None)
    for attribute in node.attr.values():
        kind = attribute.WhichOneof("value")
        if kind == "type":
            attribute.type = dtypes.get(attribute.type, attribute.type)
        elif kind == "list":
            for index, item in enumerate(attribute.list.type):
                attribute.list.type[index] = dtypes.get(item, item)
        elif kind == "tensor" and attribute.tensor.dtype in dtypes:
            _convert(attribute.tensor, dtypes[attribute.tensor.dtype])


def _convert(tensor: Any, dtype: int) -> None:
    import tensorflow as tf

    values = tf.make_ndarray(tensor).astype(tf.as_dtype(dtype).as_numpy_dtype)
    tensor.CopyFrom(tf.make_tensor_proto(values, shape=values.shape))


def _rename_functions(graph_def: Any) -> None:
    """Give every function of the library a name of its own: TensorFlow keeps one register of them for the process."""
    suffix = f"__retyped_{next(_COUNTER)}"
    names = {function.signature.name for function in graph_def.library.function}
    for function in graph_def.library.function:
        function.signature.name += suffix
    for node in nodes(graph_def):
        if node.op in names:
            node.op += suffix
        for called in _called_by(node):
            if called.name in names:
                called.name += suffix


def _called_by(node: Any) -> Iterator[Any]:
    """The references to functions among a node's attributes."""
    for attribute in node.attr.values():
        kind = attribute.WhichOneof("value")
        if kind == "func":
            yield attribute.func
        elif kind == "list":
            yield from attribute.list.func
