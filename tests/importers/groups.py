"""The groups of ONNX's cases, told by the types and operators that a case's graph holds, never by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

CORE = "core"
# In this order: a case belongs to the first group whose mark it bears, and to the core if it bears none.
GROUPS = (CORE, "low-bit", "bfloat16", "sequences and optionals", "strings", "random", "preview", "ai.onnx.ml")

NAMES = {number: name for name, number in TensorProto.DataType.items()}
LOW_BIT = frozenset(name for name in NAMES.values() if name.startswith(("FLOAT8", "FLOAT6", "FLOAT4"))) | {
    "INT4", "UINT4", "INT2", "UINT2",
}  # fmt: skip
DRAWING = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
DTYPES = frozenset({"to", "dtype", "output_dtype"})


def group_of(model: onnx.ModelProto, feeds: dict[str, Any]) -> str:
    """The group of a case; `feeds` tell whether a Dropout drops anything."""
    nodes = [*_nodes(model.graph.node), *(n for f in model.functions for n in _nodes(f.node))]
    domains = {node.domain for node in nodes}
    types = set(_types(model.graph, nodes))
    if "ai.onnx.ml" in domains:
        return "ai.onnx.ml"
    if any(domain.startswith("ai.onnx.preview") for domain in domains):
        return "preview"
    if "STRING" in types:
        return "strings"
    if types & {"sequence", "optional"} or any(_holds_several(node) for node in nodes):
        return "sequences and optionals"
    if types & LOW_BIT:
        return "low-bit"
    if "BFLOAT16" in types:
        return "bfloat16"
    return "random" if any(_draws(node, feeds) for node in nodes) else CORE


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nodes(attribute.g.node)


def _types(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> Iterator[str]:
    """Names of all types in inputs, outputs, weights and attributes."""
    yield from (NAMES[tensor.data_type] for tensor in graph.initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from _names(value.type)
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _types(attribute.g, [])
            elif attribute.type == AttributeProto.TENSOR:
                yield NAMES[attribute.t.data_type]
            elif attribute.type == AttributeProto.INT and attribute.name in DTYPES:
                yield NAMES[attribute.i]


def _names(kind: onnx.TypeProto) -> Iterator[str]:
    if kind.HasField("tensor_type"):
        yield NAMES[kind.tensor_type.elem_type]
    elif kind.HasField("sequence_type"):
        yield "sequence"
        yield from _names(kind.sequence_type.elem_type)
    elif kind.HasField("optional_type"):
        yield "optional"
        yield from _names(kind.optional_type.elem_type)


def _holds_several(node: onnx.NodeProto) -> bool:
    name = node.op_type
    return name.startswith(("Sequence", "Optional")) or name in {"SplitToSequence", "ConcatFromSequence"}


def _draws(node: onnx.NodeProto, feeds: dict[str, Any]) -> bool:
    """Whether the node draws at random: a Dropout in training mode does, unless its ratio is 0."""
    if node.op_type != "Dropout":
        return node.op_type in DRAWING
    if len(node.input) < 3 or not np.all(feeds.get(node.input[2], False)):
        return False
    ratio = feeds.get(node.input[1])
    return ratio is None or bool(np.any(ratio))
