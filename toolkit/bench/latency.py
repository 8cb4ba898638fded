"""Time two models in turns (A B B A), so that a drift of the machine cancels, and bound the ratio of their medians.

Knows no framework and no worker: a model is a function that makes some calls and returns their times. On a machine that
is busy with something else wall time alone is not to be believed, however narrow its interval: then the CPU time, which
waiting does not lengthen, must tell the same by a wide margin, or the answer is "can't tell".
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Timed:
    """Wall nanoseconds of each call, and CPU nanoseconds of all of them; None where a device does the work."""

    nanoseconds: Array
    cpu: int | None

    @property
    def lost_the_core(self) -> bool:
        """Whether the calls took much more wall than CPU time: then something else ran in between."""
        wall = float(self.nanoseconds.sum())
        return self.cpu is not None and wall > _MEASURABLE and wall > _LOST_CORE * self.cpu


Caller = Callable[[int], Timed]

SECONDS = 0.5  # for one pair, warm-up included; only a model of which one call takes long needs more
WARM_SECONDS = 0.1  # a side's warm-up ends when two blocks agree, at the latest after this long: never an endless wait
STABLE = 0.05
BLOCK_SECONDS = 0.006
LEAST_ROUNDS, MOST_ROUNDS = 4, 10  # of A B B A
MOST_CALLS = 400
RESAMPLES = 2000

_MEASURABLE = 2e6  # nanoseconds; the CPU clock is too coarse for less
_LOST_CORE = 1.35
# Where the middle call takes this many times as long as the fastest tenth, or one block as another, something is in
# the way: on a quiet machine both are within a few per cent.
_SPREAD = 1.5
# How far from 1 a ratio must lie. Two copies of one model, timed on a quiet machine, differ by up to 4 %: where their
# weights lie in memory is enough.
_QUIET_MARGIN = 1.05
_VARYING_MARGIN = 2.0
_CROWDED_MARGIN = 3.0
_CROWDED = 0.34  # share of the rounds at whose start the cores were taken by others


@dataclass(frozen=True)
class Comparison:
    """All calls of both sides in milliseconds, and the ratio of medians with its 95 % interval.

    `fastest` is the ratio of the sides' fastest tenths, which a busy machine disturbs least. `disturbance` says what
    makes the figures doubtful; None where nothing does. `margin` is how far from 1 the ratio must lie to be believed.
    `cpu_ratio`, the ratio of CPU times, is there where the wall times need a witness: others had the cores. It is nan
    where no CPU time is known, and then nothing is claimed.
    """

    samples: Array
    reference: Array
    ratio: float
    low: float
    high: float
    fastest: float
    disturbance: str | None = None
    margin: float = 1.0
    cpu_ratio: float | None = None

    @property
    def noisy(self) -> bool:
        return self.disturbance is not None

    @property
    def verdict(self) -> str:
        """Faster or slower only where the whole interval and all witnesses say so, by more than the margin."""
        witnesses = [self.fastest] if self.cpu_ratio is None else [self.fastest, self.cpu_ratio]
        if all(ratio * self.margin < 1.0 for ratio in (self.high, *witnesses)):
            return "faster"
        return "slower" if all(ratio > self.margin for ratio in (self.low, *witnesses)) else "can't tell"


def busy_elsewhere() -> bool:
    """Whether other processes want more cores than there are: tasks that can run now, this one not counted."""
    try:
        running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3]
        return int(running.partition("/")[0]) - 1 >= (os.cpu_count() or 1)
    except (OSError, ValueError, IndexError):  # not Linux: the other signs have to do
        return False


def compare(
    model: Caller,
    reference: Caller,
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    crowded: Callable[[], bool] = busy_elsewhere,
) -> Comparison:
    """Warm both up, time them in turns, and bootstrap the ratio over rounds: single calls are not independent."""
    deadline = clock() + seconds
    ours, theirs = (_calls_per_block(_warm(side, clock)) for side in (model, reference))
    rounds: list[_Round] = []
    while len(rounds) < LEAST_ROUNDS or (len(rounds) < MOST_ROUNDS and clock() < deadline):
        busy = crowded()
        first, *pair, last = reference(theirs), model(ours), model(ours), reference(theirs)
        rounds.append(_Round(tuple(pair), (first, last), busy))
    quiet = [each for each in rounds if not each.lost_the_core]
    enough = len(quiet) >= max(LEAST_ROUNDS, len(rounds) / 2)
    return _compared(quiet if enough else rounds, seed, None if enough else "wall time far above CPU time")


@dataclass(frozen=True)
class _Round:
    """Two blocks of calls of each side, and whether the cores were taken when it began."""

    ours: tuple[Timed, ...]
    theirs: tuple[Timed, ...]
    crowded: bool

    @property
    def lost_the_core(self) -> bool:
        return any(block.lost_the_core for block in (*self.ours, *self.theirs))


def _warm(side: Caller, clock: Callable[[], float]) -> float:
    """Call until two blocks agree; returns a call's time in seconds."""
    deadline = clock() + WARM_SECONDS
    previous, calls = math.nan, 1
    while True:
        median = float(np.median(side(calls).nanoseconds)) / 1e9
        if abs(median - previous) <= STABLE * previous or clock() > deadline:
            return median
        previous, calls = median, _calls_per_block(median)


