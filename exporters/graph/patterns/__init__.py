"""Operators that a graph spells out, recognised and written as one node each.

One file per family of forms; each shows the form, and says when it may not be replaced. A pattern never changes what
a model predicts by more than rounding noise, and it touches no weight: those stay under their names, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph.clean import infer_shapes
from exporters.graph.operator_table import FUSED
from exporters.graph.patterns import (
    attention,
    channels_last_groups,
    clip,
    einsum,
    gelu,
    group_normalization,
    hard_activations,
    heads,
    instance_normalization,
    layer_normalization,
    linear,
    long_sums,
    masks,
    matrix_product,
    mish,
    places,
    rms_normalization,
    rotary,
    swish,
)
from exporters.graph.patterns.registry import PATTERNS, Pattern, pattern, replace
from exporters.graph.values import ints, same_shape

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "FUSED",
    "PATTERNS",
    "Pattern",
    "apply",
    "attention",
    "channels_last_groups",
    "clip",
    "einsum",
    "gelu",
    "group_normalization",
    "hard_activations",
    "instance_normalization",
    "layer_normalization",
    "linear",
    "long_sums",
    "matrix_product",
    "mish",
    "pattern",
    "places",
    "rms_normalization",
    "rotary",
    "swish",
]

_OLDEST = 7  # before, arithmetic did not broadcast, or along an axis that an attribute named


def apply(model: ir.Model, *, which: Collection[str] | None = None, for_file: bool = False) -> dict[str, int]:
    """Replace what spells an operator by that operator, in place, and say how often: {pattern's name: count}.

    Args:
        model: shapes and dtypes are inferred first; a form whose shapes stay unknown is left as it is.
        which: names of the patterns to use, of `PATTERNS`; all of them where nothing is said.
        for_file: only operators that the model's own opset has, so that the result is a standard ONNX model. Else
            newer ones may come, in the domain `FUSED`, with the meaning that ONNX's newest opset gives them.
    """
    opset = model.opset_imports.get("", 0)
    if opset < _OLDEST:
        return {}
    rules = [
        rule
        for name, rule in PATTERNS.items()
        if (which is None or name in which) and (not for_file or (rule.since is not None and rule.since <= opset))
    ]
    infer_shapes(model)
    counts: Counter[str] = Counter()
    for graph in (model.graph, *model.graph.subgraphs()):
        _remove_idle(graph)
        heads.ask_before_repeats(graph)
        if not for_file:
            masks.ask_before_scores(graph)
        for known in ([rule for rule in rules if rule.opens], rules):  # what opens others must not be taken apart
            while found := _once(model, graph, known):  # what was recognised may be a part of the next form
                counts += found
                if any(PATTERNS[name].opens for name in found):
                    infer_shapes(model)
    common.RemoveUnusedNodesPass()(model)
    return dict(counts)


def _once(model: ir.Model, graph: ir.Graph, rules: list[Pattern]) -> Counter[str]:
    found: Counter[str] = Counter()
    # From the end: the largest form comes before the smaller ones that it contains.
    for node in reversed(list(graph)):
        for rule in rules:
            if node.graph is graph and node.domain == "" and node.op_type in rule.roots and _use(model, node, rule):
                found[rule.name] += 1
    return found


def _remove_idle(graph: ir.Graph) -> None:
    """What changes nothing hides a form: reshapes to the same shape, casts to the same dtype, padding by nothing."""
    for node in list(graph):
        given, out = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.domain == "" and given is not None and not out.is_graph_output() and _is_idle(node, given):
            ir.convenience.replace_all_uses_with(out, given)
            graph.remove(node, safe=True)


def _is_idle(node: ir.Node, given: ir.Value) -> bool:
    out = node.outputs[0]
    if node.op_type == "Reshape":
        return given.shape is not None and out.shape is not None and same_shape(given.shape, out.shape)
    if node.op_type == "Cast":
        return given.dtype is not None and given.dtype == node.attributes["to"].as_int()
    amounts = ints(node, "pads", 1) if node.op_type == "Pad" else None
    return bool(amounts) and not any(amounts or [])


def _use(model: ir.Model, node: ir.Node, rule: Pattern) -> bool:
    step = rule.rule(node)
    return step is not None and replace(model, node, step, rule.since)
