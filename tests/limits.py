"""Limits of time for machines that differ: one that many share may be ten times slower than a quiet one."""

from __future__ import annotations

import time

HANG = 900.0  # seconds, after which a child process is said to hang

_STEPS, _QUIET = 2_000_000, 0.13  # of a loop, and the seconds that they take a quiet core


def slowness() -> float:
    """How many times slower than a quiet core this machine is just now, at least 1: what is promised, is of that."""
    started, total = time.process_time(), 0
    for step in range(_STEPS):
        total += step
    return max(1.0, (time.process_time() - started) / _QUIET)
