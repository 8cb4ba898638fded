"""`Identity` nodes taken out, in subgraphs too.

One stays where it is needed: a graph gives back an input, a weight, or what another graph computes; or the same value
twice.
"""

from __future__ import annotations

import onnx_ir as ir


def remove(model: ir.Model) -> None:
    """Remove from `model`, in place, every `Identity` that its graphs can do without."""
    for node in list(model.graph.all_nodes()):
        if node.op_type == "Identity" and node.domain in {"", "ai.onnx"} and node.inputs[0] is not None:
            _remove(node, node.inputs[0])


def _remove(node: ir.Node, given: ir.Value) -> None:
    result, graph = node.outputs[0], node.graph
    assert graph is not None
    if result.is_graph_output():
        producer = given.producer()
        if producer is None or producer.graph is not graph or given.is_graph_output():
            return
        given.name = result.name
    if given.shape is None:
        given.shape = result.shape
    given.type = given.type or result.type
    ir.convenience.replace_all_uses_with(result, given, replace_graph_outputs=True)
    graph.remove(node, safe=True)
