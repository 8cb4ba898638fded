"""The drawing of an error's way through the graph: an operator per line, its result's error over noise as a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.report.cells import ratio
from toolkit.report.charts import WIDTH, zone_of
from toolkit.report.thresholds import ACCEPTED
from toolkit.verification.divergence import Divergence, Step

LINE = 30.0
_TOP = 22.0
_LABELS = 210.0  # where the bars begin
_FIGURE = 58.0  # room for the figure behind the longest bar
_LEAST = 0.1  # an error over noise that is drawn as nothing


@dataclass(frozen=True)
class Stop:
    """One operator: where its box and its bar stand, and what they say."""

    y: float
    operator: str
    node: str
    length: float
    figure: str
    zone: str
    first: bool


@dataclass(frozen=True)
class Way:
    """The whole drawing; `limit` is where the accepted error over noise lies, `words` say what it shows."""

    width: float
    height: float
    bars: float
    limit: float | None
    stops: tuple[Stop, ...]
    words: str


def draw(divergence: Divergence, thresholds: Mapping[str, float]) -> Way | None:
    """None where the way is not known."""
    if len(divergence.path) < 2:
        return None
    largest = max([10.0, *(step.error for step in divergence.path if math.isfinite(step.error))])
    room = WIDTH - _LABELS - _FIGURE

    def length(error: float) -> float:
        shown = min(error, largest) if math.isfinite(error) else largest
        return room * max(math.log(max(shown, _LEAST) / _LEAST) / math.log(largest / _LEAST), 0.0)

    stops = tuple(_stop(index, step, length(step.error), thresholds) for index, step in enumerate(divergence.path))
    limit = thresholds.get(ACCEPTED)
    words = ", ".join(f"{stop.operator} {stop.figure}" for stop in stops)
    return Way(
        WIDTH,
        _TOP + LINE * len(stops),
        _LABELS,
        _LABELS + length(limit) if limit else None,
        stops,
        f"error over the source's own rounding noise: {words}",
    )


def _stop(index: int, step: Step, length: float, thresholds: Mapping[str, float]) -> Stop:
    y = _TOP + LINE * index
    return Stop(y, step.operator, step.node, length, ratio(step.error), zone_of(step.error, thresholds), step.first)
