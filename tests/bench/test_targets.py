"""Budgets and baselines: over only for certain, and a missing one is no pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.bench import targets
from toolkit.bench.targets import BenchRow
from toolkit.errors import BadInput
from toolkit.signature import Signature, TensorSpec

ROW = BenchRow(
    "m.onnx", "onnx", "cpu", "cpu", 1, 2, 10.0, 11.0, 12.0, 100.0, ratio=1.2, low=1.1, high=1.3, verdict="slower",
    noisy=False, cold_start=5.0,
)  # fmt: skip
KEY = "onnx cpu batch 1"


@pytest.mark.parametrize(
    ("changed", "budget", "lines"),
    [
        ({}, 1.05, ["onnx cpu batch 1: 1.20 times the first file, over the budget of 1.05"]),
        ({}, 1.1, []),  # the interval begins at the budget: not certain
        ({}, 1.25, []),
        ({"noisy": True}, 1.05, []),
        ({}, None, []),
    ],
)
def test_a_budget_fails_only_where_the_whole_interval_lies_above(changed, budget, lines):
    assert targets.over_budget([replace(ROW, **changed)], budget, None) == lines


@pytest.mark.parametrize(
    ("median", "budget", "over"),
    [(10.0, None, False), (8.0, None, True), (8.4, None, False), (8.0, 1.5, False), (4.0, 1.5, True)],
)
def test_a_baseline_fails_only_beyond_the_interval(median, budget, over):
    """10 ms measured, as little as 10 * 1.1 / 1.2 = 9.17 ms within the interval; 1.1 times the baseline is allowed."""
    found = targets.over_budget([replace(ROW, ratio=1.2, low=1.1)], None, {KEY: median})
    if budget is None:
        assert found == ([f"{KEY}: 10.000 ms, the baseline has {median:.3f} ms"] if over else [])
    found = targets.over_budget([replace(ROW, low=1.1)], budget, {KEY: median})
    assert bool([line for line in found if "baseline" in line]) == over


def test_a_row_that_the_baseline_lacks_is_no_pass():
    assert targets.over_budget([ROW], None, {}) == [f"{KEY}: not in the baseline"]
    assert targets.over_budget([replace(ROW, noisy=True)], None, {}) == [f"{KEY}: not in the baseline"]


def test_a_baseline_is_an_earlier_report(tmp_path):
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"schema": targets.SCHEMA, "rows": [ROW.to_json()]}))
    assert targets.load_baseline(path) == {KEY: 10.0}


WRONG = {
    "no JSON": "[",
    "no rows": "{}",
    "other rows": json.dumps({"rows": [{"median": 1}]}),
    "a list": "[]",
    "no figure": json.dumps({"rows": [{**ROW.to_json(), "median": None}]}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_baseline_is_refused(tmp_path, case):
    path = tmp_path / "base.json"
    path.write_text(WRONG[case])
    with pytest.raises(BadInput, match="it is no bench report"):
        targets.load_baseline(path)


@pytest.mark.parametrize("median", [0.0, -1.0, float("nan"), float("inf")])
def test_a_baseline_that_anything_would_pass_is_refused(tmp_path, median):
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"rows": [{**ROW.to_json(), "median": median}]}))
    with pytest.raises(BadInput, match="its median for onnx cpu batch 1 is"):
        targets.load_baseline(path)


def test_a_missing_baseline_is_an_error(tmp_path):
    with pytest.raises(BadInput) as caught:
        targets.load_baseline(tmp_path / "none.json")
    assert str(caught.value) == (
        f"BadInput: {tmp_path / 'none.json'}: there is no baseline\n  Make one: toolkit bench ... --json > FILE."
    )


def _signature(*shape):
    return Signature((TensorSpec("x", "float32", shape), TensorSpec("i", "int64", shape[:1])), ())


def test_inputs_of_the_size_asked_for_whatever_the_batch_is_called():
    made = targets._inputs(_signature("N", "length", 4), 8, Path("m"))
    assert {name: array.shape for name, array in made.items()} == {"x": (8, 32, 4), "i": (8,)}
    assert (made["x"].dtype, made["i"].dtype) == ("float32", "int64")


def test_a_fixed_batch_is_not_measured_as_another():
    assert targets._inputs(_signature(4, 3), 4, Path("m"))["x"].shape == (4, 3)
    with pytest.raises(BadInput) as caught:
        targets._inputs(_signature(4, 3), 8, Path("m"))
    assert str(caught.value) == "BadInput: m: its batch size is fixed at 4, 8 was asked for\n  Use --batch 4."
