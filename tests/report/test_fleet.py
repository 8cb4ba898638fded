"""The table of many models: counted, ordered, escaped, and with the exit code of the worst."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from toolkit.report import fleet, html
from toolkit.report.fleet import Fleet, Outcome
from toolkit.verification.report import Verdict

HOSTILE = "<script>alert(1)</script> | \x1b[31m `x` @someone"


def outcome(name, verdict=Verdict.PASS, reason="", **more):
    return Outcome(name, "nets:build", verdict, reason, 1.5, None, **more)


ALL = Fleet((outcome("a"), outcome("b", cached=True), outcome("c", Verdict.ERROR, f"BadInput: {HOSTILE}\n  Mend it.")))


def test_the_words_count_what_is_as_before():
    assert fleet.count_words(ALL.outcomes) == "2 passed (1 as before), 1 in error"
    assert fleet.count_words(()) == "no model"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.PASS,), 0),
        ((Verdict.PASS, Verdict.ERROR, Verdict.FAIL), 1),
        ((Verdict.ERROR, Verdict.PASS), 2),
        ((Verdict.NOT_RUN, Verdict.PASS), 3),
        ((Verdict.CRASHED, Verdict.ERROR), 4),
        ((Verdict.REFUSED, Verdict.ERROR), 5),
        ((Verdict.INCONCLUSIVE, Verdict.PASS), 6),
        ((), 6),
    ],
)
def test_the_exit_code_is_that_of_the_worst(verdicts, code):
    assert Fleet(tuple(outcome(str(index), verdict) for index, verdict in enumerate(verdicts))).exit_code == code


def test_every_kind_of_error_has_its_verdict():
    found = [fleet.verdict_of(code) for code in range(1, 7)]
    assert found == [
        Verdict.FAIL,
        Verdict.ERROR,
        Verdict.NOT_RUN,
        Verdict.CRASHED,
        Verdict.REFUSED,
        Verdict.INCONCLUSIVE,
    ]


def test_outcomes_travel_as_json():
    for each in ALL.outcomes:
        assert Outcome.from_json(each.to_json()) == each


def test_nothing_from_a_model_is_markup():
    page, words = html.render_fleet(ALL), fleet.markdown(ALL)
    assert "<script>" not in page
    assert r"\<script\>" in words
    assert "\x1b" not in page + words
    suite = ET.fromstring(fleet.junit(ALL))[0]
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["3", "0", "1", "0"]
    assert r"\x1b[31m" in suite[2][0].get("message")


def test_no_models_are_no_pass():
    suite = ET.fromstring(fleet.junit(Fleet(())))[0]
    assert suite.get("errors") == "1"
    assert not Fleet(()).passed
