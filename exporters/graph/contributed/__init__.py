"""ONNX Runtime's own operators (domain com.microsoft) written as operators of ONNX's own.

One function per operator, in files by family; each gets a writer, the node's inputs and its attributes under ONNX
Runtime's names, and gives the node's outputs (None: one that nobody asks for, or that ONNX Runtime leaves empty). What
they write is plain ONNX at the model's opset: whatever reads a graph reads the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from exporters.graph.clean import infer_shapes
from exporters.graph.contributed import (
    activation,
    attention,
    heads,
    linear,
    normalization,
    quantized,
    recurrent,
    rotary,
    tensors,
)
from exporters.graph.contributed.table import DOMAIN, REWRITTEN, Known, NotKnown, Writer
from exporters.graph.limits import CONTRIBUTED, exceeded
from exporters.graph.operator_table import Operator
from exporters.graph.values import constant

__all__ = [
    "DOMAIN",
    "REWRITTEN",
    "activation",
    "attention",
    "heads",
    "linear",
    "normalization",
    "quantized",
    "recurrent",
    "rewrite",
    "rotary",
    "tensors",
]


def rewrite(model: ir.Model, lacks: Callable[[ir.Node, ir.Model], bool]) -> bool:
    """Rewrite, in place, every operator of ONNX Runtime's for which `lacks(node, model)`; whether there was one.

    Those that cannot be rewritten stay. Some functions ask for shapes or types, and ONNX infers none behind an
    operator that it does not know: what waits for them has its turn when those before it are rewritten.
    """
    changed = False
    while True:
        nodes = [node for node in model.graph.all_nodes() if node.domain == DOMAIN and lacks(node, model)]
        done = [_rewritten(node, model) for node in nodes]
        if not any(done):
            return changed
        changed = True
        infer_shapes(model)


def _rewritten(node: ir.Node, model: ir.Model) -> bool:
    row = REWRITTEN.lookup_node(node, model)
    if row is None or exceeded(node, row, CONTRIBUTED):
        return False
    write = Writer(node, model.opset_imports.get("", 1))
    try:
        results = row.function(write, *_inputs(node, row), **_attributes(node, row))
    except NotKnown:
        return False
    outputs = list(results) if isinstance(results, tuple) else [results]
    if any(write.asks(i) and (i >= len(outputs) or outputs[i] is None) for i in range(len(node.outputs))):
        return False
    _replace(node, model, write, outputs)
    return True


def _inputs(node: ir.Node, row: Operator) -> list[Any]:
    """The node's inputs; those that must be constants as arrays, and a variadic rest as a list."""
    parameters = list(row.parameters.values())[1:]
    found: list[Any] = []
    for i, parameter in enumerate(parameters[: len(node.inputs)]):
        value = node.inputs[i]
        if parameter.annotation == list[ir.Value]:
            return [*found, list(node.inputs[i:])]
        if value is not None and parameter.annotation in (Known, Known | None):
            found.append(constant(value))
            if found[-1] is None:
                raise NotKnown(f"'{value.name}'")
        else:
            found.append(value)
    return found


def _attributes(node: ir.Node, row: Operator) -> dict[str, Any]:
    unknown = set(node.attributes) - set(row.parameters)
    if unknown:
        raise NotKnown(f"attribute '{unknown.pop()}'")
    values = {name: attribute.value for name, attribute in node.attributes.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _replace(node: ir.Node, model: ir.Model, write: Writer, outputs: list[ir.Value | None]) -> None:
    """Put what was written in the place of `node`; its outputs keep their names."""
    graph = node.graph
    assert graph is not None
    for value in write.constants:
        model.graph.register_initializer(value)
    written = {value for each in write.nodes for value in each.outputs}
    pairs: list[tuple[ir.Value, ir.Value]] = []
    for old, new in zip(node.outputs, outputs, strict=False):
        if new is None or not (old.uses() or old.is_graph_output()):
            continue
        # what was there before, and what stands for two outputs, keeps its own name
        given = write.Identity(new) if new not in written or any(new is other for _, other in pairs) else new
        pairs.append((old, given))
    graph.insert_before(node, write.nodes)
    for old, new in pairs:
        name, new.shape, new.type = old.name, new.shape or old.shape, new.type or old.type
        old.name = f"{name}.contributed"
        new.name = name
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
