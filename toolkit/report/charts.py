"""The geometry of the report's charts, as data; the templates draw it as inline SVG.

Lengths are in SVG user units on a canvas of `WIDTH`; every chart carries its content as a sentence as well, for readers
that see no picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.report.cells import ratio, speed
from toolkit.report.thresholds import ACCEPTED, REJECTED, value_text
from toolkit.verification.report import Histogram, Latency, Row

WIDTH = 480.0
ERROR_HEIGHT = 190.0
LATENCY_HEIGHT = 190.0
STRIP_WIDTH = 180.0
_MARGIN = 8.0
_TOP = 26.0
_BOTTOM = 38.0
_LATENCY_BINS = 48
_TAIL = 4.0


@dataclass(frozen=True)
class Bar:
    """One bar; `zone` is "pass", "doubt" or "fail" for errors, "source" or "export" for latencies."""

    x: float
    y: float
    width: float
    height: float
    zone: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A tick of the axis, a limit or a median, at `x`; `anchor` says on which side of it its label stands."""

    x: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Chart:
    """Bars over an axis, with named lines through them; `words` says what the picture shows."""

    title: str
    words: str
    width: float
    height: float
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    axis: str
    baselines: tuple[float, ...] = ()


@dataclass(frozen=True)
class Strip:
    """One row's place on the scale that all rows of a table share: the pooled R as a dot, the worst input as a line."""

    dot: float
    worst: float
    accepted: float
    rejected: float
    zone: str
    words: str


@dataclass(frozen=True)
class LogScale:
    """Maps values between two powers of ten to lengths between `start` and `end`; what is outside is at the edge."""

    low: int
    high: int
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if not value > 0:
            return self.start
        share = (min(math.log10(value), self.high) - self.low) / (self.high - self.low)
        return round(self.start + max(share, 0.0) * (self.end - self.start), 2)

    def ticks(self, most: int = 9) -> tuple[Mark, ...]:
        step = max(1, math.ceil((self.high - self.low + 1) / most))
        return tuple(Mark(self(10.0**power), _power(power)) for power in range(self.low, self.high + 1, step))


def errors(histogram: Histogram, thresholds: Mapping[str, float]) -> Chart | None:
    """How many inputs lie how far from the truth, in units of the source's rounding noise, on a log axis."""
    filled = [(low, high, count) for low, high, count in _bins(histogram) if count]
    if not filled:
        return None
    limits = [thresholds[name] for name in (ACCEPTED, REJECTED) if thresholds.get(name)]
    scale = _scale([value for low, high, _ in filled for value in (low, high)] + [0.1, 100.0, *limits], _MARGIN, WIDTH)
    tallest = max(count for _, _, count in filled)
    room = ERROR_HEIGHT - _TOP - _BOTTOM
    bars = []
    for low, high, count in filled:
        left, right = scale(low), scale(high)
        height = round(max(room * count / tallest, 1.5), 2)
        zone = zone_of(math.sqrt(low * high) if low > 0 else high / 2, thresholds)
        title = f"{count} inputs between {ratio(low)} and {ratio(high)}"
        bars.append(Bar(left, ERROR_HEIGHT - _BOTTOM - height, max(right - left - 1, 1.5), height, zone, title))
    words = ", ".join(f"{count} {_ZONES[zone]}" for zone, count in _counts(filled, thresholds).items() if count)
    return Chart(
        "Error per input",
        f"Of {sum(count for _, _, count in filled)} inputs: {words}.",
        WIDTH,
        ERROR_HEIGHT,
        tuple(bars),
        scale.ticks(),
        _limit_marks(scale, thresholds),
        "error, in units of the source's own rounding noise (log scale)",
        (ERROR_HEIGHT - _BOTTOM,),
    )


def latencies(latency: Latency) -> Chart | None:
    """Time per call of the source above that of the export, on one axis from zero milliseconds on."""
    if not latency.samples or not latency.source_samples:
        return None
    slower = max(latency.median, latency.source_median)
    tail = max(_quantile(latency.samples, 0.99), _quantile(latency.source_samples, 0.99), slower)
    # A few interrupted calls must not squeeze the rest into one bar; what is longer stands in the last one.
    longest = min(tail, _TAIL * slower)
    end = longest * 1.08
    half = (LATENCY_HEIGHT - _BOTTOM) / 2
    rows = (("source", latency.source_samples, half), ("export", latency.samples, 2 * half))
    bars = [bar for zone, samples, base in rows for bar in _latency_bars(zone, samples, base, end, half)]

    def x(value: float) -> float:
        return round(_MARGIN + value / end * (WIDTH - 2 * _MARGIN), 2)

    medians = (("source", latency.source_median), ("this file", latency.median))
    return Chart(
        "Time per call",
        f"Median {latency.source_median:.3g} ms for the source and {latency.median:.3g} ms for this file: "
        f"{speed(latency)} ({latency.low:.2f} to {latency.high:.2f} times the source's).",
        WIDTH,
        LATENCY_HEIGHT,
        tuple(bars),
        tuple(Mark(x(value), f"{value:g}") for value in _round_values(end)),
        tuple(_beside(x(value), f"{name} {value:.3g} ms", WIDTH) for name, value in medians),
        "milliseconds per call",
        (half, 2 * half),
    )


