"""Make every If of a graph a choice between both branches' results, so that the branches can be looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

_MOST = 64  # branches within branches multiply


def branches(model: ir.Model) -> int:
    """Replace each If, innermost last, by both of its branches and a Where; returns how many there were."""
    count = 0
    while count < _MOST:
        node = next((each for each in model.graph if each.op_type == "If" and each.domain == ""), None)
        if node is None:
            return count
        _replace(model, node, count)
        count += 1
    return count


def _replace(model: ir.Model, node: ir.Node, number: int) -> None:
    import onnx_ir as ir

    condition = node.inputs[0]
    chosen = []
    for name in ("then_branch", "else_branch"):
        inner = node.attributes[name].as_graph()
        prefix = f"{name}.{number}."
        for key in list(inner.initializers):
            weight = inner.initializers.pop(key)
            weight.name = prefix + key
            model.graph.register_initializer(weight)
        moved = list(inner)
        chosen.append(list(inner.outputs))
        inner.outputs.clear()
        inner.remove(moved)
        for each in moved:
            for value in each.outputs:
                value.name = prefix + str(value.name)
            each.name = prefix + (each.name or "")
        model.graph.insert_before(node, moved)
    for output, ours, theirs in zip(list(node.outputs), *chosen, strict=True):
        where = ir.Node("", "Where", [condition, ours, theirs], num_outputs=1, name=f"{node.name}.{output.name}")
        result = where.outputs[0]
        result.name, result.shape, result.type = f"{output.name}.chosen", output.shape, output.type
        model.graph.insert_before(node, where)
        output.replace_all_uses_with(result, replace_graph_outputs=True)
    model.graph.remove(node, safe=False)
