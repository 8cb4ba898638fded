"""One export of a sweep, carried out wherever it is: in a process of this machine or in a Ray actor."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from toolkit import bundle
from toolkit.errors import ToolkitError, WorkerFailed
from toolkit.report.fleet import Outcome, verdict_of
from toolkit.verification.report import Report, Verdict
from toolkit.worker.limits import Limits
from toolkit.worker.pool import WorkerPool

# Workers that hold more than this after an export are ended, so that what a model left behind burdens no other.
_WARM_BYTES = 4_000_000_000


@dataclass(frozen=True)
class Task:
    """An export to carry out, as plain data that travels. `key` says what it depends on (`fingerprint`)."""

    name: str
    source: str
    arguments: Mapping[str, Any]
    output: Path
    folder: Path
    key: str = ""


@dataclass(frozen=True)
class Place:
    """What every worker of a sweep gets."""

    seconds: float
    memory: int = 0
    threads: int = 1
    commands: Mapping[str, str] = field(default_factory=dict)


class Workshop:
    """Carries out one task after another, with workers that stay warm; a context manager."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; the next task starts fresh ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)

    def carry_out(self, task: Task, stage: Callable[[str], None] = lambda _: None) -> Outcome:
        """Export and verify one model; whatever goes wrong with it is the outcome, never an exception."""
        os.chdir(task.folder)  # where the file of models says that paths and modules are
        if str(task.folder) not in sys.path:
            sys.path.append(str(task.folder))
        started = time.monotonic()
        try:
            made = bundle.export(task.source, output=task.output, **task.arguments, stage=stage, pool=self._warm())
            verdict, reason = Verdict.PASS, ""
            report: Report | None = made.report
            if made.report.exit_code:  # a device that is missing does not undo an export
                verdict = verdict_of(made.report.exit_code)
                reason = next(row.reason for row in made.report.rows if row.verdict is verdict)
        except ToolkitError as error:
            verdict, reason, report = verdict_of(error.exit_code), str(error), getattr(error, "report", None)
            if isinstance(error, WorkerFailed):
                self.close()
        except Exception as error:  # noqa: BLE001 - a fault of ours on one model must not cost the others theirs
            verdict, reason, report = Verdict.CRASHED, f"{type(error).__name__}: {error}", None
            self.close()
        if self._pool is not None and self._pool.resident > _WARM_BYTES:
            self.close()
        return Outcome(task.name, task.source, verdict, reason, round(time.monotonic() - started, 2), report)

    def _warm(self) -> WorkerPool:
        if self._pool is None:
            place = self._place
            limits = Limits(seconds=place.seconds, memory=place.memory, threads=place.threads)
            self._pool = WorkerPool(limits=limits, commands=place.commands)
        return self._pool
