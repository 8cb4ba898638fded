"""Hand out a sweep's exports to lanes, as many at once as memory allows, and gather what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from toolkit import files
from toolkit.errors import BadInput
from toolkit.report.fleet import Outcome
from toolkit.sweep.entries import Entry
from toolkit.sweep.task import Task
from toolkit.verification.report import Verdict
from toolkit.worker.limits import available_memory

# Memory that an export needs: its warm frameworks, and copies of its weights in the source, the files and the tests.
_FRAMEWORKS, _COPIES = 2_000_000_000, 8
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Done:
    lane: int
    outcome: Outcome


@dataclass(frozen=True)
class Died:
    """A lane is gone, with the export that ran in it; `how` says it in words."""

    lane: int
    how: str


@dataclass(frozen=True)
class Staged:
    lane: int
    stage: str


Event = Done | Died | Staged


class Lanes(Protocol):
    """Where exports run: lanes 0 to `count` - 1, one task at a time in each."""

    @property
    def count(self) -> int: ...

    def start(self, index: int, task: Task) -> None: ...

    def wait(self, seconds: float) -> list[Event]: ...


@dataclass
class Watcher:
    """Who is told of progress: of each outcome as it comes, and of what is being done now, by model."""

    ended: Callable[[Outcome], None] = lambda _: None
    doing: Callable[[Mapping[str, str]], None] = lambda _: None


@dataclass
class _Hand:
    """The tasks that run and those that wait, and the memory that they may use together."""

    lanes: Lanes
    waiting: list[Task]
    budget: int
    running: dict[int, Task] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start whatever fits, in order; a task that fits beside no other runs alone."""
        for lane in range(self.lanes.count):
            if lane in self.running:
                continue
            used = sum(map(needs, self.running.values()))
            fits = (task for task in self.waiting if not self.running or used + needs(task) <= self.budget)
            task = next(fits, None)
            if task is None:
                return
            self.waiting.remove(task)
            self.running[lane] = task
            self.stages[task.name] = "start"
            self.lanes.start(lane, task)

    def end(self, event: Done | Died) -> tuple[Task, Outcome]:
        task = self.running.pop(event.lane)
        self.stages.pop(task.name, None)
        if isinstance(event, Done):
            return task, event.outcome
        reason = f"WorkerCrashed: the process that exported it ended ({event.how})"
        return task, Outcome(task.name, task.source, Verdict.CRASHED, reason, 0.0, None)


def run(lanes: Lanes, tasks: Sequence[Task], keep: Callable[[Task, Outcome], None], watcher: Watcher) -> list[Outcome]:
    """Carry out all tasks; `keep` is called with each outcome as it comes. One that fails stops no other."""
    hand = _Hand(lanes, list(tasks), available_memory())
    found: list[Outcome] = []
    while hand.waiting or hand.running:
        hand.start()
        for event in lanes.wait(_POLL_SECONDS):
            if isinstance(event, Staged):
                hand.stages[hand.running[event.lane].name] = event.stage
            elif event.lane in hand.running:
                task, outcome = hand.end(event)
                keep(task, outcome)
                found.append(outcome)
                watcher.ended(outcome)
        watcher.doing(hand.stages)
    return found


def task_of(entry: Entry, output: Path, key: str) -> Task:
    return Task(entry.name, entry.source, entry.arguments, output.absolute() / entry.name, entry.folder, key)


def needs(task: Task) -> int:
    """Bytes of memory that an export is expected to need, going by its source's size on disk."""
    path = task.folder / task.source
    try:
        size = sum(file.stat().st_size for file in files.files_below(path)) if path.exists() else 0
    except (OSError, BadInput):
        size = 0  # the export will say what is wrong
    return _FRAMEWORKS + _COPIES * size


def usual_jobs(tasks: int, threads: int | None, cores: int) -> int:
    """Lanes by default: one per core, or per `threads` cores; no more than memory has room for, or than tasks."""
    room = max(1, available_memory() // _FRAMEWORKS)
    return max(1, min(cores // (threads or 1), room, tasks))
