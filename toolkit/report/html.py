"""One self-contained HTML page: no script, no request, readable without colour, printable.

The Content-Security-Policy allows the page's own style by its hash and nothing else, so that even a name that slipped
through the escaping could load or run nothing.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.report import cells, charts, explanation, fleet, thresholds, way
from toolkit.report.plain import plain
from toolkit.verification.report import Report, Row, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
_OPEN_UP_TO = 8  # where all of no more rows than this pass, their details start unfolded


def render(report: Report) -> str:
    """The page of one report."""
    return _page("report.html", section=_section("", report, 0), report=report)


def render_many(reports: Sequence[tuple[str, Report]]) -> str:
    """The page of several sources: a matrix of sources and formats, then each source's report."""
    rows = [row for _, report in reports for row in report.rows]
    sections = [_section(name, report, index) for index, (name, report) in enumerate(reports)]
    titles = list(
        dict.fromkeys(cells.row_title(row, report.rows, rows) for _, report in reports for row in report.rows)
    )
    matrix = [[[item for item in section.items if cells.row_title(item.row, section.report.rows, rows) == title]
               for title in titles] for section in sections]  # fmt: skip
    return _page(
        "reports.html",
        sections=sections,
        titles=titles,
        matrix=matrix,
        exit_code=cells.exit_code([report for _, report in reports]),
        rows=rows,
    )


def render_fleet(found: fleet.Fleet) -> str:
    """The page of many models: a matrix of models and formats, then each that did not pass with its reason."""
    sections = {
        outcome.name: _section(outcome.name, outcome.report, index) if outcome.report else None
        for index, outcome in enumerate(found.outcomes)
    }
    return _page(
        "fleet.html",
        fleet=found,
        counted=fleet.count_words(found.outcomes),
        titles=fleet.titles(found.outcomes),
        row_at=fleet.row_at,
        seconds=fleet.seconds,
        sections=sections,
    )


def notebook(report: Report) -> str:
    """The summary that a notebook shows of a report: the table, and every row that is no pass in words."""
    about, truth = cells.reference(report)
    return _page(
        "notebook.html",
        report=report,
        about=about,
        truth=truth,
        columns=cells.columns_for(report.rows),
        words=explanation.words,
    )


@dataclass(frozen=True)
class Item:
    """A row with everything that the templates show of it."""

    anchor: str
    name: str
    path: str
    row: Row
    found: str
    next_step: str
    tone: str
    strip: charts.Strip | None
    errors: charts.Chart | None
    latency: charts.Chart | None
    way: way.Way | None
    opened: bool


@dataclass(frozen=True)
class Section:
    """One source's report, ready for the templates."""

    name: str
    anchor: str
    report: Report
    items: tuple[Item, ...]


# The colour that a verdict has in both themes.
TONES = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.CRASHED: "fail",
    Verdict.ERROR: "fail",
    Verdict.REFUSED: "refused",
    Verdict.NOT_RUN: "doubt",
    Verdict.INCONCLUSIVE: "doubt",
}


_ALL_PASSED = {1: "The export predicts what its source predicts", 2: "Both exports predict the same"}


def headline(rows: Sequence[Row]) -> str:
    """What a reader should know after one line."""
    total, passed = len(rows), sum(row.verdict is Verdict.PASS for row in rows)
    failed = sum(row.verdict is Verdict.FAIL for row in rows)
    if not rows:
        return "Nothing was compared"
    if passed == total:
        return _ALL_PASSED.get(total, f"All {total} exports predict the same")
    if failed:
        return f"{failed} of {total} {'exports does' if failed == 1 else 'exports do'} not predict the same"
    return f"{passed} of {total} shown to predict the same; {total - passed} not shown"


def _section(name: str, report: Report, index: int) -> Section:
    items = zip(report.rows, charts.strips(report.rows, report.thresholds), strict=True)
    return Section(
        name,
        f"source-{index}",
        report,
        tuple(_item(f"row-{index}-{number}", row, strip, report) for number, (row, strip) in enumerate(items)),
    )


def _item(anchor: str, row: Row, strip: charts.Strip | None, report: Report) -> Item:
    output = row.worst_output
    return Item(
        anchor,
        cells.row_name(row, report.rows),
        cells.row_path(row, report.rows),
        row,
        explanation.found(row, report.thresholds),
        explanation.next_step(row),
        TONES[row.verdict],
        strip,
        charts.errors(output.errors, report.thresholds) if output and output.errors else None,
        charts.latencies(row.latency) if row.latency else None,
        way.draw(row.divergence, report.thresholds) if row.divergence else None,
        row.verdict is not Verdict.PASS or (report.passed and len(report.rows) <= _OPEN_UP_TO),
    )


def _prose(text: str) -> str:
    """Text with what stands in backticks set as code; escaped first, so that only our own two tags get through."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(plain(text)))))  # noqa: S704 - escaped above


def _page(template: str, **data: Any) -> str:
    return _environment().get_template(template).render(**data)


@functools.cache
def _environment() -> Environment:
    """Our templates, in which every text is made plain and then escaped, without their having to ask for it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    environment.filters["short"] = plain
    environment.globals.update(
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        cells=cells,
        explained=thresholds.explained,
        headline=headline,
        prose=_prose,
        strip_width=charts.STRIP_WIDTH,
        tones=TONES,
    )
    return environment
