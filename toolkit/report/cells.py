"""What every table says about a row: the same words and figures on the terminal, in HTML, Markdown and JUnit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from toolkit.errors import EXIT_INCONCLUSIVE, EXIT_PASSED
from toolkit.report.plain import plain
from toolkit.verification.report import Latency, OutputComparison, Report, Row, Verdict

# A verdict in the summary's words.
COUNTED = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.NOT_RUN: "not run",
    Verdict.CRASHED: "crashed",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.REFUSED: "refused",
    Verdict.ERROR: "in error",
}


@dataclass(frozen=True)
class Column:
    """One column of the verdict table; `most` characters of a cell are shown."""

    title: str
    cell: Callable[[Row], str]
    most: int = 16


def difference(value: float | None) -> str:
    """A raw difference: "0", "3.6e-07", "not finite"; a report read back from JSON has None for what is not finite."""
    if value is None or not math.isfinite(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.1e}"


def steps(value: float | None) -> str:
    """A number of units in the last place: whole and small, or large."""
    return difference(value) if value is None or not math.isfinite(value) else f"{value:.3g}"


def ratio(value: float) -> str:
    """R, an error in units of the source's own: "0.9" or, from a thousand on, "8.1e+05"."""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.1e}"


def noise(output: OutputComparison | None) -> str:
    """R as the table shows it; what equals the source bit for bit adds no error of its own, so 0.0."""
    if output is None:
        return "-"
    if output.noise_ratio is None:
        return "exact" if output.identical else "-"
    return "0.0" if output.identical else ratio(output.noise_ratio)


def agreement(output: OutputComparison | None) -> str:
    """How many inputs have the same largest class, such as "61/512"."""
    return "-" if output is None or output.agree is None else f"{output.agree}/{output.count}"


def speed(latency: Latency | None) -> str:
    """Against the source's median: "2.3x faster", "1.80x slower" or "can't tell"."""
    if latency is None:
        return "-"
    if latency.verdict == "can't tell":
        return latency.verdict
    factor = 1 / latency.ratio if latency.verdict == "faster" else latency.ratio
    digits = 2 if factor < 2 else int(factor < 10)
    return f"{factor:.{digits}f}x {latency.verdict}"


def _largest_difference(row: Row) -> str:
    return "-" if row.worst_output is None else difference(row.worst_output.max_abs)


FORMAT = Column("format", lambda row: plain(row.format), 24)
RUNTIME = Column("runtime", lambda row: plain(row.runtime), 28)
RAN_ON = Column("ran on", lambda row: plain(row.ran_on))
LARGEST = Column("max|d|", _largest_difference)
NOISE = Column("x noise", lambda row: noise(row.worst_output))
ARGMAX = Column("argmax", lambda row: agreement(row.worst_output))
LATENCY = Column("latency", lambda row: speed(row.latency))
COLUMNS = (FORMAT, RUNTIME, RAN_ON, LARGEST, NOISE, ARGMAX, LATENCY)


def columns_for(rows: Sequence[Row]) -> tuple[Column, ...]:
    """All columns, without the latency where none was measured."""
    timed = any(row.latency for row in rows)
    return tuple(column for column in COLUMNS if timed or column is not LATENCY)


def reference(report: Report) -> tuple[str, str]:
    """The source in words: what it is and what ran it where; and what stands for the truth."""
    source = report.reference
    doubt = "" if source.deterministic else " (not deterministic)"
    return plain(f"{source.source}: {source.runtime}, {source.ran_on}{doubt}"), plain(f"truth: {source.truth}")


def count_words(rows: Iterable[Row]) -> str:
    """The rows counted, in the order of the verdicts: "2 passed, 1 failed, 1 not run"."""
    found = [row.verdict for row in rows]
    counts = [f"{found.count(verdict)} {word}" for verdict, word in COUNTED.items() if verdict in found]
    return ", ".join(counts) or "nothing was compared"


def exit_code(reports: Sequence[Report]) -> int:
    """The exit code of several reports together; a report without rows, or no report at all, is no pass."""
    if not reports:
        return EXIT_INCONCLUSIVE
    rows = tuple(row for report in reports for row in report.rows)
    code = replace(reports[0], rows=rows).exit_code
    return EXIT_INCONCLUSIVE if code == EXIT_PASSED and not all(report.passed for report in reports) else code


def row_name(row: Row, rows: Sequence[Row]) -> str:
    """The format, with the device where the format ran on several."""
    devices = {other.device for other in rows if other.format == row.format}
    return plain(f"{row.format} {row.device}" if len(devices) > 1 else row.format)


def row_path(row: Row, rows: Sequence[Row]) -> str:
    """The file, where the rows hold several of this format; else empty."""
    return plain(row.path) if len({other.path for other in rows if other.format == row.format}) > 1 else ""


def row_title(row: Row, rows: Sequence[Row], everything: Sequence[Row] = ()) -> str:
    """A row's name among its report's `rows`, and alike in every report whose rows are in `everything`."""
    return f"{row_name(row, everything or rows)} {row_path(row, rows)}".rstrip()
