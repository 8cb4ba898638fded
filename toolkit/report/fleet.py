"""What became of each of many models, and the same table of it for a terminal, Markdown and JUnit.

The page is `toolkit.report.html.render_fleet`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from toolkit.errors import EXIT_INCONCLUSIVE
from toolkit.report import cells
from toolkit.report.junit import ELEMENTS
from toolkit.report.markdown import escaped, sign
from toolkit.report.plain import plain
from toolkit.verification.report import Report, Row, Verdict, exit_code, from_json, strict

SCHEMA = 1


@dataclass(frozen=True)
class Outcome:
    """One model: its verdict, the reason where that is no PASS, and its report where files were compared.

    `cached` says that nothing was done, since an earlier run had passed with the same source and options.
    """

    name: str
    source: str
    verdict: Verdict
    reason: str
    seconds: float
    report: Report | None
    cached: bool = False

    @property
    def summary(self) -> str:
        """The reason's first line, without the hint that follows it."""
        return self.reason.partition("\n")[0]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "source": self.source,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "seconds": self.seconds,
            "cached": self.cached,
            "report": self.report.to_json() if self.report else None,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Outcome:
        """Read back what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        report = from_json(data["report"]) if data["report"] else None
        verdict = Verdict(data["verdict"])
        return Outcome(data["name"], data["source"], verdict, data["reason"], data["seconds"], report, data["cached"])


@dataclass(frozen=True)
class Fleet:
    """All models of a sweep, in the file's order."""

    outcomes: tuple[Outcome, ...]
    created: str = ""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        return exit_code(outcome.verdict for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        return bool(self.outcomes) and all(outcome.verdict is Verdict.PASS for outcome in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = strict(
            {
                "schema": SCHEMA,
                "passed": self.passed,
                "exit_code": self.exit_code,
                "created": self.created,
                "seconds": self.seconds,
                "models": [outcome.to_json() for outcome in self.outcomes],
            }
        )
        return data


# An error's exit code tells its kind; the verdicts are the same kinds.
_VERDICTS = {verdict.exit_code: verdict for verdict in Verdict}


def verdict_of(code: int) -> Verdict:
    return _VERDICTS.get(code, Verdict.CRASHED)


def count_words(outcomes: Iterable[Outcome]) -> str:
    """The models counted: "7 passed (5 as before), 1 failed"."""
    known = list(outcomes)
    counts = {verdict: [each for each in known if each.verdict is verdict] for verdict in cells.COUNTED}
    words = [f"{len(found)} {cells.COUNTED[verdict]}{_as_before(found)}" for verdict, found in counts.items() if found]
    return ", ".join(words) or "no model"


def _as_before(found: Sequence[Outcome]) -> str:
    cached = sum(outcome.cached for outcome in found)
    return f" ({cached} as before)" if cached else ""


def titles(outcomes: Iterable[Outcome]) -> list[str]:
    """The table's columns: every format, and device where there are several, that any model was compared in."""
    rows = _rows(outcomes)
    return list(dict.fromkeys(cells.row_name(row, rows) for row in rows))


def row_at(outcome: Outcome, title: str, outcomes: Iterable[Outcome]) -> Row | None:
    """A model's row in one column; None where it has none."""
    rows = _rows(outcomes)
    own = outcome.report.rows if outcome.report else ()
    return next((row for row in own if cells.row_name(row, rows) == title), None)


def _rows(outcomes: Iterable[Outcome]) -> list[Row]:
    return [row for outcome in outcomes if outcome.report for row in outcome.report.rows]


def table(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Titles and, for each model, cells in words: verdict, R in every format, seconds."""
    columns = titles(outcomes)
    lines = []
    for outcome in outcomes:
        found = [row_at(outcome, title, outcomes) for title in columns]
        lines.append([plain(outcome.name), outcome.verdict.value, *map(_cell, found), seconds(outcome)])
    return ["model", "verdict", *columns, "seconds"], lines


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    noise = cells.noise(row.worst_output)
    return noise if row.verdict is Verdict.PASS else f"{row.verdict} {noise}".removesuffix(" -")


def seconds(outcome: Outcome) -> str:
    return "as before" if outcome.cached else f"{outcome.seconds:.1f}"


def markdown(fleet: Fleet) -> str:
    """The table, then every model that did not pass in words."""
    head, lines = table(fleet.outcomes)
    parts = [
        f"### {escaped(count_words(fleet.outcomes))} (exit {fleet.exit_code})",
        "\n".join(
            [
                _line(["", *map(escaped, head)]),
                _line(["---"] * (len(head) + 1)),
                *(
                    _line([sign(outcome.verdict), *map(escaped, line)])
                    for outcome, line in zip(fleet.outcomes, lines, strict=True)
                ),
            ]
        ),
        "A format's number is R, the error in units of the source's own rounding error.",
        *(
            f"**{escaped(each.name)}: {each.verdict}.** {escaped(each.reason)}"
            for each in fleet.outcomes
            if each.verdict is not Verdict.PASS
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def junit(fleet: Fleet) -> str:
    """One test case per model."""
    suites = ET.Element("testsuites", name="toolkit sweep")
    suite = ET.SubElement(suites, "testsuite", name="models", timestamp=plain(fleet.created))
    for outcome in fleet.outcomes:
        case = ET.SubElement(
            suite, "testcase", classname="toolkit.sweep", name=plain(outcome.name), time=f"{outcome.seconds:.3f}"
        )
        if outcome.verdict in ELEMENTS:
            kind = ELEMENTS[outcome.verdict]
            element = ET.SubElement(case, kind, message=plain(outcome.summary), type=outcome.verdict.value)
            element.text = plain(outcome.reason)
    if not fleet.outcomes:
        case = ET.SubElement(suite, "testcase", classname="toolkit.sweep", name="models")
        ET.SubElement(case, "error", message="there was no model", type=f"exit {EXIT_INCONCLUSIVE}")
    counters = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error",
                "skipped": "testcase/skipped"}  # fmt: skip
    for counter, path in counters.items():
        suite.set(counter, str(len(suite.findall(path))))
    suite.set("time", f"{fleet.seconds:.3f}")
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'
