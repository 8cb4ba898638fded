"""Where converters go wrong without a word: each case of `traps` is right, or refused by name."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.importers import traps
from tests.importers.suites import script

NAMES = [trap.name for trap in traps.all_traps()] + list(traps.LOOPS)


@cache
def rows(suite: str) -> dict[str, Any]:
    found: dict[str, Any] = script(suite, "--traps")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_torch_is_right_eager_and_scripted(name: str) -> None:
    row = rows("torch_suite.py")[name]
    assert (row["eager"], row["scripted"]) == ("ok", "ok")


@pytest.mark.parametrize("name", NAMES)
def test_keras_is_right_or_says_that_it_cannot(name: str) -> None:
    outcome = rows("keras_suite.py")[name]["model"]
    if name in traps.REFUSED_BY_KERAS:
        assert outcome.startswith("UnsupportedOperator: ")
    else:
        assert outcome == "ok"


@pytest.mark.parametrize("column", ["h5", "savedmodel"])
def test_keras_files_are_right_where_keras_is_alone(column: str) -> None:
    outcomes = {name: row[column] for name, row in rows("keras_suite.py").items() if column in row}
    assert len(outcomes) > 30
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "ok"} == {}


def test_what_is_refused_is_a_case() -> None:
    assert set(NAMES) >= traps.REFUSED_BY_KERAS
    assert len(NAMES) == len(set(NAMES))
