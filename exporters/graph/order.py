"""The sequence of a graph's nodes: each after those whose results it reads, as ONNX asks for.

Some tools append the nodes that they add (onnxruntime.transformers.float16 does), and ONNX Runtime opens such files.
"""

from __future__ import annotations

import heapq
from collections import defaultdict

import onnx

from exporters.graph.protos import subgraphs
from toolkit.errors import InvalidGraph


def sort(graph: onnx.GraphProto, where: str) -> bool:
    """Bring the nodes of `graph` and of the graphs in it into such a sequence, in place; whether any had to move.

    Nodes that may stay where they are keep their sequence. Raises InvalidGraph for nodes that wait for each other.
    """
    moved = [sort(inner, where) for node in graph.node for inner in subgraphs(node)]
    made = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{made[name] for name in _read(node) if name in made} for node in graph.node]
    if all(index > max(needed, default=-1) for index, needed in enumerate(needs)):
        return any(moved)
    sequence = _sequence(needs)
    if len(sequence) < len(needs):
        stuck = graph.node[min(set(range(len(needs))) - set(sequence))]
        raise InvalidGraph(
            "it waits for its own result: nodes of the graph read each other's in a circle",
            where=f"{where}, node '{stuck.name or f'-> {stuck.output[0]}'}'",
            hint="Export it again.",
        )
    nodes = [onnx.NodeProto.FromString(graph.node[index].SerializeToString()) for index in sequence]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _sequence(needs: list[set[int]]) -> list[int]:
    """Places such that each comes after those it needs, the first ones first; those in a circle are left out."""
    waiting = [len(needed) for needed in needs]
    readers = defaultdict(list)
    for index, needed in enumerate(needs):
        for other in needed:
            readers[other].append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    found = []
    while ready:
        index = heapq.heappop(ready)
        found.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    return found


def _read(node: onnx.NodeProto) -> set[str]:
    """What a node reads: its inputs, and what the graphs in it read of those around them."""
    return set(node.input).union(*map(_captured, subgraphs(node)))


def _captured(graph: onnx.GraphProto) -> set[str]:
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    return set().union(*map(_read, graph.node), (value.name for value in graph.output)) - own
