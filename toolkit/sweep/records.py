"""What became of each model, kept beside the bundles as it happens, so that a sweep goes on where it was stopped."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from toolkit import files, manifest
from toolkit.errors import BadInput, NotWritable, ToolkitError
from toolkit.report.fleet import Outcome
from toolkit.verification.report import Verdict

FOLDER = ".sweep"


@contextlib.contextmanager
def held(output: Path) -> Iterator[None]:
    """The folder of a sweep, for this process alone. Raises BadInput where another sweep is writing there."""
    with files.explaining_os_errors(output):
        if output.is_dir() and any(output.iterdir()) and not (output / FOLDER).is_dir():
            raise NotWritable(
                "the folder holds something else than a sweep", where=str(output), hint="Choose an empty or a new one."
            )
        (output / FOLDER).mkdir(parents=True, exist_ok=True)
        lock = os.open(output / FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput("another sweep is writing there", where=str(output), hint="Wait for it to end.") from None
        yield
    finally:
        os.close(lock)


def keep(output: Path, key: str, outcome: Outcome) -> None:
    """Write an outcome down, completely or not at all."""
    with files.replacing(_file(output, outcome.name)) as stage:
        stage.write_text(json.dumps({"key": key, **outcome.to_json()}, allow_nan=False) + "\n", encoding="utf-8")


def passed_before(output: Path, name: str, key: str) -> Outcome | None:
    """The outcome of an earlier run that passed with the same key and whose bundle is still as it was written."""
    try:
        data = json.loads(_file(output, name).read_text(encoding="utf-8"))
        outcome = Outcome.from_json(data)
        if data["key"] != key or outcome.verdict is not Verdict.PASS:
            return None
        manifest.check(output / name)
    except (OSError, ValueError, KeyError, TypeError, ToolkitError):
        return None  # whatever is wrong with what was kept, an export makes it anew
    return replace(outcome, cached=True)


def _file(output: Path, name: str) -> Path:
    return output / FOLDER / f"{name}.json"
