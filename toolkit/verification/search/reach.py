"""Reach the sides of a graph's branches that no input has shown yet: by gradient, else by trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.verification.search import ascent
from toolkit.verification.search.domain import Domain, Row
from toolkit.verification.search.graph import Aim, Graph, by_sample
from toolkit.verification.search.margins import SIDES
from toolkit.verification.search.mutate import mutate

Array = np.ndarray[Any, Any]

_TOGETHER = 13  # rows that climb side by side; no likely size of anything, so that a batch is told from its rows
_MOST_BYTES = 2**30  # of what a climb keeps
_KEPT = 6  # times the results in float32: they are float64 here, with their gradients
_GENERATIONS = 60
_LONGEST = 1.0  # seconds for one side
_MOST_ROWS = 256


def rows(graph: Graph, domain: Domain, deadline: float, seed: int) -> tuple[list[Row], int]:
    """Rows for one side after another until time is up, and how many sides are left to try."""
    found: list[Row] = []
    while time.monotonic() < deadline and len(found) < _MOST_ROWS:
        aims = graph.aims()
        if not aims:
            break
        aim = aims[0]
        attempt = graph.tried[aim] = graph.tried.get(aim, 0) + 1
        generator = np.random.default_rng([seed, len(graph.tried), attempt])
        until = min(deadline, time.monotonic() + _LONGEST)
        new = _tried(graph, domain, aim, attempt, until, generator)
        found += new
        for row in new[:_TOGETHER]:
            graph.look(graph.arrays(row), 1)
    return found, len(graph.aims())


def _tried(
    graph: Graph, domain: Domain, aim: Aim, attempt: int, until: float, generator: np.random.Generator
) -> list[Row]:
    together = int(min(max(_MOST_BYTES / (_KEPT * graph.row_bytes), 1), _TOGETHER))
    starts = [domain.seeds[int(i)] for i in generator.permutation(len(domain.seeds))[:together]]
    while len(starts) < together:
        starts.append(mutate(starts[0], starts[-1], domain, generator))
    if domain.floats and attempt != 2:
        return _by_gradient(graph, domain, aim, starts, until, int(generator.integers(2**31)))
    return _by_trial(graph, domain, aim, starts, until, generator)


def _by_gradient(graph: Graph, domain: Domain, aim: Aim, starts: list[Row], until: float, seed: int) -> list[Row]:
    """All rows in one batch where the margin is by row, else one row after the other."""
    together = len(domain.signature.batched) == len(domain.signature.inputs)

    def objective(inputs: ascent.Inputs) -> Tensor:
        return _height(graph, aim, inputs, wide=True)

    found: list[Row] = []
    groups = [starts] if together and _by_row(graph, aim, starts, domain) else [[row] for row in starts[:4]]
    for group in groups:
        batch = next(domain.batches(group, "")) if len(group) > 1 else None
        arrays = graph.arrays(batch.inputs if batch is not None else group[0])
        arrived = ascent.climb(objective, arrays, until, seed)
        found += [row for inputs in arrived for row in _rows(domain, graph, inputs, len(group))]
        if time.monotonic() > until:
            break
    return _best(graph, aim, found)


def _by_row(graph: Graph, aim: Aim, starts: list[Row], domain: Domain) -> bool:
    batch = next(domain.batches(starts, ""))
    if batch.size != len(starts):
        return False
    with torch.no_grad():
        margin = graph.margins(graph.arrays(batch.inputs), wide=False).get(aim.target)
    return margin is not None and margin.dim() > 0 and margin.shape[0] == len(starts)


def _height(graph: Graph, aim: Aim, inputs: ascent.Inputs, *, wide: bool) -> Tensor:
    """By sample, how far the side that is aimed at has been reached: above 0 it is."""
    size = max((t.shape[0] for t in inputs.values() if t.dim()), default=1)
    margin = graph.margins(inputs, wide=wide)[aim.target].double()
    flat = by_sample(margin, size)
    if aim.element is not None and aim.element < flat.shape[1]:
        flat = flat[:, aim.element : aim.element + 1]
    if aim.target.want != SIDES:
        return -flat.abs().amin(dim=1)
    return (aim.sign * flat).amax(dim=1)


def _rows(domain: Domain, graph: Graph, inputs: ascent.Inputs, size: int) -> list[Row]:
    """The batch's rows in the dtypes of the model's inputs, under the model's names."""
    names = list(domain.seeds[0])
    found = []
    for index in range(size):
        row = {}
        for name, tensor in zip(names, (inputs[n] for n in _ordered(graph, names)), strict=True):
            array = tensor.detach().numpy().astype(domain.seeds[0][name].dtype)
            row[name] = array[index : index + 1] if name in domain.signature.batched else array
        if all(np.isfinite(array).all() for array in row.values() if array.dtype.kind == "f"):
            found.append(row)
    return found


def _ordered(graph: Graph, names: Sequence[str]) -> list[str]:
    """The graph's names in the order of the model's."""
    return list(names) if all(name in graph.inputs for name in names) else list(graph.inputs)


def _best(graph: Graph, aim: Aim, found: list[Row]) -> list[Row]:
    """The rows that got furthest in float32, where it counts; those aimed at zero with their nearest neighbours."""
    if not found:
        return []
    if aim.target.want != SIDES:
        found = [*found, *(near for row in found[:4] for near in _neighbours(row))]
    heights = []
    for row in found:
        with torch.no_grad():
            try:
                heights.append(float(_height(graph, aim, graph.arrays(row), wide=False).max()))
            except KeyError:
                heights.append(-np.inf)
    order = np.argsort(-np.array(heights), kind="stable")
    reached = [int(i) for i in order if heights[i] > 0]
    kept = [*reached[:24:3], *(int(i) for i in order[:6])]
    return [found[i] for i in dict.fromkeys(kept)]


def _neighbours(row: Row) -> list[Row]:
    """The row with a few elements one ULP up or down."""
    generator = np.random.default_rng(0)
    near = []
    for _ in range(16):
        moved = dict(row)
        for name, array in row.items():
            if array.dtype.kind == "f":
                towards = np.where(generator.random(array.shape) < 0.5, np.inf, -np.inf).astype(array.dtype)
                step = np.nextafter(array, towards)
                moved[name] = np.where(generator.random(array.shape) < 0.3, step, array)
        near.append(moved)
    return near


def _by_trial(
    graph: Graph, domain: Domain, aim: Aim, starts: list[Row], until: float, generator: np.random.Generator
) -> list[Row]:
    """Change rows at random and keep those whose margin is larger."""
    pool: list[tuple[float, int, Row]] = []
    count = 0
    rows_now = starts
    for _ in range(_GENERATIONS):
        if time.monotonic() > until:
            break
        for batch in domain.batches(rows_now, ""):
            with torch.no_grad():
                height = _height(graph, aim, graph.arrays(batch.inputs), wide=False)
            height = height.expand(batch.size)
            for row, value in zip(domain.rows_of(batch), height.tolist(), strict=True):
                count += 1
                pool.append((-value, count, row))
        pool = sorted(pool, key=lambda item: item[:2])[:12]
        if pool[0][0] < 0:
            break
        parents = [row for _, _, row in pool]
        rows_now = [
            mutate(parents[int(min(generator.integers(len(parents), size=2)))],
                   domain.seeds[int(generator.integers(len(domain.seeds)))], domain, generator)
            for _ in range(domain.rows)
        ]  # fmt: skip
    return [row for _, _, row in pool[:4]]
