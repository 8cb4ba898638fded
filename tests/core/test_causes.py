"""What is told of an exception that other people's code raised."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from toolkit import causes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one line", "one line"),
        ("\n  first \nsecond", "first"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("", ""),
        (" \n ", ""),
        ("in user code:\n    File 'x', line 3\n    ValueError: the end", "ValueError: the end"),
        ("Graph execution error:\nDetected at node f defined at\n  File 'x'\nIncompatible", "Incompatible"),
    ],
)
def test_telling_line(text: str, expected: str) -> None:
    assert causes.telling(text) == expected


def test_exception_without_a_text_has_its_class() -> None:
    assert causes.said(AssertionError()) == "AssertionError"
    assert causes.described(KeyError()) == "KeyError"
    assert causes.described(ValueError("too long"), longest=3) == "ValueError: too"


def test_users_line_is_named_and_not_the_librarys(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("import json\n\n\ndef call():\n    json.loads('{')\n", "utf-8")
    spec = importlib.util.spec_from_file_location("model", model)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError, match="Expecting property name") as caught:
        module.call()
    assert causes.raised(caught.value).endswith("(model.py, line 5)")
    assert causes.raised(caught.value).startswith("JSONDecodeError: Expecting property name")


def test_exception_that_was_never_raised_has_no_line() -> None:
    assert causes.raised(RuntimeError("no")) == "RuntimeError: no"
