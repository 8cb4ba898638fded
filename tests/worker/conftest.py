"""Fake workers: a few lines of Python that misbehave in one way each, started as a worker's command."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from toolkit.worker.client import Worker
from toolkit.worker.limits import Limits

ROOT = Path(__file__).parents[2]

# What every fake begins with: the protocol, and the greeting unless it is left out.
PROLOGUE = """
    import os, signal, subprocess, sys, time
    sys.path.insert(0, {root!r})
    from io import FileIO
    from toolkit.worker import wire
    requests, replies = FileIO(0, "rb"), FileIO(1, "wb")

    def say(**message):
        wire.write(replies, message)
"""
GREETING = """
    say(hello={"pid": os.getpid()})
    call = wire.read(requests)
"""


@pytest.fixture
def fake(tmp_path):
    """Make a worker of a script's body; closes it at the end."""
    made = []

    def make(body, *, greet=True, **limits):
        script = tmp_path / f"fake{len(made)}.py"
        parts = [PROLOGUE.format(root=str(ROOT)), GREETING if greet else "", body]
        script.write_text("\n".join(textwrap.dedent(part) for part in parts))
        worker = Worker("torch", command=[sys.executable, "-P", str(script)], limits=Limits(**limits))
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()


@pytest.fixture(autouse=True)
def no_folder_left(tmp_path, monkeypatch):
    """Workers' folders are made below the test's own, and are gone after it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


@pytest.fixture(scope="session")
def real():
    """A real worker with no framework in it, shared by the tests that leave it alive."""
    with Worker("none", limits=Limits(threads=1)) as worker:
        yield worker
