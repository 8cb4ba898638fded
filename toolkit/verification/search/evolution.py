"""Climb towards larger differences by trial: the best rows so far are changed and crossed, and the better ones kept."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from toolkit.verification.plan import Batch
from toolkit.verification.search.domain import Domain, Row
from toolkit.verification.search.mutate import mutate
from toolkit.verification.search.trial import Tried

_KEPT = 24
_FRESH = 0.25  # of each generation starts anew from the seeds


def strategy(domain: Domain, seed: int) -> Generator[list[Batch], list[Tried], None]:
    """Generation after generation, for as long as there is time."""
    generator = np.random.default_rng([seed, 100])
    best: list[tuple[float, int, Row]] = []
    count = 0
    while True:
        pool = [row for _, _, row in best] or domain.seeds
        children = []
        for _ in range(domain.rows):
            fresh = generator.random() < _FRESH
            parents = domain.seeds if fresh else pool
            # the better ones more often: the smaller of two draws
            first = parents[int(min(generator.integers(len(parents), size=2)))]
            other = domain.seeds[int(generator.integers(len(domain.seeds)))]
            children.append(mutate(first, other, domain, generator))
        tried = yield list(domain.batches(children, "search: evolution"))
        for each in tried:
            if each.ratios is None:
                continue
            for row, ratio in zip(domain.rows_of(each.batch), each.ratios, strict=False):
                count += 1
                best.append((-float(np.nan_to_num(ratio, posinf=1e9)), count, row))
        best = sorted(best, key=lambda item: item[:2])[:_KEPT]
