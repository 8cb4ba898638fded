"""The smallest cut of a flow network between its source and its sink: Dinic's algorithm on integer capacities."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

SOURCE, SINK = "source", "sink"
INFINITE = 1 << 60


class Network:
    """Nodes are any hashable things; two of them are SOURCE and SINK."""

    def __init__(self) -> None:
        self._index: dict[Hashable, int] = {}
        self._edges: list[list[int]] = []  # of each node, positions in the two lists below
        self._heads: list[int] = []
        self._left: list[int] = []  # capacity that is left; edge i and its reverse i ^ 1 lie side by side

    def _node(self, key: Hashable) -> int:
        if key not in self._index:
            self._index[key] = len(self._edges)
            self._edges.append([])
        return self._index[key]

    def connect(self, tail: Hashable, head: Hashable, capacity: int) -> None:
        """An edge that costs `capacity` where its tail is on the source's side and its head on the sink's."""
        first, second = self._node(tail), self._node(head)
        for start, end, amount in ((first, second, capacity), (second, first, 0)):
            self._edges[start].append(len(self._heads))
            self._heads.append(end)
            self._left.append(amount)

    def source_side(self) -> set[Hashable]:
        """The nodes on the source's side of a smallest cut."""
        source, sink = self._node(SOURCE), self._node(SINK)
        while True:
            levels = self._levels(source)
            if levels[sink] < 0:
                return {key for key, node in self._index.items() if levels[node] >= 0}
            position = [0] * len(self._edges)
            while self._augment(source, sink, levels, position):
                pass

    def _levels(self, source: int) -> list[int]:
        levels = [-1] * len(self._edges)
        levels[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                head = self._heads[edge]
                if self._left[edge] and levels[head] < 0:
                    levels[head] = levels[node] + 1
                    queue.append(head)
        return levels

    def _augment(self, source: int, sink: int, levels: list[int], position: list[int]) -> bool:
        """Send flow along one path of rising levels; False where there is none left."""
        path: list[int] = []
        node = source
        while node != sink:
            while position[node] < len(self._edges[node]):
                edge = self._edges[node][position[node]]
                head = self._heads[edge]
                if self._left[edge] and levels[head] == levels[node] + 1:
                    path.append(edge)
                    node = head
                    break
                position[node] += 1
            else:
                if not path:
                    return False
                node = self._heads[path.pop() ^ 1]
                position[node] += 1
        flow = min(self._left[edge] for edge in path)
        for edge in path:
            self._left[edge] -= flow
            self._left[edge ^ 1] += flow
        return True
