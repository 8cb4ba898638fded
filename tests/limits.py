"""Limits of time for machines that differ: one that many share may be ten times slower than a quiet one."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Sequence

HANG = 900.0  # seconds, after which a child process is said to hang

_YARDSTICK = (sys.executable, "-c", "import numpy")
_QUIET = 0.1  # CPU seconds that it takes on a quiet core


def cpu_seconds(command: Sequence[str]) -> float:
    """What one run of `command` takes, in user and system time; CalledProcessError where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True, timeout=HANG)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def slowness() -> float:
    """How many times slower than a quiet core this machine starts a process just now, at least 1."""
    return max(1.0, min(cpu_seconds(_YARDSTICK) for _ in range(3)) / _QUIET)
