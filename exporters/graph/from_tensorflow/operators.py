"""TensorFlow operators that tf2onnx has no form of, or a wrong one: the table of those that say it right.

A form is a function of a Writer and the names of a node's inputs, and returns the name of its output, or None where
tf2onnx's own is right. A handler changes tf2onnx's graph in place: `graph` is its Graph, `node` the TensorFlow node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow import (
    arithmetic,
    colours,
    convolution,
    lookup,
    matrices,
    places,
    resizing,
    segments,
    spectral,
    systems,
)
from exporters.graph.from_tensorflow.writer import Writer
from exporters.graph.tensorflow_graph import FrozenGraph
from toolkit.errors import UnsupportedOperator

Handler = Callable[[Any, Any], None]
Form = Callable[..., str | None]

_HALVES = {14: 1, 15: 11}  # ONNX's numbers for complex types, and for the floats that their halves are
_FORMS: dict[str, Form] = {
    name: form
    for module in (arithmetic, colours, convolution, matrices, places, resizing, segments, spectral, systems)
    for name, form in module.FORMS.items()
}


def handlers(frozen: FrozenGraph) -> dict[str, tuple[Callable[..., None], list[Any]]]:
    """The table as tf2onnx takes it, for this graph with its lookup tables."""
    forms = _FORMS | lookup.forms(frozen.tables, frozen.graph_def)
    table = _HANDLERS | {name: _written(name, form) for name, form in forms.items()}
    return {name: (_adapted(handler), []) for name, handler in table.items()}


def _written(name: str, form: Form) -> Handler:
    def handler(graph: Any, node: Any) -> None:
        value = form(Writer(graph, node), *node.input)
        if value is None:
            _as_tf2onnx_has_it(name, graph, node)
        else:
            _replace(graph, node, value)

    return handler


def _adapted(handler: Handler) -> Callable[..., None]:
    def adapted(graph: Any, node: Any, _name: str, _args: Any) -> None:
        handler(graph, node)

    return adapted


def _as_tf2onnx_has_it(name: str, graph: Any, node: Any) -> None:
    """Leave a node to tf2onnx's own conversion. Raises UnsupportedOperator where it has none."""
    from tf2onnx import handler as table

    known = table.tf_op.create_mapping(graph.opset, graph.extra_opset).get(name)
    if known is None:
        raise UnsupportedOperator(f"ONNX has no form of {name} (in '{node.name}') with these settings")
    convert, settings = known
    if settings.get("onnx_op"):
        node.type = settings["onnx_op"]
    convert(graph, node, **settings)


def _replace(graph: Any, node: Any, value: str) -> None:
    """Give the node's output's name, shape and dtype to `value`, and remove the node."""
    output = node.output[0]
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    if dtype in _HALVES:  # two halves along a first axis
        shape, dtype = None if shape is None else [2, *shape], _HALVES[dtype]
    graph.remove_node(node.name)
    graph.make_node("Identity", [value], outputs=[output], name=node.name, shapes=[shape], dtypes=[dtype])


def _cropped(graph: Any, node: Any) -> None:
    """tf2onnx rounds nearest pixels down where they lie in the middle of two."""
    _as_tf2onnx_has_it(node.type, graph, node)
    for loop in graph.get_nodes():
        for body in (loop.get_body_graphs() or {}).values():
            for inner in body.get_nodes():
                if inner.type == "Resize" and inner.get_attr_str("mode") == "nearest":
                    inner.set_attr("nearest_mode", "round_prefer_ceil")


def _running_product(graph: Any, node: Any) -> None:
    """tf2onnx takes no axis that is counted from the end."""
    write = Writer(graph, node)
    axis, shape = write.array(node.input[1]), write.shape(node.input[0])
    if axis is not None and shape is not None and axis < 0:
        graph.replace_inputs(node, [node.input[0], write.constant(axis + np.array(len(shape), axis.dtype))])
    _as_tf2onnx_has_it(node.type, graph, node)


_HANDLERS: dict[str, Handler] = convolution.HANDLERS | {"CropAndResize": _cropped, "Cumprod": _running_product}
