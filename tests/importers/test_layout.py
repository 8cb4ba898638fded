"""The layout pass on random graphs whose axes all have one size, against onnx.reference."""

from __future__ import annotations

from tests.importers.suites import script

GRAPHS = 80


def test_layouts_come_from_operators_never_from_sizes() -> None:
    found = script("layouts.py", str(GRAPHS))
    assert found["wrong"] == {}
    assert found["transposes"] < 6 * GRAPHS  # nine operators each, three of nineteen kinds of which permute axes


def test_a_planted_mistake_does_not_go_by_unnoticed() -> None:
    assert len(script("layouts.py", "10", "--planted")["wrong"]) >= 3
