"""A Ray cluster as the place where a sweep's exports run: one actor per lane, each with warm workers of its own.

The toolkit must be installed on every node, and the folder of models and the destination be on a file system that all
nodes share.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any, Self

from toolkit.causes import said
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.report.fleet import Outcome
from toolkit.sweep.conduct import Died, Done, Event
from toolkit.sweep.task import Place, Task, Workshop

LOCAL = "local"  # the address that stands for a Ray of our own on this machine
_HOST_AND_PORT = re.compile(r"^(ray://)?(?P<host>[^/\s]+):(?P<port>\d+)$")
_ANSWER_SECONDS = 10.0
_DISTRIBUTION = Path(__file__).resolve().parents[2]


class RayLanes:
    """A context manager over actors that are started when first needed, and again after one has died."""

    def __init__(self, address: str, count: int | None, place: Place) -> None:
        self._address, self._count, self._place = address, count, place
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, int] = {}
        self._ray: Any = None

    def __enter__(self) -> Self:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise RuntimeMissing(
                f"the package '{error.name}' is not installed", where="--ray", hint="pip install 'model-toolkit[ray]'"
            ) from error
        self._require_answer()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # like every worker: nothing is reported anywhere
        path = os.pathsep.join(filter(None, [str(_DISTRIBUTION), os.environ.get("PYTHONPATH", "")]))
        settings: dict[str, Any] = {"log_to_driver": False, "runtime_env": {"env_vars": {"PYTHONPATH": path}}}
        if self._address == LOCAL:
            settings |= {"include_dashboard": False, "address": "local"}
        else:
            settings |= {"address": self._address}
        try:
            ray.init(**settings)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise self._missing(error) from error
        self._ray = ray
        return self

    def _require_answer(self) -> None:
        """Raise BadInput where nobody listens at the address: Ray itself would try again for minutes."""
        found = _HOST_AND_PORT.match(self._address)
        if found:
            try:
                socket.create_connection((found["host"], int(found["port"])), _ANSWER_SECONDS).close()
            except (OSError, OverflowError) as error:
                raise self._missing(error) from None

    def _missing(self, error: Exception) -> BadInput:
        return BadInput(
            f"there is no Ray to connect to ({said(error)})",
            where=f"--ray {self._address}",
            hint="Start one with `ray start --head`, or give --ray alone for one of this machine.",
        )

    @property
    def count(self) -> int:
        """Lanes: as many as asked for, else as the cluster has cores for."""
        cores = int(self._ray.cluster_resources().get("CPU", 1))
        return self._count or max(1, cores // self._place.threads)

    def __exit__(self, *_: object) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors, self._running = {}, {}
        self._ray.shutdown()

    def start(self, index: int, task: Task) -> None:
        if index not in self._actors:
            cores = self._ray.cluster_resources().get("CPU", 1)
            remote = self._ray.remote(num_cpus=min(self._place.threads, cores), max_restarts=0)(_Lane)
            self._actors[index] = remote.remote(self._place)
        self._running[self._actors[index].carry_out.remote(task)] = index

    def wait(self, seconds: float) -> list[Event]:
        """What has ended in the lanes, at the latest after so many seconds."""
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._event(reference, self._running.pop(reference)) for reference in done]

    def _event(self, reference: Any, index: int) -> Event:
        try:
            return Done(index, self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            self._ray.kill(self._actors.pop(index))
            return Died(index, f"Ray says {type(error).__name__}")


class _Lane:
    """The actor: a workshop in a process of Ray's."""

    def __init__(self, place: Place) -> None:
        self._workshop = Workshop(place)

    def carry_out(self, task: Task) -> Outcome:
        return self._workshop.carry_out(task)
