"""The layout pass on random graphs whose axes all have one size, against onnx.reference."""

from __future__ import annotations

from tests.importers.suites import script

GRAPHS = 80


def test_layouts_come_from_operators_never_from_sizes() -> None:
    found = script("layouts.py", str(GRAPHS))
    assert found["wrong"] == {}
    assert found["transposes"] < 4 * GRAPHS  # nine operators each; many of their kinds permute axes


def test_a_planted_mistake_does_not_go_by_unnoticed() -> None:
    assert len(script("layouts.py", "10", "--planted")["wrong"]) >= 3
