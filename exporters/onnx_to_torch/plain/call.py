"""An operator's call as the builder would make it, and what the graph tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

if TYPE_CHECKING:
    from torch import fx

    from exporters.onnx_to_torch.sizes import Sizes


@dataclass(frozen=True)
class Call:
    """An operator's call as the builder would make it: `arguments` as fx nodes and Python values."""

    node: ir.Node
    graph: fx.Graph
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    sizes: Sizes
    opset: int

    def argument(self, index: int) -> Any:
        return self.arguments[index] if index < len(self.arguments) else None

    def keyword(self, name: str, default: Any) -> Any:
        return self.keywords.get(name, default)

    def shape(self, index: int) -> list[Any] | None:
        """The declared or inferred shape of an input; sizes that may vary are no ints."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        shape = value.shape if value.const_value is None else value.const_value.shape
        return None if shape is None else list(shape)

    def rank(self, index: int = 0) -> int | None:
        shape = self.shape(index)
        return None if shape is None else len(shape)

    def size(self, index: int, axis: int) -> Any:
        """How long an input is along an axis: a number, or the node that asks for it."""
        value = self.node.inputs[index]
        assert value is not None
        return self.sizes.size(value, axis)

    def number(self, index: int) -> float | None:
        """The value of an input that is one constant number."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None or value.const_value is None or value.is_graph_input() or value.const_value.size != 1:
            return None
        return float(value.const_value.numpy().reshape(-1)[0])

    def whole(self, index: int) -> int | None:
        """The value of an input that is one constant whole number."""
        number = self.number(index)
        return int(number) if number is not None and number.is_integer() else None

    def floats(self) -> bool:
        """Whether all inputs are of one floating-point type that torch computes in."""
        return self.of_one_kind(FLOATS)

    def of_one_kind(self, kinds: set[ir.DataType]) -> bool:
        """Whether all inputs are of one type, which is one of these."""
        found = {value.dtype for value in self.node.inputs if value is not None}
        return len(found) == 1 and found <= kinds

    def make(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> fx.Node:
        return self.graph.call_function(function, arguments, keywords)


FLOATS = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
Rule = Callable[[Call], Any]  # an fx node, a tensor that is there already, or None
