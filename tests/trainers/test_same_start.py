"""Comparing losses, without a framework; that the frameworks do agree is test_frameworks.py's matter."""

from __future__ import annotations

import json

import pytest

from toolkit.errors import BadInput
from trainers import same_start
from trainers.options import TrainOptions

OPTIONS = TrainOptions("torch", "fashion", "unused", optimizer="sgd")


def test_compare():
    agreement = same_start.compare({"torch": [2.0, 1.0], "keras": [2.0, 1.0], "tensorflow": [2.0, 1.1]})
    assert agreement.differences == pytest.approx([0.0, 0.1 / 1.1])
    assert (agreement.worst_step, agreement.agrees) == (2, False)
    assert same_start.compare({"torch": [2.0], "keras": [2.00001]}).agrees
    assert not same_start.compare({"torch": [2.0], "keras": [2.00003]}).agrees


@pytest.mark.parametrize("framework", ["torch", "keras"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_finite_number_is_an_error(framework, value):
    losses = {"torch": [1.0, 1.0], "keras": [1.0, 1.0]} | {framework: [1.0, value]}
    with pytest.raises(BadInput) as caught:
        same_start.compare(losses)
    assert str(caught.value) == f"BadInput: the loss of {framework} is {value} at step 2\n  Lower the learning rate."


def test_different_lengths():
    with pytest.raises(BadInput) as caught:
        same_start.compare({"torch": [1.0], "keras": [1.0, 2.0]})
    assert str(caught.value) == "BadInput: the frameworks took different numbers of steps: torch 1, keras 2"


def test_what_differs_is_switched_off():
    options = same_start.comparable(OPTIONS, "keras")
    assert (options.framework, options.dropout, options.loop, options.same_start) == ("keras", 0.0, "custom", True)


def test_mixed_precision_is_refused():
    with pytest.raises(BadInput) as caught:
        same_start.comparable(TrainOptions("torch", "fashion", "unused", amp=True), "torch")
    assert str(caught.value) == (
        "BadInput: --same-start: mixed precision rounds differently in every framework\n  Leave --amp out."
    )


def test_write(tmp_path):
    agreement = same_start.compare({"torch": [2.0, 1.0], "keras": [2.0, 1.0], "tensorflow": [2.0, 1.0]})
    for _ in range(2):  # the second time over its own
        files = same_start.write(agreement, OPTIONS, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "same-start.json").read_text())
    assert record["losses"]["keras"] == [2.0, 1.0]
    assert record["agrees"] is True
    assert (tmp_path / "out" / "same-start.png").read_bytes().startswith(b"\x89PNG")
    assert set(files) == {"result", "plot"}
