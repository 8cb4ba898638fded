"""What a node with subgraphs tells about the values that go into them and come out of them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from exporters.graph.kinds import SEQUENCE, TENSOR, kinds_of
from exporters.graph.operator_table import Operator
from exporters.onnx_to_torch.dtypes import DTYPES


def _body(node: ir.Node) -> ir.Graph:
    return next(a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH)


def kinds_of_results(node: ir.Node, graph: ir.Graph) -> list[str]:
    """The kinds of a subgraph's results: what a Loop carries has the kinds of the body's inputs, of which a first
    condition and a count are none; all that is stacked is a tensor.
    """
    if node.op_type == "If":
        return kinds_of(node.outputs)
    carried = kinds_of(graph.inputs[2:]) if node.op_type == "Loop" else []
    kinds = [TENSOR, *carried] if node.op_type == "Loop" else []
    return kinds + [TENSOR] * (len(graph.outputs) - len(kinds))


def kinds_as_packed(node: ir.Node) -> list[str]:
    """The kinds as which the node's outputs come packed."""
    kinds = kinds_of_results(node, _body(node))
    return [SEQUENCE] * len(node.outputs) if node.op_type == "SequenceMap" else kinds[len(kinds) - len(node.outputs) :]


def kinds_of_operands(node: ir.Node, leading: int) -> list[str]:
    """The kinds of the inputs after the first `leading` ones: a Loop's are what its body takes them for."""
    return kinds_of(_body(node).inputs[2:] if node.op_type == "Loop" else node.inputs[leading:])


def keywords(node: ir.Node, row: Operator, leading: int) -> dict[str, Any]:
    """What the row's function wants to know beyond the node's attributes."""
    carried = len(node.inputs) - leading
    found: dict[str, Any] = {
        "outputs": len(node.outputs),
        "carried": carried,
        "sequences": [kind == SEQUENCE for kind in kinds_of(node.inputs)],
    }
    if "nothing" in row.parameters:
        states = carried - (node.attributes["num_scan_inputs"].as_int() if node.op_type == "Scan" else 0)
        stacked = len(node.outputs) - states
        found["nothing"] = [_nothing(value) for value in list(_body(node).outputs)[-stacked:]] if stacked else []
    return {name: value for name, value in found.items() if name in row.parameters}


def _nothing(value: ir.Value) -> torch.Tensor:
    """No element at all of what `value` is in every iteration; sizes that are not known are 0."""
    sizes = [size if isinstance(size, int) else 0 for size in value.shape] if value.shape is not None else []
    return torch.zeros([0, *sizes], dtype=DTYPES.get(value.dtype or ir.DataType.FLOAT, torch.float32))