def _calls_per_block(seconds: float) -> int:
    return int(np.clip(BLOCK_SECONDS / max(seconds, 1e-9), 1, MOST_CALLS))


def _compared(rounds: Sequence[_Round], seed: int, disturbance: str | None) -> Comparison:
    ours = [block.nanoseconds / 1e6 for each in rounds for block in each.ours]
    theirs = [block.nanoseconds / 1e6 for each in rounds for block in each.theirs]
    if np.mean([each.crowded for each in rounds]) > _CROWDED:
        disturbance = disturbance or "other processes wanted the cores"
    spread = _spread(ours) or _spread(theirs)
    samples, reference = np.concatenate(ours), np.concatenate(theirs)
    low, high = _interval(ours, theirs, seed)
    return Comparison(
        samples,
        reference,
        ratio=float(np.median(samples) / np.median(reference)),
        low=low,
        high=high,
        fastest=float(np.percentile(samples, 10) / np.percentile(reference, 10)),
        disturbance=disturbance or spread,
        margin=_CROWDED_MARGIN if disturbance else _VARYING_MARGIN if spread else _QUIET_MARGIN,
        cpu_ratio=_cpu_ratio(rounds) if disturbance else None,
    )


def _cpu_ratio(rounds: Sequence[_Round]) -> float:
    """CPU time per call of ours over theirs; nan where a device does the work of either."""
    ours, theirs = (
        sum(math.nan if block.cpu is None else block.cpu for block in side) / sum(len(b.nanoseconds) for b in side)
        for side in ([b for each in rounds for b in each.ours], [b for each in rounds for b in each.theirs])
    )
    return ours / theirs if theirs > 0 else math.nan


def _spread(blocks: Sequence[Array]) -> str | None:
    """In words, that one side's times lie further apart than a quiet machine's do."""
    medians = [float(np.median(block)) for block in blocks]
    calls = np.concatenate(blocks)
    if np.percentile(medians, 90) > _SPREAD * np.percentile(medians, 10):
        return "rounds differ from each other"
    if np.median(calls) > _SPREAD * np.percentile(calls, 10):
        return "calls differ from each other"
    return None


def _interval(ours: Sequence[Array], theirs: Sequence[Array], seed: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of the ratio of medians, resampling blocks as pairs that ran side by side."""
    generator = np.random.default_rng(seed)
    a, b = (np.array([np.median(block) for block in side]) for side in (ours, theirs))
    index = generator.integers(0, len(a), (RESAMPLES, len(a)))
    ratios = np.median(a[index], axis=1) / np.median(b[index], axis=1)
    return float(np.percentile(ratios, 2.5)), float(np.percentile(ratios, 97.5))


def summary(milliseconds: Array) -> dict[str, float]:
    """Median, 90th and 99th percentile."""
    median, p90, p99 = (float(value) for value in np.percentile(milliseconds, [50, 90, 99]))
    return {"median": median, "p90": p90, "p99": p99}
