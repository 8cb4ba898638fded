"""Operators of classical machine learning, as PyTorch modules and TorchScript files, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers import learned
from tests.importers.suites import script


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("torch_suite.py", "--learned")
    return found


@pytest.mark.parametrize("name", [row.name for row in learned.all_learned()])
def test_it_gives_what_onnx_runtime_gives(rows: dict[str, Any], name: str) -> None:
    assert (rows[name]["eager"], rows[name]["scripted"]) == ("ok", "ok")
