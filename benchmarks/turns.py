"""Two sides timed in turns, A B B A, so that drift cancels; the interval of their ratio; what a process holds."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_WARM = 4  # calls before any is counted
_DRAWS = 400  # resamplings of the interval


def peak() -> float:
    """The process' largest resident memory since the last reset, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def times(native: Callable[[Any], Any], ours: Callable[[Any], Any], x: Any, seconds: float) -> tuple[list[float], ...]:
    """Paired times of single calls."""
    sides: tuple[list[float], list[float]] = ([], [])
    for _ in range(_WARM):
        native(x), ours(x)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(sides[0]) < 2 * _WARM:
        for side in (0, 1, 1, 0):
            started = time.perf_counter()
            (native, ours)[side](x)
            sides[side].append(time.perf_counter() - started)
    return sides


def interval(native: list[float], ours: list[float]) -> tuple[float, float]:
    """Within which the ratio of the medians lies in 95 % of the resamplings."""
    draw = random.Random(0)
    ratios = []
    for _ in range(_DRAWS):
        picked = [draw.randrange(len(native)) for _ in native]
        ratios.append(
            statistics.median(ours[index] for index in picked) / statistics.median(native[index] for index in picked)
        )
    ratios.sort()
    return ratios[_DRAWS // 40], ratios[-_DRAWS // 40]


def compared(native: list[float], ours: list[float]) -> dict[str, float]:
    """A row of a table of speed: medians in ms, their ratio and its interval."""
    low, high = interval(native, ours)
    medians = [statistics.median(side) for side in (native, ours)]
    return {"native_ms": 1e3 * medians[0], "ours_ms": 1e3 * medians[1], "ratio": medians[1] / medians[0],
            "low": low, "high": high, "calls": len(native)}  # fmt: skip


def first_calls(module: Callable[[Any], Any], x: Any) -> list[float]:
    found = []
    for _ in range(3):
        started = time.perf_counter()
        module(x)
        found.append(time.perf_counter() - started)
    return found


def page(parts: Sequence[str], head: Sequence[str], data: Mapping[str, Any], line: Callable[[str, Any], str]) -> str:
    """A page of introduction, a table for each number of threads with its rows' geometric mean, and the versions.

    `head` is the table's two first lines; `line` writes the row of one model.
    """
    sections = [*parts]
    for threads, rows in sorted(data["threads"].items()):
        mean = math.exp(statistics.fmean(math.log(row["ratio"]) for row in rows.values()))
        table = [*head, *(line(name, row) for name, row in rows.items())]
        sections += [f"## Threads: {threads}", f"Geometric mean of the ratios: **{mean:.2f}**.", "\n".join(table)]
    told = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    return "\n\n".join([*sections, f"Versions: {told}."]) + "\n"


def first_words(row: Mapping[str, Any]) -> dict[str, str]:
    """The first calls of both sides, in seconds, as a table shows them."""
    return {side: " / ".join(f"{s:.2f}" for s in calls) for side, calls in row["first_calls_s"].items()}
