"""Nodes and initializers written before a node that is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph.values import CONSTANT

Array = np.ndarray[Any, Any]
_AXES, _AXES_AS_INPUT = frozenset({"ReduceSum", "Squeeze", "Unsqueeze"}), 13  # an attribute in older opsets


class Writer:
    """Adds nodes before one that is there, and initializers beside it, under its name."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self._graph, self._node, self._count = graph, node, 0

    def name(self, what: str) -> str:
        self._count += 1
        return f"{self._node.outputs[0].name}/{what}_{self._count}"

    def constant(self, array: Array, name: str | None = None) -> ir.Value:
        """An initializer; with a `name` of its own it is a weight, else a number that the operators need."""
        written, name = name is None, self._free(name) if name is not None else self.name("constant")
        tensor = ir.tensor(np.asarray(array, order="C"), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        if written:
            value.meta[CONSTANT] = True
        self._graph.register_initializer(value)
        return value

    def _free(self, name: str) -> str:
        return name if name not in self._graph.initializers else self.name(name)

    def node(
        self, kind: str, inputs: Sequence[ir.Value | None], outputs: int = 1, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        if kind in _AXES and len(inputs) > 1 and self._graph.opset_imports.get("", 18) < _AXES_AS_INPUT:
            axes = inputs[1]
            assert axes is not None
            assert axes.const_value is not None
            inputs, attributes = inputs[:1], {**attributes, "axes": axes.const_value.numpy().tolist()}
        made = ir.node(kind, inputs, attributes, num_outputs=outputs, name=self.name(kind))
        for value in made.outputs:
            value.name = self.name(kind)
        self._graph.insert_before(self._node, made)
        return tuple(made.outputs)

    def one(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        return self.node(kind, inputs, **attributes)[0]


def is_zero(value: ir.Value) -> bool:
    """Whether a tensor is known to be nothing but zeros, of whatever size."""
    node = value.producer()
    if node is None:
        return value.const_value is not None and value.is_initializer() and not value.const_value.numpy().any()
    if node.op_type == "ConstantOfShape":
        return "value" not in node.attributes or not node.attributes["value"].as_tensor().numpy().any()
    inner = node.inputs[0] if node.op_type in ("Expand", "Identity", "Cast", "Unsqueeze") else None
    return inner is not None and is_zero(inner)
