"""How a form of a TensorFlow operator is written into tf2onnx's graph."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Writer:
    """Adds ONNX operators to tf2onnx's graph in the place of one TensorFlow node."""

    def __init__(self, graph: Any, node: Any) -> None:
        self.graph, self.node = graph, node

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return str(self.graph.make_node(kind, list(inputs), attr=attributes).output[0])

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

    def number(self, name: str) -> float | None:
        """A lone number that is known now; None for anything else."""
        node = self.graph.get_node_by_output(name)
        if node is None or not node.is_const():
            return None
        values = np.asarray(node.get_tensor_value(as_list=False)).reshape(-1)
        return float(values[0]) if values.size == 1 else None
