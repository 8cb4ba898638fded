"""How a form of a TensorFlow operator is written into tf2onnx's graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.errors import UnsupportedOperator

Array = np.ndarray[Any, Any]

FLOAT, INT32, INT64, STRING, BOOL = 1, 6, 7, 8, 9  # ONNX's numbers for dtypes
_WITH_AXES, _AXES_AS_INPUT = frozenset({"ReduceSum", "Squeeze", "Unsqueeze"}), 13  # an attribute in older opsets


class Writer:
    """Adds ONNX operators to tf2onnx's graph in the place of one TensorFlow node, axes as its opset takes them."""

    def __init__(self, graph: Any, node: Any) -> None:
        self.graph, self.node = graph, node

    def __call__(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        if kind in _WITH_AXES and len(inputs) > 1 and self.graph.opset < _AXES_AS_INPUT:
            axes = self.array(inputs[1])
            if axes is None:
                raise UnsupportedOperator(
                    f"{self.node.type} (in '{self.node.name}') has axes that opset {self.graph.opset} cannot compute",
                    hint=f"Ask for --opset {_AXES_AS_INPUT} or more.",
                )
            inputs, attributes = inputs[:1], {**attributes, "axes": axes.reshape(-1).tolist()}
        return str(self.graph.make_node(kind, list(inputs), attr=attributes, domain=domain).output[0])

    def like(self, value: str, number: float) -> str:
        """A constant of the dtype of `value`."""
        return self.constant(np.array(number, self.dtype(value)))

    def constant(self, array: Array) -> str:
        from tf2onnx import utils

        return str(self.graph.make_const(utils.make_name(f"{self.node.name}/constant"), array).output[0])

    def dtype(self, value: str) -> np.dtype[Any]:
        import onnx

        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.graph.get_dtype(value)))

    def flag(self, name: str) -> bool:
        attribute = self.node.get_attr(name)
        return bool(attribute and attribute.i)

    def shape(self, value: str) -> list[int] | None:
        found: list[int] | None = self.graph.get_shape(value)
        return found

    def array(self, name: str) -> Array | None:
        """What is known now; None for anything else."""
        node = self.graph.get_node_by_output(name)
        return np.asarray(node.get_tensor_value(as_list=False)) if node is not None and node.is_const() else None

    def number(self, name: str) -> float | None:
        """A lone number that is known now; None for anything else."""
        values = self.array(name)
        return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None
