"""Annotations of GitHub Actions: one line each, and nothing in a name can become a command of its own."""

from __future__ import annotations

from dataclasses import replace

from toolkit.report import annotations
from toolkit.verification.report import Verdict


def test_passing_rows_are_silent(passing):
    assert annotations.render(passing) == ""


def test_a_line_for_every_row_that_is_no_pass(every_verdict):
    lines = annotations.render(every_verdict).splitlines()
    wrong = [row for row in every_verdict.rows if row.verdict is not Verdict.PASS]
    assert len(lines) == len(wrong)
    for line, row in zip(lines, wrong, strict=True):
        level = "warning" if row.verdict in (Verdict.NOT_RUN, Verdict.INCONCLUSIVE) else "error"
        assert line.startswith(f"::{level} title=")


def test_no_name_becomes_a_command(every_verdict):
    row = replace(every_verdict.rows[0], verdict=Verdict.FAIL, format="a,b::c", reason="100%\n::set-output name=x::y\r")
    text = annotations.render(replace(every_verdict, rows=(row,)))
    assert text.count("\n") == 1
    assert "\r" not in text
    assert text.startswith("::error title=a%2Cb%3A%3Ac")
    assert "100%25" in text
