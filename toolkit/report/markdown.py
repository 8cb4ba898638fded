"""GitHub-flavoured Markdown, for a step summary or a comment: the table, then every row that is no pass in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.report import cells, explanation
from toolkit.report.plain import plain
from toolkit.verification.report import Report, Row, Verdict

_SIGNS = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.CRASHED: "❌", Verdict.ERROR: "❌"}
_DOUBT = "⚠️"
_SPECIAL = re.compile(r"([\\`*_~\[\]|<>#!])")


def render(report: Report) -> str:
    about, truth = cells.reference(report)
    parts = [
        f"### {escaped(cells.count_words(report.rows))} (exit {report.exit_code})",
        f"{escaped(about)}; {escaped(truth)}; {escaped(report.coverage.words)}.",
        *([_table(report.rows)] if report.rows else []),
        *[_explained(row, report) for row in report.rows if row.verdict is not Verdict.PASS],
        *([f"Worst input: {escaped(report.worst_inputs)}"] if report.worst_inputs else []),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Text as Markdown shows it literally: on one line, no markup, no HTML, no table cell's end.

    A backslash goes before what has a meaning; what GitHub would make a link or a mention of by itself is cut in two.
    """
    shown = _SPECIAL.sub(r"\\\1", plain(text).replace("&", "&amp;"))
    return shown.replace("://", r":\//").replace("www.", r"www\.").replace("@", "@<!-- -->")


def _table(rows: Sequence[Row]) -> str:
    columns = cells.columns_for(rows)
    titles = ["", *(column.title for column in columns), "verdict"]
    lines = [_line([escaped(title) for title in titles]), _line(["---"] * len(titles))]
    for row in rows:
        verdict = " ".join(part for part in (f"**{row.verdict}**", escaped(row.reason)) if part)
        lines.append(_line([sign(row.verdict), *(escaped(column.cell(row)) for column in columns), verdict]))
    return "\n".join(lines)


def sign(verdict: Verdict) -> str:
    return _SIGNS.get(verdict, _DOUBT)


def _explained(row: Row, report: Report) -> str:
    title = f"{cells.row_title(row, report.rows)}: {row.verdict}"
    return f"**{escaped(title)}.** {escaped(explanation.words(row, report.thresholds))}"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
