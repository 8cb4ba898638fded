"""Give every way of searching its share of the time, and stop at the first difference that counts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from toolkit.errors import ToolkitError
from toolkit.verification.plan import Batch
from toolkit.verification.reference import Answers
from toolkit.verification.search import boundary, branches, domain, evolution, ranges, sweeps
from toolkit.verification.search.domain import Domain
from toolkit.verification.search.trial import Found, Trial, Tried
from toolkit.verification.searched import Searched
from toolkit.verification.sides import FileSide, Outputs
from toolkit.verification.subject import Settings, Subject
from toolkit.worker.pool import WorkerPool

Way = Generator[list[Batch], list[Tried], None] | Iterator[list[Batch]]

_SHARES = {"sweeps": 4.0, "branches": 4.0, "boundary": 1.0, "evolution": 1.5}
_MOMENT = 0.2  # seconds that a batch of rows should take the source
_MOST_ROWS = 64


@dataclass
class Timed:
    """One way of searching, with what it has used of the time."""

    name: str
    way: Way
    spent: float = 0.0
    inputs: int = 0
    answer: list[Tried] | None = None

    @property
    def owed(self) -> float:
        return self.spent / _SHARES.get(self.name, 1.0)


def look(
    pool: WorkerPool, subject: Subject, file: FileSide, answers: Answers, planned: Outputs, settings: Settings
) -> tuple[Searched, Found | None]:
    """Search for `settings.search` seconds, or until something is found. `planned` is what the file made of the plan.

    Raises what the file's worker raises when it dies: that is a verdict of its own.
    """
    started = time.monotonic()
    assert subject.side is not None
    if domain.of_plan(subject.signature, answers.batches) is None:
        return Searched(settings.search, 0.0, 0, not_tried=("the model has no inputs to vary",)), None
    known, trial = prepared(subject, file, answers, planned, settings)
    left_out: list[str] = []
    deadline = started + settings.search
    ways = [
        # first, for it learns which constants the file holds
        Timed("branches", branches.strategy(pool, subject.side, file, known, settings.seed, deadline, left_out)),
        Timed("sweeps", sweeps.sweeps(known, settings.seed)),
        Timed("boundary", boundary.strategy(known, settings.seed)),
        Timed("evolution", evolution.strategy(known, settings.seed)),
    ]
    found, by = in_turns(trial, ways, deadline)
    seconds = time.monotonic() - started
    tried = {each.name: each.inputs for each in ways}
    how = f"{by} after {seconds:.1f} s" if found is not None else None
    return Searched(
        settings.search, seconds, trial.inputs, tried, trial.worst, how, trial.jumps, tuple(left_out)
    ), found


def prepared(
    subject: Subject, file: FileSide, answers: Answers, planned: Outputs, settings: Settings
) -> tuple[Domain, Trial]:
    """What inputs there are, with the integers that the source takes, and both sides ready to be tried."""
    assert subject.side is not None
    known = domain.of_plan(subject.signature, answers.batches)
    assert known is not None, "a model without inputs"
    trial = Trial(subject.signature, subject.side, file, answers, planned, settings.thresholds, subject.asked)
    _prepare(trial, known)
    return known, trial


def _prepare(trial: Trial, known: Domain) -> None:
    """Learn what integers the source takes, and how many rows it answers for in a moment."""
    ranges.widen(known, lambda row: trial.ask(list(known.batches([row], "search: range")))[0] is not None)
    batch = list(known.batches(known.seeds[:8], "search: speed"))
    trial.ask(batch[:1])  # warm
    started = time.monotonic()
    trial.source.run(batch[:1])
    per_row = (time.monotonic() - started) / max(batch[0].size, 1)
    known.rows = int(min(max(_MOMENT / per_row, 1), _MOST_ROWS))


def in_turns(trial: Trial, ways: list[Timed], deadline: float) -> tuple[Found | None, str]:
    """The way that is owed most goes next; one that has nothing more to try is done."""
    running = list(ways)
    try:
        while running and time.monotonic() < deadline:
            each = min(running, key=lambda way: way.owed)
            started = time.monotonic()
            batches = _next(each)
            if batches is None:
                running.remove(each)
                continue
            before = trial.inputs
            each.answer, found = trial.run(batches)
            each.inputs += trial.inputs - before
            each.spent += time.monotonic() - started
            if found is not None:
                return found, found.batch.kind.removeprefix("search: ")
        return None, ""
    finally:
        for each in ways:
            with contextlib.suppress(ToolkitError):
                _close(each.way)


def _next(each: Timed) -> list[Batch] | None:
    try:
        if each.answer is None or not hasattr(each.way, "send"):
            return next(each.way)
        sent: list[Batch] = each.way.send(each.answer)
    except StopIteration:
        return None
    return sent


def _close(way: Way) -> None:
    if hasattr(way, "close"):
        way.close()