def strips(rows: Sequence[Row], thresholds: Mapping[str, float]) -> list[Strip | None]:
    """One strip per row, all on one scale; None where a row has no R."""
    outputs = [row.worst_output for row in rows]
    measured = [value for output in outputs if output for value in (output.noise_ratio, output.worst_ratio) if value]
    limits = [thresholds[name] for name in (ACCEPTED, REJECTED) if thresholds.get(name)]
    scale = _scale([*measured, *limits, 0.1, 100.0], 6.0, STRIP_WIDTH)
    found: list[Strip | None] = []
    for output in outputs:
        if output is None or (output.noise_ratio is None and not output.identical):
            found.append(None)
            continue
        pooled = output.noise_ratio or 0.0
        worst = max(output.worst_ratio or 0.0, pooled)
        accepted, rejected = (scale(thresholds.get(name, 0.0)) for name in (ACCEPTED, REJECTED))
        words = f"R {ratio(pooled)}, worst input {ratio(worst)}"
        found.append(Strip(scale(pooled), scale(worst), accepted, rejected, zone_of(pooled, thresholds), words))
    return found


def zone_of(value: float, thresholds: Mapping[str, float]) -> str:
    """On which side of the limits an R lies: "pass", "doubt" or "fail"; "plain" where no limits are given."""
    accepted, rejected = thresholds.get(ACCEPTED), thresholds.get(REJECTED)
    if accepted is None or rejected is None:
        return "plain"
    if value <= accepted:
        return "pass"
    return "doubt" if value <= rejected else "fail"


_ZONES = {"pass": "within PASS", "doubt": "in doubt", "fail": "beyond FAIL", "plain": "measured"}


def _bins(histogram: Histogram) -> list[tuple[float, float, int]]:
    return list(zip(histogram.edges[:-1], histogram.edges[1:], histogram.counts, strict=True))


def _counts(bins: Sequence[tuple[float, float, int]], thresholds: Mapping[str, float]) -> dict[str, int]:
    counts = dict.fromkeys(_ZONES, 0)
    for low, high, count in bins:
        counts[zone_of(math.sqrt(low * high) if low > 0 else high / 2, thresholds)] += count
    return counts


def _scale(values: Sequence[float], margin: float, width: float) -> LogScale:
    found = [math.log10(value) for value in values if value and value > 0 and math.isfinite(value)]
    low, high = max(math.floor(min(found)), -6), min(math.ceil(max(found)), 300)
    return LogScale(low, max(high, low + 1), margin, width - margin)


def _limit_marks(scale: LogScale, thresholds: Mapping[str, float]) -> tuple[Mark, ...]:
    named = ((ACCEPTED, "PASS to", "end"), (REJECTED, "FAIL above", "start"))
    return tuple(
        Mark(scale(thresholds[name]), f"{words} {value_text(thresholds[name])}", anchor)
        for name, words, anchor in named
        if thresholds.get(name)
    )


def _latency_bars(zone: str, samples: Sequence[float], base: float, end: float, half: float) -> list[Bar]:
    size = end / _LATENCY_BINS
    counts = [0] * _LATENCY_BINS
    for sample in samples:
        counts[min(int(sample / size), _LATENCY_BINS - 1)] += 1
    width = (WIDTH - 2 * _MARGIN) / _LATENCY_BINS
    room = half - _TOP
    bars = []
    for index, count in enumerate(counts):
        height = round(room * count / max(counts), 2)
        beyond = " or longer" if index == _LATENCY_BINS - 1 else f" to {(index + 1) * size:.3g}"
        title = f"{zone}: {count} calls of {index * size:.3g}{beyond} ms"
        if count:
            bars.append(Bar(round(_MARGIN + index * width, 2), base - height, width - 0.8, height, zone, title))
    return bars


def _round_values(end: float) -> list[float]:
    """Zero and up to six round values below `end`: 1, 2 or 5 times a power of ten apart."""
    power: float = 10.0 ** math.floor(math.log10(end))
    step = next(factor * power for factor in (0.1, 0.2, 0.5, 1.0, 2.0) if end / (factor * power) <= 6)
    return [round(step * index, 12) for index in range(int(end / step) + 1)]


def _beside(x: float, label: str, width: float) -> Mark:
    """A label on the side of its line that has room for it."""
    return Mark(x, label, "end" if x > width / 2 else "start")


def _quantile(samples: Sequence[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"1e{exponent}"
