"""One gate over equality and latency: what is right but too slow, for certain, does not pass either."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import BadInput
from toolkit.verification import report as reports
from toolkit.verification.report import Latency, Report, Row, Verdict

_ALLOWED = 1.1  # against a baseline, where no budget was given


@dataclass(frozen=True)
class Budget:
    """What time a file may take: `ratio` of its source's, and of its own in `baseline` (median milliseconds by row).

    Either may be missing; both together must hold.
    """

    ratio: float | None = None
    baseline: Mapping[str, float] | None = None


def budget(ratio: str | None, baseline: str | Path | None) -> Budget | None:
    """As the command line gives it: "ratio=1.1", and the `--json` of an earlier run. Raises BadInput."""
    if ratio is None and baseline is None:
        return None
    allowed = ratio_of(ratio) if ratio is not None else None
    return Budget(allowed, load(Path(baseline)) if baseline is not None else None)


def ratio_of(text: str) -> float:
    """The number in "ratio=1.1". Raises BadInput."""
    name, _, value = text.partition("=")
    try:
        if name != "ratio" or not 0 < float(value) < math.inf:
            raise ValueError
        return float(value)
    except ValueError:
        raise BadInput(f"'{text}' is not a budget", where="--budget", hint="Write ratio=1.1.") from None


def load(path: Path) -> dict[str, float]:
    """Median milliseconds by row, from a report of an earlier verification. Raises BadInput where there is none."""
    try:
        found = reports.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(
            "there is no baseline", where=str(path), hint="Make one: toolkit verify ... --json FILE."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"it is no report of a verification ({error!r})", where=str(path)) from None
    return {_key(row): row.latency.median for row in found.rows if row.latency is not None}


def applied(found: Report, allowed: Budget) -> Report:
    """The report, in which a row that passes and is too slow for certain fails, and one that was not timed is in doubt.

    For certain means that the machine was quiet and the whole interval lies above the budget.
    """
    return replace(found, rows=tuple(_judged(row, allowed) for row in found.rows))


def _judged(row: Row, allowed: Budget) -> Row:
    if row.verdict is not Verdict.PASS:
        return row
    if row.latency is None:
        return replace(row, verdict=Verdict.INCONCLUSIVE, reason="it was not timed: nothing shows that it is in budget")
    if allowed.baseline is not None and _key(row) not in allowed.baseline:
        return replace(row, verdict=Verdict.FAIL, reason=f"latency: the baseline has no {_key(row)}")
    slow = _too_slow(row.latency, allowed, _key(row))
    return replace(row, verdict=Verdict.FAIL, reason=f"latency: {slow}") if slow else row


def _too_slow(taken: Latency, allowed: Budget, key: str) -> str | None:
    if taken.noisy:
        return None  # the row's notes say so
    if allowed.ratio is not None and taken.low > allowed.ratio:
        return f"{taken.ratio:.2f} times the source, over the budget of {allowed.ratio:g}"
    if allowed.baseline is None:
        return None
    before = allowed.baseline[key]
    if taken.median * (taken.low / taken.ratio) > (allowed.ratio or _ALLOWED) * before:
        return f"{taken.median:.3f} ms, the baseline has {before:.3f} ms"
    return None


def _key(row: Row) -> str:
    return f"{row.format} on {row.device}"
