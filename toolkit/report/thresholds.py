"""What the numbers in `Report.thresholds` mean, in words: a limit that is not explained is an arbitrary one."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.report.cells import difference
from toolkit.report.plain import plain

# Up to ACCEPTED times the source's own rounding error an export predicts the same, and above REJECTED it does not;
# no single input may lie above WORST. ASKED is the user's own limit, which can only be stricter.
ACCEPTED = "pass_ratio"
REJECTED = "fail_ratio"
WORST = "worst_ratio"
ASKED = "max_ratio"

MEANINGS = {
    ACCEPTED: "PASS up to this error over all inputs, in units of the source's own rounding error (R)",
    REJECTED: "FAIL above this R; between the two limits more inputs are tried before deciding",
    WORST: "FAIL where a single input's R is above this",
    ASKED: "the limit on R that was asked for",
    "atol": "the limit on the absolute difference that was asked for",
    "rtol": "the limit on the relative difference that was asked for",
}


def explained(thresholds: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each threshold; the meaning is empty where this module knows none."""
    return [(plain(name), value_text(value), MEANINGS.get(name, "")) for name, value in thresholds.items()]


def value_text(value: float | None) -> str:
    """As few digits as say it: "3", "0.5", "1.0e-12"."""
    if value is None or (value != 0 and abs(value) < 0.001):
        return difference(value)
    return f"{value:g}"
