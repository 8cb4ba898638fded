"""What one step of a loop computes, as an expression of the step's inputs, the states and the weights.

Products with weight matrices, their sums, biases and slices are kept as one `Affine`, so that it does not matter in how
many pieces a cell computes its gates. Weights are sliced and joined, never added: their bits stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.ops import load_op

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Known:
    """A constant or a weight."""

    array: Array


@dataclass(frozen=True)
class Leaf:
    """A state by number ("state"), an outer sequence's element of this step ("step"), or any other value ("outer")."""

    kind: str
    of: int | ir.Value


@dataclass(frozen=True)
class Affine:
    """The sum of `source @ matrix` over `terms`, and of the vectors in `biases`."""

    terms: tuple[tuple[Expression, Known], ...]
    biases: tuple[Known, ...]

    def columns(self, start: int, stop: int) -> Affine:
        return Affine(
            tuple((source, Known(matrix.array[:, start:stop])) for source, matrix in self.terms),
            tuple(Known(bias.array[start:stop]) for bias in self.biases),
        )

    @property
    def width(self) -> int:
        return int(self.terms[0][1].array.shape[1])


@dataclass(frozen=True)
class Made:
    """Any other operator's result; the arguments of Add and Mul are in no order."""

    kind: str
    arguments: tuple[Expression, ...]


Expression = Known | Leaf | Affine | Made

_MOVES = frozenset({"Concat", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})


class Reader:
    """Expressions of the values of one loop body. `leaves` gives those of its inputs and of what is read by step."""

    def __init__(self, leaves: Callable[[ir.Value], Expression | None], body: ir.Graph, opset: int) -> None:
        self._leaves, self._body, self._opset = leaves, body, opset
        self._read: dict[ir.Value, Expression] = {}

    def __call__(self, value: ir.Value) -> Expression:
        if value not in self._read:
            self._read[value] = self._expression(value)
        return self._read[value]

    def _expression(self, value: ir.Value) -> Expression:
        known = self._leaves(value)
        if known is not None:
            return known
        if value.const_value is not None and value.is_initializer():
            return Known(value.const_value.numpy())
        node = value.producer()
        if node is None or node.graph is not self._body:
            return Leaf("outer", value)
        arguments = [self(item) if item is not None else Known(np.array([])) for item in node.inputs]
        if node.op_type == "Identity":
            return arguments[0]
        if node.op_type in _MOVES and all(isinstance(argument, Known) for argument in arguments):
            return Known(self._moved(node, arguments)[value.index() or 0])
        form = _FORMS.get(node.op_type)
        made = form(node, arguments, value.index() or 0) if form else None
        return made or Made(node.op_type, tuple(arguments))

    def _moved(self, node: ir.Node, arguments: list[Expression]) -> list[Array]:
        arrays = [argument.array for argument in arguments if isinstance(argument, Known)]
        given = [array for array, value in zip(arrays, node.inputs, strict=True) if value is not None]
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        result = load_op("", node.op_type, self._opset).eval(*given, **attributes)
        return [np.asarray(each) for each in result] if isinstance(result, tuple | list) else [np.asarray(result)]


def _product(_: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    source, matrix = arguments
    if isinstance(matrix, Known) and matrix.array.ndim == 2 and not isinstance(source, Known | Affine):
        return Affine(((source, matrix),), ())
    return None


def _sum(_: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    first, second = arguments
    if isinstance(first, Affine) and isinstance(second, Affine):
        return Affine(first.terms + second.terms, first.biases + second.biases)
    for one, other in ((first, second), (second, first)):
        if isinstance(one, Affine) and isinstance(other, Known) and _is_row(other.array, one.width):
            return Affine(one.terms, (*one.biases, Known(other.array.reshape(-1))))
    return None


def _is_row(array: Array, width: int) -> bool:
    return array.size == width == (array.shape or (0,))[-1]


def _split(node: ir.Node, arguments: list[Expression], index: int) -> Expression | None:
    """Equal parts of the last axis, or parts of known sizes."""
    whole = arguments[0]
    if (
        not isinstance(whole, Affine)
        or "axis" not in node.attributes
        or node.attributes["axis"].as_int() not in (1, -1)
    ):
        return None
    count = len(node.outputs)
    if len(arguments) > 1 and isinstance(arguments[1], Known) and arguments[1].array.size:
        sizes = [int(size) for size in arguments[1].array]
    elif whole.width % count == 0:
        sizes = [whole.width // count] * count
    else:
        return None
    start = sum(sizes[:index])
    return whole.columns(start, start + sizes[index])


def _slice(_: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    whole, *settings = arguments
    if not isinstance(whole, Affine) or not all(isinstance(setting, Known) for setting in settings):
        return None
    starts, ends, axes, *steps = (setting.array.tolist() for setting in settings if isinstance(setting, Known))
    if steps and set(steps[0]) - {1}:
        return None
    begin, stop = 0, whole.width
    for start, end, along in zip(starts, ends, axes, strict=True):
        if along in (1, -1):
            begin, stop = slice(start, end).indices(whole.width)[:2]
        elif start != 0 or end < 2**31 - 1:
            return None  # a part of the batch
    return whole.columns(begin, stop)


_FORMS: dict[str, Callable[[ir.Node, list[Expression], int], Expression | None]] = {
    "Add": _sum,
    "MatMul": _product,
    "Slice": _slice,
    "Split": _split,
}
