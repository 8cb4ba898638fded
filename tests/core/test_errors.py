"""Errors are data: they print as one message, cross processes unchanged, and each has its exit code."""

from __future__ import annotations

import json
import pickle

import pytest

from toolkit import errors
from toolkit.errors import BadInput, TaskFailed, ToolkitError

CODES = {
    "ToolkitError": 2, "BadInput": 2, "UnknownFormat": 2, "FactoryFailed": 2, "InvalidGraph": 2,
    "UnsupportedOperator": 2, "ExportFailed": 2, "NotWritable": 2, "DiskFull": 2, "MissingOutput": 2,
    "VerdictFailed": 1, "DeviceMissing": 3, "RuntimeMissing": 3,
    "WorkerFailed": 4, "WorkerCrashed": 4, "WorkerTimeout": 4, "WorkerOutOfMemory": 4, "TaskFailed": 4,
    "UnsafeFile": 5, "Inconclusive": 6,
}  # fmt: skip


def family(kind):
    return {
        kind.__name__: kind,
        **{name: found for child in kind.__subclasses__() for name, found in family(child).items()},
    }


ALL = {name: kind for name, kind in family(ToolkitError).items() if kind.__module__ == "toolkit.errors"}


def test_every_error_has_its_exit_code():
    assert {name: kind.exit_code for name, kind in ALL.items()} == CODES


@pytest.mark.parametrize("name", CODES)
def test_an_error_crosses_processes_unchanged(name):
    error = ALL[name]("a thing\nis wrong", where="model.onnx", hint="Mend it.")
    by_json = errors.from_json(json.loads(json.dumps(error.to_json())))
    for copy in (by_json, pickle.loads(pickle.dumps(error))):
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.to_json() == error.to_json()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BadInput("no such file"), "BadInput: no such file"),
        (BadInput("no such file", where="a.npz"), "BadInput: a.npz: no such file"),
        (BadInput("no such file", hint="Check the path."), "BadInput: no such file\n  Check the path."),
        (BadInput("odd", where="a", hint="Do."), "BadInput: a: odd\n  Do."),
        (BadInput("odd").at("first").at("second"), "BadInput: first: odd"),
        (BadInput("odd", where="own").at("other"), "BadInput: own: odd"),
    ],
)
def test_what_the_user_reads(error, text):
    assert str(error) == text


def test_an_error_of_a_newer_toolkit():
    error = errors.from_json({"type": "FromTheFuture", "found": "x"})
    assert (type(error), str(error)) == (TaskFailed, "TaskFailed: x")
