"""Read the values of a loop's body as arithmetic (see `expression`), operator by operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from exporters.graph.recurrent import single_step
from exporters.graph.recurrent.expression import (
    ONE,
    Activated,
    Array,
    Expression,
    Known,
    Leaf,
    Lifted,
    Made,
    Product,
    Sum,
    add,
    alone,
    as_sum,
    columns,
    multiply,
    number,
    of_atom,
    scaled,
    total,
    width,
)

if TYPE_CHECKING:
    import onnx_ir as ir

# What only moves elements about, weights included, and what counts.
_MOVES = frozenset({"Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
                    "Unsqueeze"})  # fmt: skip
_COUNTS = frozenset({"Add", "Cast", "Div", "Mul", "Neg", "Sub", "ConstantOfShape", "Range"})
_FEW = 64  # elements of what is counted with


class Reader:
    """Expressions of the values of one body; `leaves` gives those of its inputs and of what is read by step.

    `rank` is how many dimensions states and elements of sequences have: features, or batch and features.
    """

    def __init__(
        self, leaves: Callable[[ir.Value], Expression | None], body: ir.Graph | None, opset: int, rank: int
    ) -> None:
        self._leaves, self._body, self.opset, self.rank = leaves, body, opset, rank
        self._read: dict[ir.Value, Expression] = {}

    def __call__(self, value: ir.Value | None) -> Expression:
        if value is None:
            return Known(np.array([]))
        if value not in self._read:
            self._read[value] = self._expression(value)
        return self._read[value]

    def _expression(self, value: ir.Value) -> Expression:
        found = self._leaves(value)
        if found is not None:
            return found
        if value.const_value is not None and value.is_initializer():
            return Known(value.const_value.numpy())
        node = value.producer()
        inside = node is not None and node.graph is self._body
        if node is None or node.domain or not (inside or node.op_type in _MOVES):
            return of_atom(Leaf("outer", value))
        arguments = self._arguments(node)
        if all(isinstance(argument, Known) for argument in arguments) and self._is_counted(node, arguments):
            return Known(self._evaluated(node, arguments)[value.index() or 0])
        if not inside:
            return of_atom(Leaf("outer", value))
        form = _FORMS.get(node.op_type)
        made = form(self, node, arguments, value.index() or 0) if form else None
        return made if made is not None else of_atom(Made(node.op_type, tuple(arguments), value))

    def _arguments(self, node: ir.Node) -> list[Expression]:
        return [self(item) for item in node.inputs]

    @staticmethod
    def _is_counted(node: ir.Node, arguments: list[Expression]) -> bool:
        if node.op_type in _MOVES:
            return bool(arguments)
        arrays = [argument.array for argument in arguments if isinstance(argument, Known)]
        return node.op_type in _COUNTS and all(array.dtype.kind == "i" and array.size <= _FEW for array in arrays)

    def _evaluated(self, node: ir.Node, arguments: list[Expression]) -> list[Array]:
        from onnx.reference.ops import load_op

        arrays = [argument.array for argument in arguments if isinstance(argument, Known)]
        given = [array for array, value in zip(arrays, node.inputs, strict=True) if value is not None]
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        result = load_op("", node.op_type, self.opset).eval(*given, **attributes)
        return [np.asarray(each) for each in result] if isinstance(result, tuple | list) else [np.asarray(result)]


Form = Callable[[Reader, "ir.Node", list[Expression], int], Expression | None]


def _same(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """What does nothing: Identity, a cast to the type that is there, a dropout that is not trained."""
    kept = node.inputs[0] is not None and node.inputs[0].dtype == node.outputs[0].dtype
    return arguments[0] if node.op_type == "Identity" or (kept and node.outputs[0].dtype is not None) else None


def _pair(combine: Callable[[Sum, Sum], Sum | None]) -> Form:
    def form(_: Reader, __: ir.Node, arguments: list[Expression], ___: int) -> Expression | None:
        count = _lift(arguments)
        first, second = (as_sum(each.inner if isinstance(each, Lifted) else each) for each in arguments)
        if count is None or first is None or second is None:
            return None
        found = combine(first, second)
        return found if found is None or count == 0 else Lifted(found, count)

    return form


def _lift(arguments: list[Expression]) -> int | None:
    """How many leading axes of size 1 all arguments have, constants aside; None where that differs."""
    counts = {each.count if isinstance(each, Lifted) else 0 for each in arguments if not isinstance(each, Known)}
    return counts.pop() if len(counts) == 1 else None


def _difference(one: Sum, other: Sum) -> Sum | None:
    return add(one, other, -1.0)


def _quotient(one: Sum, other: Sum) -> Sum | None:
    divisor = other.terms.get(ONE)
    return scaled(one, 1.0 / divisor) if divisor and len(other.terms) == 1 else None


def _negative(_: Reader, __: ir.Node, arguments: list[Expression], ___: int) -> Expression | None:
    whole = as_sum(arguments[0])
    return None if whole is None else scaled(whole, -1.0)


def _activation(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    given = arguments[0]
    whole = as_sum(given.inner if isinstance(given, Lifted) else given)
    if whole is None:
        return None
    found = of_atom(Activated(node.op_type, whole))
    return Lifted(found, given.count) if isinstance(given, Lifted) else found


def _hard_sigmoid(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """Its slope and its offset belong to its argument: what is left is Clip(argument, 0, 1)."""
    whole = as_sum(arguments[0])
    alpha, beta = (
        float(str(np.float32(node.attributes[name].as_float()))) if name in node.attributes else default
        for name, default in (("alpha", 0.2), ("beta", 0.5))
    )
    moved = add(scaled(whole, alpha), number(beta)) if whole is not None else None
    return None if moved is None else of_atom(Activated("HardSigmoid", moved))


def _clip(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """Clip(x, 0, high) is high times the hard sigmoid of x / high."""
    if len(arguments) == 3:
        low, high = (_number(each) for each in arguments[1:])
    else:
        low, high = (node.attributes[n].as_float() if n in node.attributes else None for n in ("min", "max"))
    return _between(as_sum(arguments[0]), low, high)


def _between(whole: Sum | None, low: float | None, high: float | None) -> Expression | None:
    if whole is None or low != 0 or high is None or not 0 < high < float("inf"):
        return None
    return scaled(of_atom(Activated("HardSigmoid", scaled(whole, 1.0 / high))), high)


def _minimum(_: Reader, __: ir.Node, arguments: list[Expression], ___: int) -> Expression | None:
    """Min(Relu(x), high)."""
    for inner, high in (arguments, arguments[::-1]) if len(arguments) == 2 else ():
        atom = alone(inner)
        if isinstance(atom, Activated) and atom.name == "Relu":
            return _between(atom.argument, 0.0, _number(high))
    return None


def _number(expression: Expression) -> float | None:
    if isinstance(expression, Known) and expression.array.size == 1:
        return float(expression.array.reshape(()))
    return None


def _matmul(reader: Reader, _: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    source, matrix = arguments
    if isinstance(source, Known) and source.array.ndim == 2 and reader.rank == 1:
        return product(matrix, Known(source.array.T))  # a matrix with a vector of features
    return product(source, matrix)


def product(source: Expression, matrix: Expression) -> Expression | None:
    """`source @ matrix`; where parts are joined, the product of each with its rows of the matrix."""
    if not isinstance(matrix, Known) or matrix.array.ndim != 2 or isinstance(source, Known):
        return None
    if isinstance(source, Lifted):
        inner = product(source.inner, matrix)
        return Lifted(inner, source.count) if isinstance(inner, Sum) else None
    joined = alone(source)
    if not isinstance(joined, Made) or joined.kind != "Joined":
        return of_atom(Product(source, matrix))
    start, parts = 0, []
    for part in joined.arguments:
        rows = width(part) or 0
        parts.append(product(part, Known(matrix.array[start : start + rows])))
        start += rows
    sums = [part for part in parts if isinstance(part, Sum)]
    return total(sums) if len(sums) == len(parts) and start == len(matrix.array) else None


def _gemm(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    numbers = [node.attributes[n].as_float() if n in node.attributes else 1.0 for n in ("alpha", "beta")]
    turned = [n in node.attributes and node.attributes[n].as_int() == 1 for n in ("transA", "transB")]
    matrix = arguments[1]
    if turned[0] or not isinstance(matrix, Known):
        return None
    found = product(arguments[0], Known(matrix.array.T) if turned[1] else matrix)
    if not isinstance(found, Sum):
        return None
    found = scaled(found, numbers[0])
    if len(arguments) < 3 or node.inputs[2] is None:
        return found
    summand = as_sum(arguments[2])
    return None if summand is None else add(found, summand, numbers[1])


def _concat(reader: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """Parts side by side along the last axis, each of a known size."""
    if node.attributes["axis"].as_int() not in (reader.rank - 1, -1):
        return None
    sums = [each for each in arguments if isinstance(each, Sum) and width(each)]
    return of_atom(Made("Joined", tuple(sums))) if len(sums) == len(arguments) else None


def _split(reader: Reader, node: ir.Node, arguments: list[Expression], index: int) -> Expression | None:
    """Equal parts of the last axis, or parts of known sizes."""
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    whole = arguments[0]
    full = width(whole)
    if not isinstance(whole, Sum) or full is None or axis not in (reader.rank - 1, -1):
        return None
    count = len(node.outputs)
    given = arguments[1].array if len(arguments) > 1 and isinstance(arguments[1], Known) else np.array([])
    if "split" in node.attributes:
        sizes = [int(size) for size in node.attributes["split"].as_ints()]
    elif given.size:
        sizes = [int(size) for size in given]
    elif full % count == 0 and len(arguments) < 2:
        sizes = [full // count] * count
    else:
        return None
    start = sum(sizes[:index])
    return columns(whole, start, start + sizes[index])


def _slice(reader: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """A part of the last axis; elsewhere only the whole."""
    whole, *settings = arguments
    full = width(whole)
    if not isinstance(whole, Sum) or full is None or not all(isinstance(setting, Known) for setting in settings):
        return None
    given = [setting.array.reshape(-1).tolist() for setting in settings if isinstance(setting, Known)]
    if not given:
        given = [
            list(node.attributes[name].as_ints()) for name in ("starts", "ends", "axes") if name in node.attributes
        ]
    starts, ends = given[:2]
    axes = given[2] if len(given) > 2 and given[2] else list(range(len(starts)))
    if len(given) > 3 and set(given[3]) - {1}:
        return None
    begin, stop = 0, full
    for start, end, along in zip(starts, ends, axes, strict=True):
        if along in (reader.rank - 1, -1):
            begin, stop = slice(start, end).indices(full)[:2]
        elif start != 0 or end < 2**31 - 1:
            return None  # a part of the batch
    return whole if (begin, stop) == (0, full) else columns(whole, begin, stop)


def _shape(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    whole = arguments[0]
    if node.attributes or not isinstance(whole, Sum) or width(whole) is None:
        return None
    return of_atom(Made("Shape", (whole,)))


def _gather(reader: Reader, _: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    """The number of features out of a shape: all else of a shape is not known here."""
    asked = alone(arguments[0])
    index = arguments[1]
    if not isinstance(asked, Made) or asked.kind != "Shape" or not isinstance(index, Known) or index.array.size != 1:
        return None
    if int(index.array.reshape(())) not in (reader.rank - 1, -1):
        return None
    return Known(np.full(index.array.shape, width(asked.arguments[0]), np.int64))


def _unsqueeze(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    axes = single_step.axes(node, arguments)
    inner, before = (arguments[0].inner, arguments[0].count) if isinstance(arguments[0], Lifted) else (arguments[0], 0)
    if axes is None or not isinstance(inner, Sum) or sorted(axes) != list(range(len(axes))):
        return None
    return Lifted(inner, before + len(axes))


def _squeeze(_: Reader, node: ir.Node, arguments: list[Expression], __: int) -> Expression | None:
    given, axes = arguments[0], single_step.axes(node, arguments)
    if not isinstance(given, Lifted) or axes is None or any(not 0 <= axis < given.count for axis in axes):
        return None
    left = given.count - len(axes)
    return Lifted(given.inner, left) if left else given.inner


_FORMS: dict[str, Form] = {
    "Add": _pair(add),
    "Cast": _same,
    "Clip": _clip,
    "Concat": _concat,
    "Div": _pair(_quotient),
    "Gather": _gather,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "Identity": _same,
    "MatMul": _matmul,
    "Min": _minimum,
    "Mul": _pair(multiply),
    "Neg": _negative,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _pair(_difference),
    "Unsqueeze": _unsqueeze,
} | dict.fromkeys(("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"), _activation)
_FORMS |= dict.fromkeys(("GRU", "LSTM", "RNN"), single_step.form)
READ = frozenset(_FORMS)  # the operators that a step may be made of
