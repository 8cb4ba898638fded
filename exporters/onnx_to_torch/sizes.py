"""Sizes as Python integers: what a graph computes from shapes, to tell an operator another shape, without tensors.

An exporter writes `x.view(len(x), -1)` as Shape, Gather, Unsqueeze and Concat on small tensors of integers. As lists
of integers they cost nothing, they show in the module's code, and `torch.export` follows them: a size that is read
back out of a tensor would be unknown to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch  # noqa: TC002 - TorchScript reads annotations

from exporters.graph.values import constant, integer, ints, producer, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import fx

_LONGEST = 64  # elements; what is longer is no shape
_SAME = ("Cast", "Reshape", "Squeeze", "Unsqueeze")  # one number is a list of one


def shape_of(x: torch.Tensor) -> list[int]:
    return list(x.shape)


def picked(sizes: list[int], places: list[int]) -> list[int]:
    return [sizes[place] for place in places]


def joined(parts: list[list[int]]) -> list[int]:
    found: list[int] = []
    for part in parts:
        found += part
    return found


def sum_of(a: list[int], b: list[int]) -> list[int]:
    return [a[i if len(a) > 1 else 0] + b[i if len(b) > 1 else 0] for i in range(max(len(a), len(b)))]


def difference_of(a: list[int], b: list[int]) -> list[int]:
    return [a[i if len(a) > 1 else 0] - b[i if len(b) > 1 else 0] for i in range(max(len(a), len(b)))]


def product_of(a: list[int], b: list[int]) -> list[int]:
    return [a[i if len(a) > 1 else 0] * b[i if len(b) > 1 else 0] for i in range(max(len(a), len(b)))]


def quotient_of(a: list[int], b: list[int]) -> list[int]:
    return [a[i if len(a) > 1 else 0] // b[i if len(b) > 1 else 0] for i in range(max(len(a), len(b)))]


_PAIRS: dict[str, Callable[..., Any]] = {
    "Add": sum_of, "Div": quotient_of, "Mul": product_of, "Sub": difference_of,
}  # fmt: skip


class Sizes:
    """Lists of integers in a graph that grows; `tensor` gives the fx node of a value."""

    def __init__(self, graph: fx.Graph, tensor: Callable[[ir.Value], fx.Node]) -> None:
        self.graph = graph
        self.tensor = tensor
        self.known: dict[ir.Value, Any] = {}

    def of(self, value: ir.Value) -> Any:
        """`value` as an fx node or a literal that is a list of integers; None where that cannot be told."""
        return self._made(value) if self._is_made_of_sizes(value) else None

    def _is_made_of_sizes(self, value: ir.Value) -> bool:
        """Whether `value` is computed from shapes and constants alone, by means that are known here."""
        if self._literal(value) is not None or value in self.known:
            return True
        node = producer(value, "Shape", "Gather", "Slice", "Concat", *_SAME, *_PAIRS)
        if node is None or value.dtype not in {ir.DataType.INT64, ir.DataType.INT32} or (rank(value) or 0) > 1:
            return False
        if node.op_type == "Shape":
            return rank(value) == 1 and node.inputs[0] is not None
        if rank(value) is None or (node.op_type in {"Gather", "Slice"} and self._places(node) is None):
            return False
        if node.op_type == "Div" and not (self._is_positive(node.inputs[1]) and self._is_positive(node.inputs[0])):
            return False
        sources = node.inputs if node.op_type in {"Concat", *_PAIRS} else node.inputs[:1]
        return all(given is not None and self._is_made_of_sizes(given) for given in sources)

    def _literal(self, value: ir.Value) -> list[int] | None:
        array = constant(value)
        if array is None or array.dtype.kind != "i" or array.size > _LONGEST or array.ndim > 1:
            return None
        return [max(int(number), -(2**63 - 1)) for number in array.reshape(-1)]

    def _is_positive(self, value: ir.Value | None) -> bool:
        """Whether no element is negative: ONNX divides towards zero, Python downwards."""
        if value is None:
            return False
        literal = self._literal(value)
        if literal is not None:
            return min(literal, default=0) >= 0
        node = value.producer()
        if node is None or node.op_type == "Sub":
            return False
        sources = node.inputs if node.op_type in {"Concat", *_PAIRS} else node.inputs[:1]
        return node.op_type == "Shape" or all(self._is_positive(given) for given in sources)

    def _made(self, value: ir.Value) -> Any:
        literal = self._literal(value)
        if literal is not None:
            return literal
        if value not in self.known:
            node = value.producer()
            assert node is not None
            self.known[value] = self._computed(node)
        return self.known[value]

    def _computed(self, node: ir.Node) -> Any:
        source = node.inputs[0]
        assert source is not None
        if node.op_type == "Shape":
            sizes = self.graph.call_function(shape_of, (self.tensor(source),))
            places = self._places(node)
            return sizes if places is None else self.graph.call_function(picked, (sizes, places))
        if node.op_type in {"Gather", "Slice"}:
            return self.graph.call_function(picked, (self._made(source), self._places(node)))
        if node.op_type == "Concat":
            return self._joined([self._made(v) for v in node.inputs if v is not None])
        if node.op_type in _PAIRS:
            operands = tuple(self._made(v) for v in node.inputs if v is not None)
            return self.graph.call_function(_PAIRS[node.op_type], operands)
        return self._made(source)  # of `_SAME`

    def _joined(self, parts: list[Any]) -> Any:
        """One list; numbers that are known stand together, and TorchScript cannot tell of what an empty list is one."""
        merged: list[Any] = []
        for part in parts:
            if isinstance(part, list) and merged and isinstance(merged[-1], list):
                merged[-1] = merged[-1] + part
            elif part != []:
                merged.append(part)
        return merged[0] if len(merged) == 1 else self.graph.call_function(joined, (merged,))

    def _places(self, node: ir.Node) -> list[int] | None:
        """Which elements of its input a Shape, Gather or Slice gives; None for all of a Shape, or where it varies."""
        source = node.inputs[0]
        assert source is not None
        if node.op_type == "Gather":
            assert node.inputs[1] is not None
            return self._literal(node.inputs[1]) if integer(node, "axis", 0) == 0 and rank(source) == 1 else None
        if node.op_type == "Shape":
            count = rank(source)
            if not node.attributes or count is None:
                return None
            return list(range(count))[integer(node, "start", 0) : integer(node, "end", count)]
        length = source.shape[0] if source.shape is not None and len(source.shape) == 1 else None
        bounds = [ints(node, name, i) for i, name in enumerate(("", "starts", "ends", "axes", "steps")) if i]
        if not isinstance(length, int) or any(bound is None for bound in bounds):
            return None
        starts, ends, axes, steps = (bound or [] for bound in bounds)
        if len(starts) != 1 or len(ends) != 1 or axes not in ([], [0], [-1]):
            return None
        return list(range(length))[starts[0] : ends[0] : steps[0] if steps else 1]
