"""Time two models in turns (A B B A), so that a drift of the machine cancels, and bound the ratio of their medians.

Knows no framework and no worker: a model is a function that makes some calls and returns their times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Timed:
    """Wall nanoseconds of each call, and CPU nanoseconds of all of them together."""

    nanoseconds: Array
    cpu: int


Caller = Callable[[int], Timed]

WARM_SECONDS = 0.5  # a warm-up ends when it is stable, at the latest after this long: never an endless wait
STABLE = 0.05
ROUNDS = 8  # of A B B A
ROUND_SECONDS = 0.015
LEAST_CALLS, MOST_CALLS = 3, 400
RESAMPLES = 2000
_NOISY = 1.35  # wall over CPU time, per busy thread, beyond which something else had the cores


@dataclass(frozen=True)
class Comparison:
    """All calls of both sides in milliseconds, and the ratio of medians with its 95 % interval."""

    samples: Array
    reference: Array
    ratio: float
    low: float
    high: float
    noisy: bool

    @property
    def verdict(self) -> str:
        """Faster or slower only where the whole interval says so."""
        if self.high < 1.0:
            return "faster"
        return "slower" if self.low > 1.0 else "can't tell"


def compare(model: Caller, reference: Caller, *, rounds: int = ROUNDS, seed: int = 0) -> Comparison:
    """Warm both up, time them in turns, and bootstrap the ratio over rounds: single calls are not independent."""
    calls = {side: _calls_per_round(_warm(side)) for side in (model, reference)}
    taken: dict[Caller, list[Timed]] = {model: [], reference: []}
    for _ in range(rounds):
        for side in (reference, model, model, reference):
            taken[side].append(side(calls[side]))
    ours, theirs = ([timed.nanoseconds / 1e6 for timed in taken[side]] for side in (model, reference))
    ratio = float(np.median(np.concatenate(ours)) / np.median(np.concatenate(theirs)))
    low, high = _interval(ours, theirs, seed)
    noisy = any(_is_noisy(timed) for side in taken.values() for timed in side)
    return Comparison(np.concatenate(ours), np.concatenate(theirs), ratio, low, high, noisy)


def _warm(side: Caller) -> float:
    """Call until two rounds agree; returns a call's time in seconds."""
    deadline = time.monotonic() + WARM_SECONDS
    previous = float("inf")
    calls = LEAST_CALLS
    while True:
        median = float(np.median(side(calls).nanoseconds)) / 1e9
        if abs(median - previous) <= STABLE * previous or time.monotonic() > deadline:
            return median
        previous, calls = median, _calls_per_round(median)


def _calls_per_round(seconds: float) -> int:
    return int(np.clip(ROUND_SECONDS / max(seconds, 1e-9), LEAST_CALLS, MOST_CALLS))


def _interval(ours: list[Array], theirs: list[Array], seed: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of the ratio of medians, resampling rounds as pairs that ran side by side."""
    generator = np.random.default_rng(seed)
    a, b = (np.array([np.median(block) for block in side]) for side in (ours, theirs))
    index = generator.integers(0, len(a), (RESAMPLES, len(a)))
    ratios = np.median(a[index], axis=1) / np.median(b[index], axis=1)
    return float(np.percentile(ratios, 2.5)), float(np.percentile(ratios, 97.5))


def _is_noisy(timed: Timed) -> bool:
    """Whether a round took much more wall than CPU time: then something else had the core."""
    wall = float(timed.nanoseconds.sum())
    return wall > 2e6 and wall > _NOISY * timed.cpu


def summary(milliseconds: Array) -> dict[str, float]:
    """Median, 90th and 99th percentile."""
    median, p90, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 99]))
    return {"median": median, "p90": p90, "p99": p99}
