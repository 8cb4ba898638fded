"""The report as data: exit codes, strict JSON, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest

from toolkit.verification import report as reports
from toolkit.verification.report import (
    Coverage,
    Histogram,
    Latency,
    Lens,
    OutputComparison,
    Reference,
    Report,
    Row,
    Verdict,
)

NAN, INF = float("nan"), float("inf")
OUTPUT = OutputComparison(
    "y", "float32", 1e-6, 1e-5, 3.0, 0.99, 1.5, 2.5, 17, 4, 1, 5, False, Histogram((0.1, 1.0), (5,), "x")
)  # fmt: skip
LATENCY = Latency(1, 2, 1.0, 1.1, 1.2, 2.0, 0.5, 0.4, 0.6, "faster", 1e3, 20.0, 100, "outside", False, (1.0,), (2.0,))
ROW = Row(
    "onnx", "m.onnx", "cpu", Verdict.PASS, "", "onnxruntime 1", "cpu", (OUTPUT,), (Lens("float64", True, 0.0, "-"),),
    LATENCY, "ab", ("a note",),
)  # fmt: skip
REPORT = Report(
    Reference("m.pt", "torch", "torch 2", "cpu", "in float64", deterministic=True, accuracy=0.9),
    (ROW,),
    Coverage(512, 256, 256, 7, (1, 2), {"real": 256}, ("x",)),
    {"pass_ratio": 3.0},
    {"threads": "1"},
    {"wall": 1.0},
    None,
    "2026-01-01T00:00:00+00:00",
)
# What outweighs what; the exit code is that of the first that occurs.
ORDER = {"FAIL": 1, "CRASHED": 4, "REFUSED": 5, "ERROR": 2, "NOT RUN": 3, "INCONCLUSIVE": 6, "PASS": 0}


def _with(*verdicts):
    return replace(REPORT, rows=tuple(replace(ROW, verdict=Verdict(verdict)) for verdict in verdicts))


@pytest.mark.parametrize("verdict", Verdict)
def test_only_pass_exits_0(verdict):
    found = _with(verdict)
    assert found.exit_code == ORDER[verdict.value]
    assert found.passed == (found.exit_code == 0) == (verdict is Verdict.PASS)


@pytest.mark.parametrize(("first", "second"), list(product(ORDER, ORDER)))
def test_the_graver_of_two_rows_decides(first, second):
    graver = min((first, second), key=list(ORDER).index)
    assert _with(first, second).exit_code == ORDER[graver]


def test_no_rows_are_no_pass():
    empty = replace(REPORT, rows=())
    assert not empty.passed
    assert empty.exit_code == 6


def test_counts_in_the_order_of_verdicts():
    assert _with("FAIL", "PASS", "PASS").counts == {"PASS": 2, "FAIL": 1}


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        _with("NOT RUN", "CRASHED"),
        replace(REPORT, rows=()),
        replace(REPORT, rows=(replace(ROW, latency=None, outputs=(), lenses=(), notes=(), sha256=None),)),
        replace(
            REPORT, rows=(replace(ROW, outputs=(replace(OUTPUT, errors=None, noise_ratio=None, worst_ratio=None),)),)
        ),
    ],
)
def test_what_is_written_is_read_back(report):
    again = reports.from_json(json.loads(reports.dumps(report.to_json())))
    assert again == report
    assert again.to_json() == report.to_json()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_json_is_strict(value):
    row = replace(ROW, outputs=(replace(OUTPUT, max_abs=value, cosine=value),))
    text = reports.dumps(replace(REPORT, rows=(row,)).to_json())

    def refuse(name):
        raise AssertionError(name)

    data = json.loads(text, parse_constant=refuse)
    assert data["rows"][0]["outputs"][0]["max_abs"] is None
    assert data["schema"] == "toolkit-report/1"


def test_another_schema_is_refused():
    with pytest.raises(KeyError, match="toolkit-report/2"):
        reports.from_json({**REPORT.to_json(), "schema": "toolkit-report/2"})


def test_the_worst_output_is_that_of_the_largest_ratio():
    exact = replace(OUTPUT, name="exact", noise_ratio=None, max_abs=5.0)
    assert replace(ROW, outputs=(exact, OUTPUT)).worst_output is OUTPUT
    assert replace(ROW, outputs=(exact,)).worst_output is exact
    assert replace(ROW, outputs=()).worst_output is None
