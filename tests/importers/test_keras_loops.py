"""What only a SavedModel holds is right in one, and refused before anything is built where files of Keras are meant."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.suites import script

WHERE = "UnsupportedOperator: the model in memory, node '{}': "
ADVICE = "\n  A SavedModel can hold it: toolkit export model.onnx --to savedmodel"
COUNTED = WHERE.format("y") + "a Loop with 'M' computed when the model runs has no Keras form" + ADVICE
SHAPES = (
    WHERE.format("y") + "If between tensors of shapes (6, 4) and (3, 4), picked when the model runs, has no Keras form"
)
REFUSALS = {
    "5 turns": COUNTED,
    "1 turns": COUNTED,
    "0 turns": COUNTED,
    "until a condition ends it": WHERE.format("y") + "a Loop that only its condition ends has no Keras form" + ADVICE,
    "scan of free length": (
        WHERE.format("end") + "a Scan of a length known only when the model runs has no Keras form" + ADVICE
    ),
    "a picture": WHERE.format("y") + "ImageDecoder has no Keras form" + ADVICE,
    "one branch": SHAPES + ADVICE,
    "the other branch": SHAPES + ADVICE,
}


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("keras_loops.py")
    return found


@pytest.mark.parametrize("case", REFUSALS)
def test_it_is_right_in_a_savedmodel_and_refused_elsewhere(rows: dict[str, Any], case: str) -> None:
    assert rows[case]["saved"] == "ok"
    assert rows[case]["plain"] == REFUSALS[case]


def test_a_loop_whose_condition_only_counts_is_written_out(rows: dict[str, Any]) -> None:
    found = rows["counts by twos to five"]
    assert (found["saved"], found["plain"]) == ("ok", "none")


def test_weights_of_a_body_are_there_once(rows: dict[str, Any]) -> None:
    assert rows["5 turns"]["weights"] == rows["0 turns"]["weights"] <= 2
    assert set(rows) >= set(REFUSALS)
