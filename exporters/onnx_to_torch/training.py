"""What differs between a module that predicts and one that learns.

An ONNX file says how a model predicts. A module that is rebuilt from it starts in evaluation mode and does the same;
after `module.train()` it learns as its source did: BatchNormalization uses and follows the statistics of the batch,
and Dropout drops. What a graph itself fixes (`training_mode`) stays fixed in both modes.
"""

from __future__ import annotations

import onnx_ir as ir

NORMALIZATION = "BatchNormalization"


def follows_mode(node: ir.Node) -> bool:
    """Whether a node that depends on the mode may do so: a normalisation whose statistics are not stored cannot."""
    return node.op_type != NORMALIZATION or all(_is_stored(value) for value in node.inputs[3:5])


def _is_stored(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and not value.is_graph_input()


def untie_normalizations(model: ir.Model) -> None:
    """Give every normalisation tensors of its own; only one that is used twice, with all four, shares them.

    Exporters store equal tensors once: the zero means of two fresh layers, the bias of one and the mean of another.
    For predictions that is the same, but a layer that learns would overwrite what belongs to its neighbour.
    """
    owners: dict[ir.Value, tuple[ir.Value | None, ...]] = {}
    copies: dict[tuple[ir.Value, tuple[ir.Value | None, ...], int], ir.Value] = {}
    for node in model.graph.all_nodes():
        if node.op_type != NORMALIZATION or node.domain != "":
            continue
        together = tuple(node.inputs[1:5])
        for position, value in enumerate(together, start=1):
            if value is None or not _is_stored(value):
                continue
            elsewhere = any(use.node.op_type != NORMALIZATION or use.idx != position for use in value.uses())
            if not elsewhere and owners.setdefault(value, together) == together:
                continue
            key = (value, together, position)
            if key not in copies:
                copies[key] = _copy(model.graph, value)
            node.replace_input_with(position, copies[key])


def _copy(graph: ir.Graph, value: ir.Value) -> ir.Value:
    number = 2
    while (name := f"{value.name}_{number}") in graph.initializers:
        number += 1
    assert value.const_value is not None
    # Its own tensor around the same memory: a tensor of the caller's protobuf would be given the new name.
    tensor = ir.Tensor(value.const_value.numpy(), dtype=value.const_value.dtype, name=name)
    copy = ir.Value(name=name, shape=value.shape, type=value.type, const_value=tensor)
    copy.meta.update(value.meta)
    graph.register_initializer(copy)
    return copy
