"""Large weights of a TensorFlow graph widened to float64 one by one, each when the operator that reads it is due."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

FLOAT32 = "/float32"  # behind a weight's name: the same in float32, as it is fed
# What hands a weight on to the operator that computes with it.
_HANDING_ON = frozenset({"Identity", "Reshape", "Transpose", "ExpandDims", "Squeeze"})


def widen_late(graph_def: Any, weights: Collection[str]) -> None:
    """Feed the placeholders called `weights` in float32, under another name, and cast them in the graph; in place.

    A Cast has no inputs to wait for: TensorFlow would do all of them first, and hold all results. Each is made to wait
    for what else its operator reads; a weight that several operators read waits for nothing.
    """
    from tensorflow.core.framework import types_pb2

    nodes = {node.name: node for node in graph_def.node}
    readers = _readers(nodes)
    for name in weights:
        given = graph_def.node.add()
        given.CopyFrom(nodes[name])
        given.name = name + FLOAT32
        given.attr["dtype"].type = types_pb2.DT_FLOAT
        cast = nodes[name]
        awaited = _awaited(name, nodes, readers, weights)
        for key in list(cast.attr):
            del cast.attr[key]
        cast.op = "Cast"
        cast.attr["SrcT"].type, cast.attr["DstT"].type = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE
        cast.input.extend([given.name, *(f"^{other}" for other in awaited)])


def _readers(nodes: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in nodes.values():
        for given in node.input:
            found.setdefault(_owner(given), []).append(node.name)
    return found


def _owner(given: str) -> str:
    """The node that an input comes from."""
    return given.removeprefix("^").partition(":")[0]


def _awaited(
    name: str, nodes: Mapping[str, Any], readers: Mapping[str, list[str]], weights: Collection[str]
) -> list[str]:
    """What the one operator that computes with a weight reads besides; nothing where that is not one operator."""
    reader = name
    while len(readers.get(reader, ())) == 1:
        previous, reader = reader, readers[reader][0]
        others = [_owner(given) for given in nodes[reader].input if _owner(given) != previous]
        moving = [other for other in others if nodes[other].op != "Const" and other not in weights]
        if moving:
            return moving
        if nodes[reader].op not in _HANDING_ON:
            return []
    return []
