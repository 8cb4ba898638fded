"""What is asked of a value: who computes it, whether it is a known number, how many dimensions it has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Array = np.ndarray[Any, Any]

CONSTANT = "constant"  # key in `Value.meta`: this initializer was written in the graph, it was not trained
COUNTING = frozenset({ir.DataType.INT64, ir.DataType.INT32})  # what sizes, axes and indices are made of

_DEEPEST = 12  # a scale written as 1 / sqrt(sqrt(size)) is a chain of six


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes `value`, if it is one of ONNX's own operators `op_types`."""
    node = value.producer() if value is not None else None
    if node is None or node.domain not in {"", "ai.onnx"} or (op_types and node.op_type not in op_types):
        return None
    return node


def bare(value: ir.Value) -> ir.Value:
    """`value` without operators that do nothing: Identity, and casts to the dtype that is there already."""
    while (node := producer(value, "Identity", "Cast", "CastLike")) is not None:
        inner = node.inputs[0]
        if inner is None or (node.op_type != "Identity" and (inner.dtype is None or inner.dtype != value.dtype)):
            break
        value = inner
    return value


def constant(value: ir.Value | None) -> Array | None:
    """The elements of an initializer or of a `Constant` node; None for what a caller may change."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None, depth: int = _DEEPEST) -> float | None:
    """The number that `value` is, if it is a single one that only depends on constants; computed in float64."""
    if value is None or depth == 0:
        return None
    if (tensor := ir.convenience.get_const_tensor(value)) is not None and tensor.size != 1:
        return None  # a weight; not even looked at, since it may lie in a file of its own
    known = constant(value)
    if known is not None:
        return float(known.reshape(-1)[0]) if known.size == 1 and known.dtype.kind in "fiu" else None
    size = dimension(value)
    if size is not None:
        return float(size)
    node = producer(value, *_ARITHMETIC)
    if node is None or (node.op_type in {"Cast", "CastLike"} and not is_float(value)):
        return None
    numbers = [scalar(given, depth - 1) for given in (node.inputs[:1] if node.op_type in _OF_ONE else node.inputs)]
    if any(number is None for number in numbers):
        return None
    try:
        return _ARITHMETIC[node.op_type](*numbers)
    except (ArithmeticError, ValueError, TypeError):
        return None


def dimension(value: ir.Value) -> int | None:
    """The size that `value` picks from a `Shape`, where that size is the same for every input."""
    node = producer(value, "Gather", "Slice")
    shape = producer(node.inputs[0], "Shape") if node is not None else None
    if node is None or shape is None or shape.attributes or shape.inputs[0] is None or shape.inputs[0].shape is None:
        return None
    sizes: list[Any] = list(shape.inputs[0].shape)
    if node.op_type == "Gather":
        index = scalar(node.inputs[1])
        picked = sizes[int(index)] if index is not None and -len(sizes) <= index < len(sizes) else None
        return picked if isinstance(picked, int) else None
    bounds = [ints(node, name, position) for position, name in ((1, "starts"), (2, "ends"))]
    steps = [ints(node, name, position) for position, name in ((3, "axes"), (4, "steps"))]
    if steps[0] not in ([], [0]) or steps[1] not in ([], [1]) or any(not bound for bound in bounds):
        return None
    (start, *_), (end, *_) = (bound or [0] for bound in bounds)
    picked_sizes = sizes[start:end]
    return picked_sizes[0] if len(picked_sizes) == 1 and isinstance(picked_sizes[0], int) else None


_ARITHMETIC: dict[str, Callable[..., float]] = {
    "Add": lambda a, b: a + b,
    "Cast": float,
    "CastLike": float,
    "Div": lambda a, b: a / b,
    "Identity": float,
    "Mul": lambda a, b: a * b,
    "Neg": lambda a: -a,
    "Pow": lambda a, b: a**b,
    "Reciprocal": lambda a: 1.0 / a,
    "Reshape": float,
    "Sqrt": math.sqrt,
    "Squeeze": float,
    "Sub": lambda a, b: a - b,
    "Unsqueeze": float,
}
_OF_ONE = frozenset({"CastLike", "Reshape", "Squeeze", "Unsqueeze"})  # their further inputs tell a dtype or a shape


def is_fixed(value: ir.Value) -> bool:
    """Whether `value` is an initializer, or one that is only laid out anew: the same for every input."""
    while (node := producer(value, "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Identity")) is not None:
        if any(constant(given) is None for given in node.inputs[1:]) or node.inputs[0] is None:
            return False
        value = node.inputs[0]
    return constant(value) is not None


def is_filled_with(value: ir.Value | None, number: float) -> bool:
    """Whether every element of `value` is known to be `number`."""
    known = constant(value)
    if known is not None:
        return bool(np.all(known == number))
    node = producer(value, "Expand")
    return node is not None and scalar(node.inputs[0]) == number


def rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def is_float(value: ir.Value) -> bool:
    return value.dtype in {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}


def rounding(value: ir.Value) -> float:
    """The relative error of a constant that was written in the dtype of `value`."""
    return _ROUNDING.get(value.dtype, 2.0**-22) if value.dtype is not None else 2.0**-22


_ROUNDING = {ir.DataType.FLOAT16: 2.0**-10, ir.DataType.BFLOAT16: 2.0**-7}


def close(found: float | None, wanted: float, value: ir.Value) -> bool:
    """Whether `found` is the constant `wanted` as far as the dtype of `value` can tell."""
    return found is not None and abs(found - wanted) <= rounding(value) * abs(wanted)


def ints(node: ir.Node, name: str, position: int) -> list[int] | None:
    """A list that is an attribute in older opsets and an input in newer ones; None where it is computed."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    if len(node.inputs) <= position or node.inputs[position] is None:
        return []
    known = constant(node.inputs[position])
    return None if known is None else [int(number) for number in known.reshape(-1)]


def integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def permutation(node: ir.Node) -> list[int] | None:
    """A Transpose's permutation, its default written out."""
    if "perm" in node.attributes:
        return list(node.attributes["perm"].as_ints())
    count = rank(node.inputs[0]) if node.inputs[0] is not None else None
    return None if count is None else list(reversed(range(count)))


def same_size(one: Any, other: Any) -> bool:
    """Whether two dimensions are known to be equal: the same number, or the same symbol."""
    if isinstance(one, int) or isinstance(other, int):
        return isinstance(one, int) and isinstance(other, int) and one == other
    return one is not None and other is not None and one.value is not None and one.value == other.value


def same_shape(one: Any, other: Any) -> bool:
    """Whether two shapes of as many elements are known to be equal: all dimensions but one, and so the last one too."""
    if len(one) != len(other):
        return False
    unequal = [pair for pair in zip(one, other, strict=True) if not same_size(*pair)]
    others = [size for size, also in zip(one, other, strict=True) if same_size(size, also)]
    if len(unequal) == 1:  # dividing by the others must be possible
        return all(isinstance(size, int) and size > 0 for size in others) and not _numbers(*unequal[0])
    return not unequal


def _numbers(one: Any, other: Any) -> bool:
    return isinstance(one, int) and isinstance(other, int)


def search(value: ir.Value, wanted: tuple[str, ...], through: tuple[str, ...], depth: int) -> Iterator[ir.Node]:
    """Nodes `wanted` from which `value` is computed through a few nodes of the kinds `through`, nearest first."""
    level, seen = [value], set()
    for _ in range(depth):
        following: list[ir.Value] = []
        for reached in level:
            node = producer(reached)
            if node is None or node in seen:
                continue
            seen.add(node)
            if node.op_type in wanted:
                yield node
            if node.op_type in through:
                following += [given for given in node.inputs if given is not None]
        level = following
