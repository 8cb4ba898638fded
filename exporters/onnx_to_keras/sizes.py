"""Arithmetic on shapes while the model is built: Shape -> Gather -> Concat -> Reshape never becomes a tensor.

Where every element is known the result is a constant; an element that depends on more than one axis of one tensor is
`Unknown`, which Reshape can still take once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.onnx_to_keras.operand import Constant, Scope, Size, Sizes


def evaluate(node: ir.Node, operands: list[Any], scope: Scope) -> Any:
    """The result of `node` on shape values, or None where it must be computed by tensors."""
    rule = RULES.get(node.op_type)
    if node.domain or rule is None or not any(isinstance(operand, Sizes) for operand in operands):
        return None
    if any(not isinstance(operand, Constant | Sizes | None) for operand in operands):
        return None
    arrays = [None if operand is None else operand.array for operand in operands]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = rule(*arrays, **attributes)
    return None if result is None else wrap(result, node.outputs[0].name or "", scope)


def wrap(array: Any, name: str, scope: Scope) -> Sizes | Constant:
    """An object array as sizes, or as a constant where all of it is known."""
    array = np.asarray(array, object)
    if any(isinstance(item, Size) for item in array.reshape(-1)):
        return Sizes(array, scope)
    return Constant(array.astype(np.int64), name, scope)


def _gather(data: Any, indices: Any, axis: int = 0) -> Any:
    return np.take(data, indices.astype(np.int64), axis)


def _slice(data: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    if data.ndim != 1 or any(array is not None and array.dtype == object for array in (starts, ends)):
        return None
    return data[int(starts[0]) : int(ends[0]) : 1 if steps is None else int(steps[0])]


def _concat(*parts: Any, axis: int = 0) -> Any:
    return np.concatenate([part.astype(object) for part in parts], axis)


def _squeeze(data: Any, axes: Any = None) -> Any:
    return np.squeeze(data, None if axes is None else tuple(int(axis) for axis in axes))


def _unsqueeze(data: Any, axes: Any) -> Any:
    return np.expand_dims(data, tuple(int(axis) for axis in axes))


def _cast(data: Any, to: int, **_: Any) -> Any:
    return data if to in (ir.DataType.INT64, ir.DataType.INT32) else None


def _reshape(data: Any, shape: Any, allowzero: int = 0) -> Any:
    return None if shape.dtype == object else data.reshape([int(size) for size in shape])


def _mul(a: Any, b: Any) -> Any:
    """One factor is 1 everywhere, or both are numbers."""
    return _elementwise(a, b, lambda x, y: y if x == 1 else x if y == 1 else x * y)


def _elementwise(a: Any, b: Any, function: Callable[[Any, Any], Any]) -> Any:
    pairs = np.broadcast(a, b)
    result = np.empty(pairs.shape, object)
    for index, (x, y) in enumerate(pairs):
        try:
            result.reshape(-1)[index] = function(x, y)
        except TypeError:
            return None
    return result


def _same(x: Any, y: Any) -> Any:
    """Whether two sizes are equal; a size is never -1, and only its own symbol tells more."""
    if isinstance(x, Size) or isinstance(y, Size):
        if x == y:
            return True
        if x in (-1, 0) or y in (-1, 0):
            return False
        raise TypeError
    return bool(x == y)


def _equal(a: Any, b: Any) -> Any:
    return _elementwise(a, b, _same)


def _where(condition: Any, a: Any, b: Any) -> Any:
    return None if any(isinstance(item, Size) for item in condition.reshape(-1)) else np.where(condition, a, b)


RULES: dict[str, Callable[..., Any]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Cast": _cast,
    "Identity": lambda data: data,
    "Reshape": _reshape,
    "Mul": _mul,
    "Add": lambda a, b: _elementwise(a, b, lambda x, y: x if y == 0 else y if x == 0 else x + y),
    "Sub": lambda a, b: _elementwise(a, b, lambda x, y: x if y == 0 else 0 if x == y else x - y),
    "Div": lambda a, b: _elementwise(a, b, lambda x, y: x if y == 1 else 1 if x == y else x // y),
    "Equal": _equal,
    "Where": _where,
}
