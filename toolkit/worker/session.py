"""What a task inside a worker may use: a place for what it keeps, and a way to say how far it is."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import WorkerCrashed


class _Opened(dict[str, Any]):
    def __missing__(self, handle: str) -> Any:
        raise WorkerCrashed(f"'{handle}' was open in a worker that has ended since", hint="Run the command again.")


@dataclass
class Session:
    """The state of one worker between calls.

    `objects` holds opened models by handle, so that one is loaded once and run many times.
    """

    send_progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    objects: dict[str, Any] = field(default_factory=_Opened)
    in_models: dict[str, float] = field(default_factory=lambda: {"wall": 0.0, "cpu": 0.0})
    _counter: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def progress(self, fields: Mapping[str, Any]) -> None:
        """Tell the parent how far the running task is; "stage" names the step."""
        self.send_progress(fields)

    @contextlib.contextmanager
    def in_model(self) -> Iterator[None]:
        """Count what happens meanwhile as a model's own time: `in_models` holds the sum of the running task."""
        started = time.perf_counter(), time.process_time()
        yield
        self.in_models["wall"] += time.perf_counter() - started[0]
        self.in_models["cpu"] += time.process_time() - started[1]

    def keep(self, item: Any) -> str:
        """Keep an object for later calls; returns its handle, which no other process gives to anything."""
        handle = f"{type(item).__name__}-{os.getpid()}-{next(self._counter)}"
        self.objects[handle] = item
        return handle
