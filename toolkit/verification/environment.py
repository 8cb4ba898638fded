"""Where a verification ran: versions, machine, threads and load, for the report."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from toolkit import __version__


def describe(threads: int) -> dict[str, str]:
    return {
        "toolkit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": str(threads),
        "load": f"{os.getloadavg()[0]:.2f}",
        "tf32": "off",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
