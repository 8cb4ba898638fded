"""Arithmetic on shapes while the model is built: Shape -> Gather -> Concat -> Reshape never becomes a tensor.

Where every element is known the result is a constant; an element that depends on more than one axis of one tensor is
`Unknown`: tensors work it out when the model runs, if an operator needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from keras import ops

from exporters.onnx_to_keras.integers import towards_zero
from exporters.onnx_to_keras.operand import Constant, Scope, Size, Sizes, Unknown


def evaluate(node: ir.Node, operands: list[Any], scope: Scope) -> Any:
    """The result of `node` on shape values, or None where it must be computed by tensors."""
    rule = RULES.get(node.op_type)
    if node.domain or rule is None or not all(_is_shape_like(operand) for operand in operands):
        return None
    arrays = [None if operand is None else operand.array for operand in operands]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = rule(*arrays, **attributes)
    if result is None:
        return None
    result = np.asarray(result)  # NumPy takes a lone element of an object array out of it
    return wrap(scope.array(result), node.outputs[0].name or "", scope)


LARGEST = 4096  # elements; larger integer constants are data, not shapes


def _is_shape_like(operand: Any) -> bool:
    if operand is None or isinstance(operand, Sizes):
        return True
    return isinstance(operand, Constant) and operand.array.dtype.kind in "ibO" and operand.array.size <= LARGEST


def wrap(array: Any, name: str, scope: Scope) -> Sizes | Constant:
    """An object array as sizes, or as a constant where all of it is known."""
    array = np.asarray(array)
    if array.dtype != object:
        return Constant(array, name, scope)
    if any(isinstance(item, Size | Unknown) for item in array.reshape(-1)):
        return Sizes(array, scope)
    flags = array.size and all(isinstance(item, bool) for item in array.reshape(-1))
    return Constant(array.astype(np.bool_ if flags else np.int64), name, scope)


def _gather(data: Any, indices: Any, axis: int = 0) -> Any:
    return np.take(data, indices.astype(np.int64), axis)


def _slice(data: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    if (
        data.ndim != 1
        or len(starts) != 1
        or any(array is not None and array.dtype == object for array in (starts, ends))
    ):
        return None
    return data[int(starts[0]) : int(ends[0]) : 1 if steps is None else int(steps[0])]


def _concat(*parts: Any, axis: int = 0) -> Any:
    same = len({part.dtype for part in parts}) == 1
    return np.concatenate([part if same else part.astype(object) for part in parts], axis)


def _squeeze(data: Any, axes: Any = None) -> Any:
    return np.squeeze(data, None if axes is None else tuple(int(axis) for axis in axes))


def _unsqueeze(data: Any, axes: Any) -> Any:
    return np.expand_dims(data, tuple(int(axis) for axis in axes))


def _cast(data: Any, to: int, **_: Any) -> Any:
    return data if to in (ir.DataType.INT64, ir.DataType.INT32) and data.dtype != np.bool_ else None


def _reshape(data: Any, shape: Any, allowzero: int = 0) -> Any:
    return None if shape.dtype == object else data.reshape([int(size) for size in shape])


def _times(x: Any, y: Any) -> Any:
    if isinstance(x, Size) and isinstance(y, int):
        return x.times(y)
    if isinstance(y, Size) and isinstance(x, int):
        return y.times(x)
    return _computed(ops.multiply, x, y) or x * y


def _plus(x: Any, y: Any) -> Any:
    return x if _is(y, 0) else y if _is(x, 0) else _computed(ops.add, x, y) or x + y


def _minus(x: Any, y: Any) -> Any:
    return x if _is(y, 0) else 0 if x == y else _computed(ops.subtract, x, y) or x - y


def _over(x: Any, y: Any) -> Any:
    if isinstance(x, Size) and isinstance(y, int) and y and x.factor % y == 0:
        return replace(x, factor=x.factor // y)
    if x == y and not _is(x, 0):
        return 1
    return _computed(towards_zero, x, y) or int(x / y)


def _greater(x: Any, y: Any) -> Any:
    return max(x, y) if isinstance(x, int) and isinstance(y, int) else _computed(ops.maximum, x, y)


def _smaller(x: Any, y: Any) -> Any:
    return min(x, y) if isinstance(x, int) and isinstance(y, int) else _computed(ops.minimum, x, y)


def _is(x: Any, number: int) -> bool:
    return isinstance(x, int) and x == number


def _computed(function: Callable[[Any, Any], Any], x: Any, y: Any) -> Unknown | None:
    """The result as a size that tensors give when the model runs; None where both are numbers."""
    if isinstance(x, int) and isinstance(y, int):
        return None
    return Unknown(lambda: function(_operand(x), _operand(y)))


def _operand(x: Any) -> Any:
    return x if isinstance(x, int) else x.as_tensor()


def _elementwise(a: Any, b: Any, function: Callable[[Any, Any], Any]) -> Any:
    """`function` on each pair, as Python numbers or sizes; None where it cannot tell."""
    pairs = np.broadcast(a.astype(object), b.astype(object))
    try:
        results = [function(x, y) for x, y in pairs]
    except TypeError:
        return None
    array = np.empty(len(results), object)
    array[:] = results
    return array.reshape(pairs.shape)


def _same(x: Any, y: Any) -> Any:
    """Whether two sizes are equal; a size is never -1, and only its own symbol tells more."""
    if isinstance(x, Size | Unknown) or isinstance(y, Size | Unknown):
        if x == y:
            return True
        if x in (-1, 0) or y in (-1, 0):
            return False
        raise TypeError
    return bool(x == y)


def _folded(parts: Any, function: Callable[[Any, Any], Any]) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = None if result is None else _elementwise(result, part, function)
    return result


def _equal(a: Any, b: Any) -> Any:
    return _elementwise(a, b, _same)


def _where(condition: Any, a: Any, b: Any) -> Any:
    return None if condition.dtype == object else np.where(condition, a, b)


def _constant_of_shape(shape: Any, value: Any = None) -> Any:
    if shape.dtype == object:
        return None
    fill = np.zeros(1, np.float32) if value is None else value.numpy()
    return np.full([int(size) for size in shape], fill.reshape(-1)[0], fill.dtype)


RULES: dict[str, Callable[..., Any]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Cast": _cast,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda data: data,
    "Reshape": _reshape,
    "Mul": lambda a, b: _elementwise(a, b, _times),
    "Add": lambda a, b: _elementwise(a, b, _plus),
    "Sub": lambda a, b: _elementwise(a, b, _minus),
    "Div": lambda a, b: _elementwise(a, b, _over),
    "Max": lambda *parts: _folded(parts, _greater),
    "Min": lambda *parts: _folded(parts, _smaller),
    "Equal": _equal,
    "Where": _where,
}
