"""The gate over equality and latency: only what is too slow for certain fails, and nothing passes unmeasured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.errors import BadInput
from toolkit.verification import gate
from toolkit.verification import report as reports
from toolkit.verification.gate import Budget
from toolkit.verification.report import Coverage, Latency, Reference, Report, Row, Verdict
from toolkit.verification.verifier import verify

QUIET = Latency(1, 2, 3.0, 3.1, 3.2, 2.0, 1.5, 1.4, 1.6, "slower", 1e3, 20.0, 100, "outside", False)
ROW = Row("onnx", "m.onnx", "cpu", Verdict.PASS, "", latency=QUIET)
FOUND = Report(
    Reference("m.pt", "torch", "torch 2", "cpu", "in float64", True), (ROW,), Coverage(32, 0, 32, 7, (1,), {}, ()), {}
)
TOO_SLOW = "latency: 1.50 times the source, over the budget of 1.3"

CASES = {
    "within the budget": (ROW, Budget(ratio=1.5), Verdict.PASS, ""),
    "the interval touches the budget": (ROW, Budget(ratio=1.4), Verdict.PASS, ""),
    "over the budget": (ROW, Budget(ratio=1.3), Verdict.FAIL, TOO_SLOW),
    "a busy machine": (replace(ROW, latency=replace(QUIET, noisy=True)), Budget(ratio=1.3), Verdict.PASS, ""),
    "not timed": (replace(ROW, latency=None), Budget(ratio=1.3), Verdict.INCONCLUSIVE,
                  "it was not timed: nothing shows that it is in budget"),
    "as in the baseline": (ROW, Budget(baseline={"onnx on cpu": 2.9}), Verdict.PASS, ""),
    "slower than the baseline": (ROW, Budget(baseline={"onnx on cpu": 2.0}), Verdict.FAIL,
                                 "latency: 3.000 ms, the baseline has 2.000 ms"),
    "slower, as the budget allows": (ROW, Budget(1.6, {"onnx on cpu": 2.0}), Verdict.PASS, ""),
    "not in the baseline": (ROW, Budget(baseline={"onnx on cuda": 2.0}), Verdict.FAIL,
                            "latency: the baseline has no onnx on cpu"),
    "wrong in the first place": (replace(ROW, verdict=Verdict.CRASHED, reason="it crashed"), Budget(ratio=1.3),
                                 Verdict.CRASHED, "it crashed"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_the_gate_says(name):
    row, allowed, verdict, reason = CASES[name]
    found = gate.applied(replace(FOUND, rows=(row,)), allowed).rows[0]
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_baseline_is_a_report_of_an_earlier_run(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(reports.dumps(FOUND.to_json()))
    assert gate.budget(None, path) == Budget(None, {"onnx on cpu": 3.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "there is no baseline"), ("{}", "it is no report of a verification (KeyError('schema'))")],
)
def test_a_baseline_that_is_none(tmp_path, text, words):
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput) as raised:
        gate.budget(None, path)
    assert raised.value.found == words


@pytest.mark.parametrize("text", ["1.1", "ratio=0", "ratio=fast", "time=2", "ratio=nan", "ratio=inf"])
def test_a_budget_that_is_none(text):
    with pytest.raises(BadInput, match="is not a budget"):
        gate.budget(text, None)


def test_a_budget_wants_times():
    with pytest.raises(BadInput, match="nothing is timed"):
        verify("m.pt", ["m.onnx"], budget="ratio=2", latency=False)
