"""JUnit XML, as continuous integration servers read it: one test case per file and device.

A row that is not PASS is a failure, an error or skipped, with its reason; a report without rows is an error, since a
suite of no tests would count as passed.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from toolkit.report import cells, explanation
from toolkit.report.plain import plain
from toolkit.verification.report import Report, Row, Verdict

# The element that a verdict becomes; only what a machine lacks is skipped, a doubt is a failure.
ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.INCONCLUSIVE: "failure",
    Verdict.CRASHED: "error",
    Verdict.ERROR: "error",
    Verdict.REFUSED: "error",
    Verdict.NOT_RUN: "skipped",
}
_COUNTERS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def render(report: Report) -> str:
    """The report as one XML document, control characters spelled out."""
    suites = ET.Element("testsuites", name="toolkit verify")
    suite = ET.SubElement(suites, "testsuite", name=plain(report.reference.source), timestamp=plain(report.created))
    properties = ET.SubElement(suite, "properties")
    for name, value in report.environment.items():
        ET.SubElement(properties, "property", name=plain(name), value=plain(value))
    for row in report.rows:
        _case(suite, row, report)
    if not report.rows:
        case = ET.SubElement(suite, "testcase", classname="toolkit.verify", name="rows")
        ET.SubElement(case, "error", message="nothing was compared", type="INCONCLUSIVE")
    _count(suite, seconds=sum(report.seconds.values()))
    ET.indent(suites)
    body = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _case(suite: ET.Element, row: Row, report: Report) -> None:
    name = f"{row.format} on {row.device}: {row.path}"
    case = ET.SubElement(suite, "testcase", classname=f"toolkit.verify.{plain(row.format)}", name=plain(name))
    if row.latency:
        case.set("time", f"{row.latency.median / 1000:.6f}")
    words = explanation.words(row, report.thresholds)
    if row.verdict in ELEMENTS:
        reason = plain(row.reason) or cells.COUNTED[row.verdict]
        element = ET.SubElement(case, ELEMENTS[row.verdict], message=reason, type=row.verdict.value)
        element.text = words
    else:
        ET.SubElement(case, "system-out").text = words


def _count(suite: ET.Element, seconds: float) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for element, counter in _COUNTERS.items():
        suite.set(counter, str(len(suite.findall(f"testcase/{element}"))))
    suite.set("time", f"{seconds:.3f}")
