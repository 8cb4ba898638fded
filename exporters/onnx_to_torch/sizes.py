"""Sizes as Python integers: what a graph computes from shapes, to tell an operator another shape, without tensors.

An exporter writes `x.view(len(x), -1)` as Shape, Gather, Unsqueeze and Concat on small tensors of integers. Here each
element is followed by itself: in the module it is a number, or `x.size(0)`, or arithmetic on such. It costs nothing,
it reads like PyTorch, and `torch.export` and both of PyTorch's ONNX exporters follow it: a size that is read back out
of a tensor would be unknown to them.

How elements move about is told by the rules of `exporters.graph.sizes`; only what makes and combines sizes is here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporters.graph.sizes.extent import Free
from exporters.graph.sizes.numbers import RULES, Numbers, array_of, each
from exporters.graph.values import integer

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import fx

_LEAST = -(2**63 - 1)  # TorchScript cannot read the smallest int64, with which exporters say "from the very front"


def truncated(a: int, b: int) -> int:
    """The quotient towards zero, as ONNX has it, where Python rounds downwards."""
    return -(-a // b) if a < 0 else a // b


@dataclass(frozen=True, eq=False)
class Size(Free):
    """A size of a tensor, or arithmetic on sizes: `negative` where it may be below zero."""

    function: Callable[[Any, Any], Any] | None
    operands: tuple[Any, Any]  # the value and its axis, or two numbers or sizes
    negative: bool = False


class Sizes(Numbers):
    """Integers in a graph that grows; `tensor` gives the fx node of a value."""

    def __init__(self, graph: fx.Graph, tensor: Callable[[ir.Value], fx.Node]) -> None:
        super().__init__(RULES | _RULES)
        self.graph = graph
        self.tensor = tensor
        self._asked: dict[tuple[ir.Value, int], Size] = {}
        self._made: dict[Size, fx.Node] = {}

    def integers(self, value: ir.Value) -> list[Any] | None:
        """The elements of `value`, each a number or an fx node; None where that cannot be told of all of them."""
        elements = self.of(value)
        if elements is None or not all(isinstance(one, int | Size) for one in elements.flat):
            return None
        return [self._written(one) for one in elements.flat]

    def size(self, value: ir.Value, axis: int) -> Any:
        """How long `value` is along `axis`: a number, or the fx node that asks for it."""
        known = value.shape[axis] if value.shape is not None else None
        return known if isinstance(known, int) else self._written(self.asked(value, axis))

    def asked(self, value: ir.Value, axis: int) -> Size:
        """A size that only the run tells; the same object for the same axis."""
        return self._asked.setdefault((value, axis), Size(None, (value, axis)))

    def _written(self, element: int | Size) -> Any:
        if not isinstance(element, Size):
            return max(int(element), _LEAST)
        if element not in self._made:
            left, right = element.operands
            self._made[element] = (
                self.graph.call_method("size", (self.tensor(left), right))
                if element.function is None
                else self.graph.call_function(element.function, (self._written(left), self._written(right)))
            )
        return self._made[element]


def _shape(known: Any, node: ir.Node) -> Any:
    data = node.inputs[0]
    if data is None or data.shape is None:
        return None
    sizes = [size if isinstance(size, int) else known.asked(data, axis) for axis, size in enumerate(data.shape)]
    picked = sizes[integer(node, "start", 0) : integer(node, "end", len(sizes))]
    return array_of(picked, (len(picked),))


def _may_be_negative(element: Any) -> bool:
    return bool(element.negative) if isinstance(element, Size) else element < 0


def _pairwise(function: Callable[[Any, Any], Any]) -> Callable[[Numbers, ir.Node], Any]:
    def combined(a: Any, b: Any) -> Any:
        negative = function is operator.sub or _may_be_negative(a) or _may_be_negative(b)
        return Size(truncated if function is operator.floordiv and negative else function, (a, b), negative)

    def rule(known: Numbers, node: ir.Node) -> Any:
        left, right = known.of(node.inputs[0]), known.of(node.inputs[1])
        if left is None or right is None:
            return None
        elements = (*left.flat, *right.flat)
        if not any(isinstance(one, Size) for one in elements):
            return RULES[node.op_type](known, node)
        if not all(isinstance(one, int | Size) for one in elements):
            return None
        if function is operator.floordiv and any(map(_may_be_negative, right.flat)):
            return None
        return each(combined, left, right)

    return rule


_RULES = {
    "Add": _pairwise(operator.add),
    "Div": _pairwise(operator.floordiv),
    "Mul": _pairwise(operator.mul),
    "Shape": _shape,
    "Sub": _pairwise(operator.sub),
}
