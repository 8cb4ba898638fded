"""The way of an error through the graph: from before the place where it starts to the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolkit.verification.divergence import Step
from toolkit.verification.locate.causes import Place
from toolkit.verification.locate.match import relative
from toolkit.verification.locate.trace import Trace

if TYPE_CHECKING:
    import onnx_ir as ir

_STEPS_BEFORE, _STEPS_AFTER = 5, 6
_UNIT = 2.0**-24  # the smallest noise of a float32 result


def noise(narrow: Trace, wide: Trace) -> dict[str, float]:
    """The source's own relative rounding error at each of its values."""
    return {
        name: max(relative(narrow.arrays[name], array), _UNIT)
        for name, array in wide.arrays.items()
        if name in narrow.arrays
    }


def of(place: Place, noises: Mapping[str, float]) -> tuple[Step, ...]:
    """The operators that lead to the place and from it to the outputs, each with its error over the source's noise."""
    nodes = [*_before(place.node), place.node, *_after(place.node)]
    return tuple(step for node in nodes if (step := _step(place, node, noises)) is not None)


def _before(node: ir.Node) -> list[ir.Node]:
    found: list[ir.Node] = []
    current = node
    while len(found) < _STEPS_BEFORE:
        producers = [value.producer() for value in current.inputs if value is not None]
        first = next((producer for producer in producers if producer is not None), None)
        if first is None:
            break
        found.append(first)
        current = first
    return found[::-1]


def _after(node: ir.Node) -> list[ir.Node]:
    found: list[ir.Node] = []
    current = node
    while True:
        following = [user for value in current.outputs for user in value.consumers()]
        if not following:
            return _thinned(found)
        found.append(following[0])
        current = following[0]


def _thinned(nodes: Sequence[ir.Node]) -> list[ir.Node]:
    """At most so many steps, the first and the last among them."""
    if len(nodes) <= _STEPS_AFTER:
        return list(nodes)
    index = np.unique(np.linspace(0, len(nodes) - 1, _STEPS_AFTER).round().astype(int))
    return [nodes[i] for i in index]


def _step(place: Place, node: ir.Node, noises: Mapping[str, float]) -> Step | None:
    name = str(node.outputs[0].name)
    if name not in place.matches.distance or name in place.file.fixed:
        return None
    if name not in place.strange and not place.matches.matched(name, place.tolerance):
        return None  # a detour: nothing in the source to compare it with
    floor = noises.get(place.matches.nearest[name], _UNIT)
    return Step(name_of(node), node.op_type, place.matches.distance[name] / floor, node is place.node)


def name_of(node: ir.Node) -> str:
    return node.name or f"-> {node.outputs[0].name}"
