"""Sizes that are fixed although others are free, carried through a graph in one walk.

Exporters write sizes as arithmetic on `Shape`: how much to pad an image so that windows fit, how many windows there
are. Where the image's size is fixed and the batch is free, most of that arithmetic has one result only. It becomes
constants here, and what is computed with it gets a known shape, which leads on to the next operator's arithmetic.

- `numbers`: what is known of the elements of small tensors, each a number, a free size, or nothing.
- `shapes`: the shapes that follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.graph import fold
from exporters.graph.sizes import numbers, shapes
from exporters.graph.sizes.shapes import fill

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["carry", "fill"]

_FLOATS = 16  # elements of a result that is no integer: a few factors, never a tensor of values


def carry(model: ir.Model) -> bool:
    """Replace what has one value only by constants and fill in shapes, in place; whether any node was replaced."""
    opset = model.opset_imports.get("", 1)
    graph = model.graph
    known = numbers.Numbers()
    inference = shapes.Inference(model, known)
    replaced = False
    for node in list(graph):
        if node.domain not in {"", "ai.onnx"}:
            continue
        constant = fold.computed(node, opset)
        if constant is None:
            inference.refine(node)
            constant = _single_value(node, known.of(node.outputs[0]))
        if constant is not None:
            replaced |= fold.replace(graph, node, constant)
    return replaced


def _single_value(node: ir.Node, elements: Any) -> Any:
    """The elements as an array, if all of them are numbers."""
    if elements is None or not all(numbers.is_number(element) for element in elements.flat):
        return None
    dtype = node.outputs[0].dtype
    if dtype is None or (dtype.is_floating_point() and elements.size > _FLOATS):
        return None
    wanted = np.dtype(dtype.numpy())
    if wanted.kind == "i" and any(not _holds(wanted, element) for element in elements.flat):
        return None
    return elements.astype(wanted)


def _holds(dtype: Any, number: Any) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= number <= limits.max)
