"""Every branch of the verdict with its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.verification import judge
from toolkit.verification.compare import Measured, Mismatch
from toolkit.verification.judge import Judgement, Thresholds
from toolkit.verification.reference import Doubt
from toolkit.verification.report import Lens, OutputComparison, Verdict

MEASURED = Measured(np.ones(4), 1.0, 0, 1e-7, exact_source=False)
FINE = OutputComparison("y", "float32", 1e-6, 1e-5, 3.0, 1.0, 1.0, 2.0, 17, 4, 0, 4, identical=False)


def _judged(output=FINE, measured=MEASURED, thresholds=None, **changed):
    return judge.judge_outputs([], [(replace(output, **changed), measured)], thresholds or Thresholds())


PASS = (Verdict.PASS, "", False)
CASES = {
    "fine": ({}, PASS),
    "identical": ({"identical": True}, (Verdict.PASS, "identical", False)),
    "at the limit": ({"noise_ratio": 3.0}, PASS),
    "doubtful": (
        {"noise_ratio": 3.01},
        (Verdict.FAIL, "output 'y': error 3.01 x the source's own noise, above 3", True),
    ),
    "still doubtful": (
        {"noise_ratio": 10.0},
        (Verdict.FAIL, "output 'y': error 10 x the source's own noise, above 3", True),
    ),
    "wrong": (
        {"noise_ratio": 10.1},
        (Verdict.FAIL, "output 'y': error 10.1 x the source's own rounding noise", False),
    ),
    "NaN": (
        {"noise_ratio": float("nan")},
        (Verdict.FAIL, "output 'y': error nan x the source's own rounding noise", False),
    ),
    "worst at the limit": ({"worst_ratio": 10.0}, PASS),
    "one wrong": (
        {"worst_ratio": 10.5},
        (Verdict.FAIL, "output 'y': on input 17 the error is 10.5 x the source's own noise", False),
    ),
    "one NaN": (
        {"worst_ratio": float("nan")},
        (Verdict.FAIL, "output 'y': on input 17 the error is nan x the source's own noise", False),
    ),
}
EXACT = {
    1.0: PASS,
    1.5: (Verdict.FAIL, "output 'y': the source is exact, and the export differs by 1.5 ULP", False),
    float("nan"): (Verdict.FAIL, "output 'y': the source is exact, and the export differs by nan ULP", False),
}


@pytest.mark.parametrize("case", CASES)
def test_one_output(case):
    changed, expected = CASES[case]
    found = _judged(**changed)
    assert (found.verdict, found.reason, found.doubtful) == expected


@pytest.mark.parametrize("ulp", EXACT)
def test_an_output_of_an_exact_source(ulp):
    measured = replace(MEASURED, exact_source=True, exact_ulp=ulp)
    found = _judged(measured=measured, noise_ratio=None, worst_ratio=None)
    assert (found.verdict, found.reason, found.doubtful) == EXACT[ulp]


def test_outputs_that_are_no_floats_are_the_same_or_wrong():
    found = _judged(measured=None, dtype="int64")
    assert (found.verdict, found.reason) == (Verdict.FAIL, "output 'y': int64 values differ")
    assert _judged(measured=None, identical=True).verdict is Verdict.PASS


def test_nothing_compared_is_no_pass():
    assert judge.judge_outputs([], [], Thresholds()) == Judgement(Verdict.FAIL, "no output was compared")


def test_a_mismatch_comes_before_all_numbers():
    mismatches = [Mismatch("output 'a'", "it was not returned"), Mismatch("output 'b'", "it was not returned")]
    found = judge.judge_outputs(mismatches, [(FINE, MEASURED)], Thresholds())
    assert (found.verdict, found.reason) == (Verdict.FAIL, "output 'a': it was not returned (and 1 more)")


def test_a_certain_failure_comes_before_a_doubtful_one():
    doubtful, wrong = replace(FINE, noise_ratio=5.0), replace(FINE, name="z", noise_ratio=50.0)
    found = judge.judge_outputs([], [(doubtful, MEASURED), (wrong, MEASURED)], Thresholds())
    assert "output 'z'" in found.reason
    assert not found.doubtful


OWN = {
    "max_ratio, stricter": (Thresholds(max_ratio=0.5), "output 'y': error 1 x the source's own noise, above 0.5"),
    "max_ratio, looser": (Thresholds(max_ratio=50), None),
    "atol holds": (Thresholds(atol=1e-5), None),
    "rtol holds": (Thresholds(rtol=1e-4, atol=1e-9), None),
    "neither holds": (
        Thresholds(atol=1e-7, rtol=1e-7),
        "output 'y': differs by 1e-06 (relative 1e-05), more than --atol 1e-07 --rtol 1e-07",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_the_users_limits(case):
    thresholds, reason = OWN[case]
    found = _judged(thresholds=thresholds)
    assert found == Judgement(Verdict.FAIL if reason else Verdict.PASS, reason or "")


def test_the_users_limits_cannot_make_it_looser():
    loose = Thresholds(atol=1e9, rtol=1e9, max_ratio=1e9)
    assert _judged(noise_ratio=50.0, thresholds=loose).verdict is Verdict.FAIL
    assert _judged(noise_ratio=5.0, thresholds=loose).verdict is Verdict.FAIL
    assert _judged(worst_ratio=50.0, thresholds=loose).verdict is Verdict.FAIL
    assert loose.limit == 3.0


def test_the_limits_are_in_the_report():
    assert Thresholds(atol=1e-6).to_json() == {
        "atol": 1e-6, "pass_ratio": 3.0, "fail_ratio": 10.0, "worst_ratio": 10.0
    }  # fmt: skip


def test_lenses_only_take_away():
    wrong, blind, good = (
        Lens("float64", False, 1.0, "differs"),
        Lens("weights", None, None, "-"),
        Lens("x", True, 0, ""),
    )
    passed, failed = Judgement(Verdict.PASS, ""), Judgement(Verdict.FAIL, "output")
    assert judge.judge_row(passed, [good, blind]) == passed
    assert judge.judge_row(passed, [good, wrong]) == Judgement(Verdict.FAIL, "float64: differs")
    assert judge.judge_row(failed, [good]) == failed


def test_doubts_take_passes_and_blind_ones_take_failures_too():
    passed, failed = Judgement(Verdict.PASS, ""), Judgement(Verdict.FAIL, "output")
    seeing, blind = Doubt("constant"), Doubt("random", blind=True)
    assert judge.with_doubts(passed, []) == passed
    assert judge.with_doubts(passed, [seeing]) == Judgement(Verdict.INCONCLUSIVE, "constant")
    assert judge.with_doubts(failed, [seeing]) == failed
    assert judge.with_doubts(failed, [seeing, blind]) == Judgement(Verdict.INCONCLUSIVE, "random")


def test_a_doubt_that_stays_is_said():
    doubtful = Judgement(Verdict.FAIL, "above 3", doubtful=True)
    assert judge.settled(doubtful, tried_more=True).reason == "above 3, still doubtful after more inputs"
    assert judge.settled(doubtful, tried_more=False).reason == (
        "above 3, doubtful, and the source is not there for more inputs"
    )
    assert judge.settled(Judgement(Verdict.PASS, ""), tried_more=True) == Judgement(Verdict.PASS, "")
