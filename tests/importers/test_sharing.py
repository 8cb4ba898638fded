"""A weight that several nodes read is one variable of the Keras model and its files: trained once, stored once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.suites import script

CASES = (
    "one product twice", "other biases", "one bias", "embedding and head",
    "embedding and head with a bias", "there and back",
    "convolution at two sizes", "convolution dilated", "convolution in groups", "normalised twice", "recurrent twice",
    "added in two orders", "loop", "loop of many turns",
)  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("keras_sharing.py")
    return found


def test_all_are_tried(rows: dict[str, Any]) -> None:
    assert set(rows) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_each_weight_is_there_once(rows: dict[str, Any], case: str) -> None:
    row = rows[case]
    assert {column: row[column] for column in ("model", "h5", "keras", "trained") if row[column] > 1e-5} == {}
    if case == "convolution in groups":  # a layer for each group, also where groups hold the same numbers
        assert row["weights"] == [36, 36]
    elif case == "loop of many turns":  # too deep for one model: a model behind another, each with its own
        assert row["weights"] == [4, 4]
    elif case == "one bias":  # a layer has its own
        assert row["weights"] == [6, 6, 36, 36]
    elif case == "recurrent twice":  # a layer for each direction, the two biases of which are one
        assert row["weights"] == [12, 12, 36, 36, 72, 72]
    else:
        assert row["weights"] == row["source"]


def test_a_file_is_as_large_as_its_weights(rows: dict[str, Any]) -> None:
    row = rows["embedding and head"]
    assert row["h5_bytes"] < 1.05 * 4 * sum(row["source"])
