"""Keras' defects never reach a user: each of `docs/keras-traps.md` is provoked, and our models are right beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importers.suites import script

TRAPS = ("addition", "channels first", "grouped convolutions", "slashes in names", "compiled models",
         "learned vocabularies", "constants as text", "long sums", "depth")  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("keras_traps.py")
    return found


@pytest.mark.parametrize("trap", TRAPS)
def test_the_trap_is_there_and_is_avoided(rows: dict[str, Any], trap: str) -> None:
    assert rows[trap] == {"theirs": True, "ours": "ok"}, "once Keras is mended, take the row out of the page"


def test_weights_are_weights(rows: dict[str, Any]) -> None:
    assert rows["weights"]["ours"] == "ok"


def test_every_trap_is_described(rows: dict[str, Any]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "keras-traps.md").read_text(encoding="utf-8")
    assert set(rows) == {*TRAPS, "weights"}
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        f"## {name.capitalize()}" for name in TRAPS
    ]
