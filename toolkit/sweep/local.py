"""Processes of this machine as the places where a sweep's exports run, each with warm workers of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self

from toolkit.sweep.conduct import Died, Done, Event, Staged
from toolkit.sweep.task import Place, Task, Workshop

_GRACE = 10.0  # seconds in which a process that is told to end removes what it has half-written
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass
class _Lane:
    process: BaseProcess
    connection: Connection


class LocalLanes:
    """A context manager over processes that are started when first needed, and again after one has died."""

    def __init__(self, count: int, place: Place) -> None:
        self.count = count
        self._place = place
        self._lanes: dict[int, _Lane] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Tell all to end, and wait until they have cleared up."""
        for lane in self._lanes.values():
            lane.process.terminate()
        limit = time.monotonic() + _GRACE
        for lane in self._lanes.values():
            lane.process.join(max(0.0, limit - time.monotonic()))
            if lane.process.is_alive():
                lane.process.kill()
                lane.process.join()
            lane.connection.close()
        self._lanes = {}

    def start(self, index: int, task: Task) -> None:
        if index not in self._lanes:
            ours, theirs = _CONTEXT.Pipe()
            process = _CONTEXT.Process(target=_serve, args=(theirs, self._place), name=f"toolkit-sweep-{index}")
            process.start()
            theirs.close()
            self._lanes[index] = _Lane(process, ours)
        with contextlib.suppress(OSError):  # one that has just died is noticed by `wait`
            self._lanes[index].connection.send(task)

    def wait(self, seconds: float) -> list[Event]:
        """What has happened in the lanes, at the latest after so many seconds."""
        by_connection: Mapping[Any, int] = {lane.connection: index for index, lane in self._lanes.items()}
        events: list[Event] = []
        for ready in wait(list(by_connection), seconds):
            index = by_connection[ready]
            try:
                events.append(self._event(index, self._lanes[index].connection.recv()))
            except (EOFError, OSError):
                events.append(self._died(index))
        return events

    @staticmethod
    def _event(index: int, message: tuple[str, Any]) -> Event:
        kind, value = message
        return Done(index, value) if kind == "done" else Staged(index, value)

    def _died(self, index: int) -> Died:
        lane = self._lanes.pop(index)
        lane.connection.close()
        lane.process.join(_GRACE)
        code = lane.process.exitcode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return Died(index, how)


def _serve(connection: Connection, place: Place) -> None:
    """The life of a lane: tasks come, outcomes go; it ends with its parent, and clears up before it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which then tells us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Workshop(place) as workshop, contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            task = connection.recv()
            connection.send(("done", workshop.carry_out(task, lambda stage: connection.send(("stage", stage)))))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
