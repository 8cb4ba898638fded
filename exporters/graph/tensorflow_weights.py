"""Large weights set aside while TensorFlow's graph is frozen and converted: each step would copy them several times.

TensorFlow writes a variable's value into the graph as a protobuf; `set_aside` has it write a mark instead, and
`taken_out` turns marked constants into placeholders and says which array belongs to each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_LARGE = 1 << 14  # elements; what is smaller costs nothing, and converters read it (normalization, sizes)
_MARK = -(2.0**100)  # times (1 + index / 2**20): exact in float32, and no weight


@contextlib.contextmanager
def set_aside() -> Iterator[list[Array]]:
    """While this lasts, freezing puts marks into the graph for large float32 matrices; the list receives them."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2
    from tensorflow.python.framework import convert_to_constants, tensor_util

    arrays: list[Array] = []

    def made(values: Any, dtype: Any = None, shape: Any = None) -> Any:
        if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim < 2 or values.size < _LARGE:
            return tensor_util.make_tensor_proto(values, dtype, shape)
        mark = _MARK * (1 + len(arrays) / 2**20)
        arrays.append(values)
        shape_proto = tf.TensorShape(values.shape).as_proto()
        return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape_proto, float_val=[mark])

    original = convert_to_constants.tensor_util
    reader = convert_to_constants._FunctionConverterDataInEager  # noqa: SLF001 - TensorFlow has no other place for it
    copied = reader._eval  # noqa: SLF001 - see above
    convert_to_constants.tensor_util = SimpleNamespace(make_tensor_proto=made)
    reader._eval = lambda self, tensor: _in_place(tensor, lambda: copied(self, tensor))  # noqa: SLF001 - see above
    try:
        yield arrays
    finally:
        convert_to_constants.tensor_util = original
        reader._eval = copied  # noqa: SLF001 - see above


def _in_place(value: Any, copied: Callable[[], Array]) -> Array:
    """A large variable's own memory, to be read; a copy of anything else."""
    if not hasattr(value, "read_value") or value.dtype.name != "float32" or value.shape.num_elements() < _LARGE:
        return copied()
    tensor = value.read_value()
    array = np.asarray(memoryview(tensor)).view(_InPlace)
    array.tensor = tensor
    return array


class _InPlace(np.ndarray[Any, Any]):
    """An array that lies in the memory of `tensor`."""

    tensor: Any = None


def tensor_of(array: Array) -> Any:
    """The array as TensorFlow's: the very tensor in whose memory it lies, or else a copy."""
    import tensorflow as tf

    held = array.tensor if isinstance(array, _InPlace) else None
    return tf.constant(array) if held is None else held


def taken_out(graph_def: Any, arrays: list[Array]) -> dict[str, Array]:
    """Turn marked constants into placeholders, in place; returns each placeholder's value by node name."""
    marks = {_MARK * (1 + index / 2**20): array for index, array in enumerate(arrays)}
    found = {}
    for node in graph_def.node:
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        if len(tensor.float_val) == 1 and tensor.float_val[0] in marks:
            found[node.name] = marks[tensor.float_val[0]]
            node.attr["shape"].shape.CopyFrom(tensor.tensor_shape)
            node.op = "Placeholder"
            del node.attr["value"]
    return found
