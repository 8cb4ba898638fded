"""How long a worker may be busy, how large it may grow, and how many threads it may use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Limits:
    """`seconds` bounds one call's wall-clock time, `memory` the worker's resident bytes, `threads` its thread pools."""

    seconds: float = 900.0
    memory: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.memory:
            object.__setattr__(self, "memory", int(physical_memory() * 0.9))
        if not self.threads:
            object.__setattr__(self, "threads", available_cores())


def physical_memory() -> int:
    """Bytes of memory: the machine's, or what a control group (a container) leaves of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTROL_GROUP.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


def available_memory() -> int:
    """Bytes of memory that are free now, or would be if caches were dropped."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return min(int(lines["MemAvailable"].split()[0]) * 1024, physical_memory())


def available_cores() -> int:
    """Cores that this process may use, which a container may have narrowed."""
    return len(os.sched_getaffinity(0))


def resident_memory(pid: int) -> int:
    """Bytes that a process holds in memory; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - read ten times a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def environment(threads: int) -> dict[str, str]:
    """What a worker's frameworks read at import: pinned threads, quiet logs, no telemetry, repeatable arithmetic."""
    count = str(threads)
    return {
        "OMP_NUM_THREADS": count,
        # Waiting threads sleep instead of spinning: on a busy machine small operators are 3 times faster so.
        "OMP_WAIT_POLICY": "PASSIVE",
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "KERAS_BACKEND": "tensorflow",
        # Strict float32: TF32 would compare two precisions, not two models.
        "NVIDIA_TF32_OVERRIDE": "0",
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        "PYTHONUNBUFFERED": "1",
    }
