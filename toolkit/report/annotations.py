"""Workflow commands of GitHub Actions: one annotation for every row that is no pass, shown beside the run.

A command ends with its line and its properties at a comma or colon; what comes out of files and errors is escaped so
that it can never be taken for a command of its own.
"""

from __future__ import annotations

from toolkit.report import cells
from toolkit.report.plain import plain
from toolkit.verification.report import Report, Row, Verdict

_LEVELS = {Verdict.NOT_RUN: "warning", Verdict.INCONCLUSIVE: "warning"}


def render(report: Report) -> str:
    """One line per row that is no pass; nothing where all passed."""
    rows = [row for row in report.rows if row.verdict is not Verdict.PASS]
    return "".join(f"{_command(row, report)}\n" for row in rows)


def _command(row: Row, report: Report) -> str:
    title = _property(f"{cells.row_title(row, report.rows)}: {row.verdict}")
    message = _data(row.reason or cells.COUNTED[row.verdict])
    return f"::{_LEVELS.get(row.verdict, 'error')} title={title}::{message}"


def _data(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
