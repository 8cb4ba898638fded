"""The plain PyTorch call that stands for an operator once its types, ranks and attributes are known.

An operator's own function is right for every dtype, rank and attribute, and decides at run time; what the graph tells
beforehand need not be decided again at every call. `module.code` then reads like PyTorch written by hand, a small
model loses no time between its kernels, and PyTorch's own exporters find only what they know. A rule returns None
where it does not know enough: the function stays.
"""

from __future__ import annotations

from typing import Any

from exporters.graph.operator_table import FUSED
from exporters.onnx_to_torch.plain import elements, layers, moves, recurrent, resizing
from exporters.onnx_to_torch.plain.call import Call, Rule

__all__ = ["SEVERAL", "Call", "call"]

SEVERAL = frozenset(recurrent.RULES)  # operators whose plain call gives a tuple, of as many results as their own

_OLDEST = 7  # the first opset whose operators these rules know
RULES: dict[str, Rule] = elements.RULES | layers.RULES | moves.RULES | recurrent.RULES | resizing.RULES


def call(given: Call) -> Any:
    """The plain call for a node, added to the graph; None where the operator's own function must decide."""
    # before opset 7 operators broadcast, and trained, by attributes that the plain calls do not know
    known = given.opset >= _OLDEST and given.node.domain in {"", FUSED}
    rule = RULES.get(given.node.op_type) if known else None
    return rule(given) if rule is not None else None
