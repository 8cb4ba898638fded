"""Where the matches end: the first operator that turns what the source knows into what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.verification.locate.match import Matches, tells
from toolkit.verification.locate.trace import Trace, inputs_of

if TYPE_CHECKING:
    import onnx_ir as ir


def strange(trace: Trace, matches: Matches, tolerance: float) -> set[str]:
    """The values that the source never computes, and from which nothing follows that it does compute.

    A result without a counterpart that leads to one with a counterpart is a detour (another layout, a step that the
    other side fuses), not a mistake. An output of the model is no detour, whatever follows from it.
    """
    outputs = {str(value.name) for value in trace.model.graph.outputs}
    known: set[str] = set()  # has a counterpart, or leads to one
    for node in reversed(list(trace.model.graph)):
        names = [str(value.name) for value in node.outputs]
        leads = outputs.isdisjoint(names) and any(_vouched(value, trace, known) for value in node.outputs)
        if leads or any(matches.matched(name, tolerance) for name in names):
            known.update(names)
    found: set[str] = set()
    for node in trace.model.graph:
        from_strange = any(value is not None and str(value.name) in found for value in inputs_of(node))
        for value in node.outputs:
            name = str(value.name)
            if name not in trace.arrays or name in known or name in trace.fixed:
                continue
            if from_strange or tells(trace.arrays[name]):
                found.add(name)
    return found


def first(trace: Trace, found: set[str]) -> ir.Node | None:
    """The first operator with a strange result of inputs that are none."""
    for node in trace.model.graph:
        if any(str(value.name) in found for value in node.outputs) and not any(
            value is not None and str(value.name) in found for value in inputs_of(node)
        ):
            return node
    return None


_PICKING = frozenset({"Gather", "GatherElements", "GatherND", "Slice", "Split"})


def _vouched(value: ir.Value, trace: Trace, known: set[str]) -> bool:
    """Whether something known follows from a value. Of what only picks a part of it all must be known, and a class
    that follows says little of the scores.
    """
    picked: list[bool] = []
    whole: list[bool] = []
    for node in value.consumers():
        for out in node.outputs:
            array = trace.arrays.get(str(out.name))
            if array is None or array.dtype.kind == "f":
                (picked if node.op_type in _PICKING else whole).append(str(out.name) in known)
    return any(whole) or (bool(picked) and not whole and all(picked))
