"""What the numbers in `Report.thresholds` mean, in words: a limit that is not explained is an arbitrary one."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.report.cells import difference
from toolkit.report.plain import plain

# Up to ACCEPTED times the source's own rounding error an export predicts the same; above REJECTED it does not.
ACCEPTED = "pass_ratio"
REJECTED = "fail_ratio"

MEANINGS = {
    ACCEPTED: "PASS up to this error, in units of the source's own rounding error (R)",
    REJECTED: "FAIL above this R; between the two limits more inputs are tried before deciding",
    "max_ratio": "the user's own limit on R",
    "float64": "largest relative difference where source and export both run in float64",
    "float64_folded": "the same, where the exporter folded constants in float32",
    "floor_ulp": "the source's rounding error counts as at least this many units in the last place",
    "exact_ulp": "largest difference in the last place where the source's arithmetic is exact",
    "min_inputs": "fewest inputs that R is pooled over",
    "atol": "the user's own limit on the absolute difference",
    "rtol": "the user's own limit on the relative difference",
    "latency_ratio": "the budget for the latency, in times of the source's",
}


def explained(thresholds: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each threshold; the meaning is empty where this module knows none."""
    return [(plain(name), value_text(value), MEANINGS.get(name, "")) for name, value in thresholds.items()]


def value_text(value: float | None) -> str:
    """As few digits as say it: "3", "0.5", "1.0e-12"."""
    if value is None or (value != 0 and abs(value) < 0.001):
        return difference(value)
    return f"{value:g}"
