"""A sweep from its file to its summary: what is new is exported, what passed before is kept, all of it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from toolkit import files, manifest
from toolkit.report import fleet, html
from toolkit.report.fleet import Fleet, Outcome
from toolkit.sweep import conduct, fingerprint, records
from toolkit.sweep.conduct import Lanes, Watcher
from toolkit.sweep.entries import Entry
from toolkit.sweep.local import LocalLanes
from toolkit.sweep.on_ray import RayLanes
from toolkit.sweep.task import Place, Task
from toolkit.verification.report import dumps
from toolkit.worker.limits import available_cores

# What lies beside the bundles, so that no model may bear these names.
SUMMARY, PAGE, DATA = "sweep.md", "sweep.html", "sweep.json"
RESERVED = (SUMMARY, PAGE, DATA)


@dataclass(frozen=True)
class Plan:
    """What a sweep has to do: tasks, and the outcomes of those models that passed before as they are now."""

    tasks: Sequence[Task]
    before: Mapping[str, Outcome]


@dataclass(frozen=True)
class How:
    """Where and with how much a sweep runs; `ray` is an address, `jobs` how many models at once."""

    jobs: int | None = None
    ray: str | None = None
    seconds: float = 900.0
    memory: int = 0
    threads: int | None = None
    commands: Mapping[str, str] | None = None


def plan(entries: Sequence[Entry], output: Path, commands: Mapping[str, str], *, fresh: bool = False) -> Plan:
    """Look up what is done already; with `fresh`, nothing is."""
    tasks, before = [], {}
    for entry in entries:
        key = fingerprint.of(entry, commands)
        done = None if fresh else records.passed_before(output, entry.name, key)
        if done is None:
            tasks.append(conduct.task_of(entry, output, key))
        else:
            before[entry.name] = done
    return Plan(tasks, before)


def run(entries: Sequence[Entry], output: Path, how: How, watcher: Watcher, *, fresh: bool = False) -> Fleet:
    """Export every model into a folder of its name below `output`, and write the summary beside them.

    What has ended is on record at once: a sweep that is interrupted leaves whole bundles and nothing else, and the
    next one goes on from there. Raises BadInput, NotWritable, RuntimeMissing for what stops the sweep as a whole.
    """
    started = time.monotonic()
    with records.held(output):
        todo = plan(entries, output, how.commands or {}, fresh=fresh)
        found = dict(todo.before)
        for outcome in todo.before.values():
            watcher.ended(outcome)
        if todo.tasks:
            found |= {outcome.name: outcome for outcome in _carry_out(todo.tasks, output, how, watcher)}
        total = Fleet(
            tuple(found[entry.name] for entry in entries), manifest.timestamp(), round(time.monotonic() - started, 2)
        )
        _write(output, total)
    return total


def _carry_out(tasks: Sequence[Task], output: Path, how: How, watcher: Watcher) -> list[Outcome]:
    try:
        with _lanes(len(tasks), how) as lanes:
            return conduct.run(lanes, tasks, _keeper(output), watcher)
    finally:
        files.clear_leftovers(output, older=0.0)  # of lanes that were killed; the others have cleared up themselves


def _keeper(output: Path) -> Callable[[Task, Outcome], None]:
    return lambda task, outcome: records.keep(output, task.key, outcome)


def _lanes(tasks: int, how: How) -> AbstractContextManager[Lanes]:
    cores = available_cores()
    if how.ray is not None:
        return RayLanes(how.ray, how.jobs, _place(how, how.threads or 1))
    jobs = min(how.jobs, tasks) if how.jobs else conduct.usual_jobs(tasks, how.threads, cores)
    return LocalLanes(jobs, _place(how, how.threads or max(1, cores // jobs)))


def _place(how: How, threads: int) -> Place:
    return Place(how.seconds, how.memory, threads, how.commands or {})


def _write(output: Path, total: Fleet) -> None:
    texts = {SUMMARY: fleet.markdown(total), PAGE: html.render_fleet(total), DATA: dumps(total.to_json()) + "\n"}
    for name, text in texts.items():
        with files.replacing(output / name) as stage:
            stage.write_text(text, encoding="utf-8")
