"""ONNX's own node cases: what passes must go on passing, what does not is in exceptions.json with its reason.

Here a fixed sample of them is run (`cases.sample`: every operator, and one case of six); the complete run with its
table is `make onnx-suite`. Each suite runs in a process of its own.
"""

from __future__ import annotations

import json

import pytest

from tests.importers.suites import HERE, results, surprises

# Of the columns of files, a part of the sample is run.
LEAST = {"eager": 500, "scripted": 500, "model": 500, "h5": 50, "savedmodel": 50}


@pytest.mark.parametrize("column", LEAST)
def test_node_cases(column: str) -> None:
    rows = results()
    assert sum(column in row for row in rows.values()) > LEAST[column]
    assert surprises(rows, column) == []


def test_every_exception_has_cases_and_a_reason() -> None:
    table = json.loads((HERE / "exceptions.json").read_text())
    assert set(table) == set(LEAST)
    for reasons in table.values():
        assert all(reason and cases for reason, cases in reasons.items())
