"""The workers of one command: one per (runtime, device), started when first asked for, kept warm, ended together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from toolkit.worker.client import Progress, Spent, Worker, parse_command
from toolkit.worker.limits import Limits
from toolkit.worker.server import task as find_task
from toolkit.worker.session import Session


class Caller(Protocol):
    """Whatever can run a task: a worker process, or this very process for a model object that lives in it."""

    runtime: str

    def call(
        self,
        task: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Any: ...


@dataclass
class Here:
    """Runs tasks in this process: for a model object of the caller's own, whose framework is loaded here already."""

    runtime: str
    session: Session = field(default_factory=Session)

    def call(
        self,
        task: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: Progress | None = None,
        timeout: float | None = None,  # noqa: ARG002 - a caller's own process is not ours to stop
    ) -> Any:
        self.session.send_progress = on_progress or (lambda _: None)
        return find_task(task)(self.session, **(params or {}))


class WorkerPool:
    """A context manager that hands out workers by runtime and device.

    `commands` replaces the interpreter of a runtime ({"tensorflow": "other/bin/python"}) or of a device
    ({"cuda": "ssh gpu-host toolkit worker"}); a runtime's own entry wins.
    """

    def __init__(self, *, limits: Limits | None = None, commands: Mapping[str, str] | None = None) -> None:
        self.limits = limits or Limits()
        self._commands = dict(commands or {})
        self._workers: dict[tuple[str, str], Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as stack:
            for worker in self._workers.values():
                stack.callback(worker.close)

    def worker(self, runtime: str, device: str = "cpu") -> Worker:
        """The worker of that runtime and device; it starts with its first call, or with `warm`."""
        kind = device.partition(":")[0]
        key = (runtime, device)
        if key not in self._workers:
            command = self._commands.get(runtime) or self._commands.get(kind)
            self._workers[key] = Worker(
                runtime, device, command=parse_command(command) if command else None, limits=self.limits
            )
        return self._workers[key]

    def warm(self, runtimes: Iterable[tuple[str, str]] | Sequence[tuple[str, str]]) -> None:
        """Start the processes of these (runtime, device) pairs without waiting for any."""
        for runtime, device in runtimes:
            self.worker(runtime, device).start()

    @property
    def resident(self) -> int:
        """Bytes that all workers together hold in memory."""
        return sum(worker.resident for worker in self._workers.values())

    @property
    def spent(self) -> dict[str, Spent]:
        """Wall and CPU seconds of all workers by task, with those inside the models and the imports apart."""
        found: dict[str, Spent] = {}
        for worker in self._workers.values():
            for what, seconds in worker.spent.items():
                sums = found.setdefault(what, {"wall": 0.0, "cpu": 0.0})
                for clock, spent in seconds.items():
                    sums[clock] += spent
        return found

    @property
    def seconds(self) -> dict[str, float]:
        """Wall and CPU seconds spent inside tasks, over all workers."""
        return {clock: sum(worker.seconds[clock] for worker in self._workers.values()) for clock in ("wall", "cpu")}
