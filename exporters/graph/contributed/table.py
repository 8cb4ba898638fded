"""The table of operators that are rewritten, and the writer that their functions write with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from onnx import defs

from exporters.graph.operator_table import OperatorTable
from exporters.graph.values import CONSTANT

DOMAIN = "com.microsoft"
REWRITTEN = OperatorTable("ONNX", ceiling=defs.onnx_opset_version())

Value: TypeAlias = ir.Value
Known: TypeAlias = np.ndarray[Any, Any]  # an input that must be a constant: its elements
Given = ir.Value | np.ndarray[Any, Any] | Sequence[int] | int | None  # integers are written as int64

# From which opset on an operator takes as an input what was an attribute before: name, opset, the input's position.
_MOVED = {
    "ReduceMean": ("axes", 18, 1), "ReduceSum": ("axes", 13, 1), "Squeeze": ("axes", 13, 1),
    "Unsqueeze": ("axes", 13, 1), "Split": ("split", 13, 1),
}  # fmt: skip


class NotKnown(Exception):
    """Something that a function must know of its inputs (a rank, a dtype, a constant) is not known, or not yet."""


class Writer:
    """Writes nodes of ONNX's own, as the model's opset has them: `write.Add(x, y)` gives their result.

    Attributes that are None are left out. What the model's opset does not have raises NotKnown.
    """

    def __init__(self, node: ir.Node, opset: int) -> None:
        self.node = node
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self._title = node.name or node.outputs[0].name or node.op_type

    def within(self, title: str) -> Writer:
        """A writer of a graph inside this one; constants lie outside."""
        inner = Writer(self.node, self.opset)
        inner.constants = self.constants
        inner._title = f"{self._title}/{title}"
        return inner

    def argument(self, name: str, shape: list[int | None]) -> Value:
        """An input of such a graph, float32."""
        return ir.Value(name=f"{self._title}/{name}", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))

    def __getattr__(self, operator: str) -> Callable[..., Value]:
        if operator.startswith("_"):
            raise AttributeError(operator)

        def write(*inputs: Given, **attributes: Any) -> Value:
            return self.several(operator, 1, *inputs, **attributes)[0]

        return write

    def several(self, operator: str, outputs: int, *inputs: Given, **attributes: Any) -> tuple[Value, ...]:
        """The results of a node that has more than one."""
        if not self.has(operator):
            raise NotKnown(operator)
        values = [self._value(given) for given in inputs]
        name, since, position = _MOVED.get(operator, ("", 0, 0))
        if attributes.get(name) is not None and self.opset >= since:
            values += [None] * (position - len(values))
            values.append(self._value(attributes.pop(name)))
        given = {key: value for key, value in attributes.items() if value is not None}
        title = f"{self._title}/{operator}_{len(self.nodes)}"
        node = ir.node(operator, values, given, num_outputs=outputs, name=title)
        for i, value in enumerate(node.outputs):
            value.name = f"{title}:{i}"
        self.nodes.append(node)
        return tuple(node.outputs)

    def _value(self, given: Given) -> Value | None:
        if given is None or isinstance(given, ir.Value):
            return given
        return self.constant(given if isinstance(given, np.ndarray) else np.array(given, np.int64))

    def has(self, operator: str) -> bool:
        """Whether the model's opset has `operator`."""
        return bool(defs.has(operator, self.opset))

    def constant(self, array: Any) -> Value:
        """Numbers that belong to the graph."""
        value = self.weight(array)
        value.meta[CONSTANT] = True
        return value

    def weight(self, array: Any) -> Value:
        """Numbers that were trained."""
        name = f"{self._title}/constant_{len(self.constants)}"
        tensor = ir.tensor(np.asarray(array), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(np.shape(array)), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.constants.append(value)
        return value

    def like(self, x: Value, number: Any) -> Value:
        """`number`, one or an array of them, in the dtype of `x`."""
        if x.dtype is not None:
            return self.constant(np.asarray(number).astype(x.dtype.numpy()))
        return self.CastLike(self.constant(np.asarray(number, np.float32)), x)

    def asks(self, output: int) -> bool:
        """Whether somebody reads this output of the node that is rewritten."""
        outputs = self.node.outputs
        return output < len(outputs) and bool(outputs[output].uses() or outputs[output].is_graph_output())

    def rank(self, x: Value) -> int:
        if x.shape is None:
            raise NotKnown(f"the rank of '{x.name}'")
        return len(x.shape)

    def size(self, x: Value, axis: int) -> Value:
        """The size of `x` along `axis`, as a scalar."""
        return self.Gather(self.Shape(x), axis)

    def sizes(self, x: Value, first: int, end: int) -> Value:
        """The sizes of `x` from axis `first` to before `end`, as a list."""
        return self.Slice(self.Shape(x), [first], [end], [0])

    def scalar(self, x: Value) -> Value:
        """The single element of `x` without axes."""
        if x.shape is not None and len(x.shape) == 0:
            return x
        return self.Reshape(x, np.array([], np.int64))

    def channels_first(self, x: Value) -> Value:
        rank = self.rank(x)
        return self.Transpose(x, perm=[0, rank - 1, *range(1, rank - 1)])

    def channels_last(self, x: Value, rank: int) -> Value:
        return self.Transpose(x, perm=[0, *range(2, rank), 1])


def known_size(x: Value, axis: int) -> int | None:
    """The size of `x` along `axis`, where it is the same for every input."""
    size = x.shape[axis] if x.shape is not None else None
    return size if isinstance(size, int) else None
