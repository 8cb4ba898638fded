"""What TensorFlow writes to places, counts, and looks up in order, as forms in the way of `arithmetic`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from exporters.graph.from_tensorflow.writer import FLOAT, INT32, INT64, Writer
from toolkit.errors import UnsupportedOperator

_ADDING = 16  # the opset since which ScatterND may add


def scatter(write: Writer, indices: str, updates: str, shape: str) -> str:
    """Updates of one place are added up; before opset 16 no two may be of one."""
    reduction = {"reduction": "add"}
    if write.graph.opset < _ADDING:
        known = write.array(indices)
        if known is None or len(np.unique(known.reshape(-1, known.shape[-1]), axis=0)) * known.shape[-1] < known.size:
            raise UnsupportedOperator(
                f"{write.node.type} (in '{write.node.name}') adds updates of one place, which opset "
                f"{write.graph.opset} cannot",
                hint=f"Ask for --opset {_ADDING} or more.",
            )
        reduction = {}
    wide, places = (write("Cast", value, to=INT64) for value in (shape, indices))
    nothing = write("Expand", write.like(updates, 0), wide)
    return write("ScatterND", nothing, places, updates, **reduction)


def _bucketize(write: Writer, x: str) -> str:
    """Discretization in Keras: the number of boundaries that a value is not below; what is no number is below none."""
    dtype = write.dtype(x)
    boundaries = np.array(list(write.node.get_attr("boundaries").floats), np.float32)
    last = write.constant(np.array([-1], np.int64))
    column = write("Unsqueeze", x, last)
    if dtype.kind != "f":
        column = write("Cast", column, to=FLOAT)
    limits = write.constant(boundaries.astype(dtype if dtype.kind == "f" else np.float32))
    reached = write("Cast", write("Not", write("Less", column, limits)), to=INT32)
    return write("ReduceSum", reached, last, keepdims=0)


def _bound(write: Writer, ordered: str, values: str, *, right: bool) -> str:
    """Of rows in order and as many rows of values: how many elements come before each value."""
    first, last = (write.constant(np.array([axis], np.int64)) for axis in (-2, -1))
    row, column = write("Unsqueeze", ordered, first), write("Unsqueeze", values, last)
    behind = write("Less" if right else "LessOrEqual", column, row)
    counted = write("Cast", write("Not", behind), to=write.graph.get_dtype(write.node.output[0]))
    return write("ReduceSum", counted, last, keepdims=0)


def _dense_bincount(write: Writer, x: str, size: str, weights: str) -> str:
    """How often each number below `size` occurs along the last axis, or the sum of the weights of its places.

    tf2onnx knows vectors alone, and no limit to the numbers.
    """
    kind = write.graph.get_dtype(write.node.output[0])
    first, step = (write.constant(np.array(value, np.int64)) for value in (0, 1))
    last = write.constant(np.array([-1], np.int64))
    numbers = write("Range", first, write("Cast", size, to=INT64), step)
    is_number = write("Equal", write("Unsqueeze", write("Cast", x, to=INT64), last), numbers)
    each = write("Cast", is_number, to=kind)
    if write.shape(weights) != [0]:
        each = write("Where", is_number, write("Unsqueeze", weights, last), write.like(weights, 0))
    found = write("ReduceSum", each, write.constant(np.array([-2], np.int64)), keepdims=0)
    if write.flag("binary_output"):
        return write("Cast", write("Greater", found, write.like(found, 0)), to=kind)
    return found


def _broadcast_shapes(write: Writer, one: str, other: str) -> str:
    """The shape of what two shapes broadcast to: that of a tensor of the first one, expanded to the second."""
    sizes = [write("Cast", shape, to=INT64) for shape in (one, other)]
    shape = write("Shape", write("Expand", write("ConstantOfShape", sizes[0]), sizes[1]))
    return write("Cast", shape, to=INT32) if write.dtype(one) == np.int32 else shape


FORMS: dict[str, Callable[..., str | None]] = {
    "BroadcastArgs": _broadcast_shapes,
    "Bucketize": _bucketize,
    "DenseBincount": _dense_bincount,
    "LowerBound": partial(_bound, right=False),
    "ScatterNd": scatter,
    "UpperBound": partial(_bound, right=True),
}
