"""How many inputs a verdict stands on where the user does not say."""

from __future__ import annotations

import pytest

from tests.verification import liars
from toolkit.verification import effort
from toolkit.verification.sides import open_source
from toolkit.verification.verifier import Settings, subject_of


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.0, 512), (0.0195, 512), (0.02, 256), (0.05, 128), (0.07, 128), (0.3, 32), (60.0, 32)]
)
def test_costly_models_get_fewer_inputs(seconds, count):
    assert effort.affordable(seconds) == count


@pytest.mark.parametrize(
    ("seconds", "asked", "count", "told"),
    [(1e-9, None, 32, True), (1e9, None, 512, False), (1e-9, 64, 64, False)],
    ids=["a slow model", "a fast model", "as the user says"],
)
def test_the_plan_is_as_long_as_the_model_allows(pool, monkeypatch, seconds, asked, count, told):
    monkeypatch.setattr(effort, "SECONDS", seconds)
    resolved = liars.source_of("dense")
    subject = subject_of(pool, open_source(pool, resolved), resolved, None, Settings(count=asked, latency=False))
    coverage = subject.plan.coverage()
    assert count <= coverage.inputs <= count + 64
    assert any(item.startswith(f"more than {count} inputs") for item in coverage.not_tried) == told
