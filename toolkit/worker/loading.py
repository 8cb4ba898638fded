"""What a worker imports before it is asked for anything: its framework, while its parent still reads the command line.

An import makes objects and drops none, yet the garbage collector looks through all of them again and again meanwhile:
a fifth of TensorFlow's import. So it rests for that time, and never looks at what was imported again.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from importlib import import_module

VARIABLE = "TOOLKIT_WORKER_RUNTIME"

# Runtime -> what its tasks import first, whatever they are.
_FRAMEWORKS = {"torch": ("torch",), "tensorflow": ("tensorflow",), "onnxruntime": ("onnxruntime",)}


def load() -> float:
    """Import what the parent's word for this worker calls for; the CPU seconds since the process began."""
    runtime = os.environ.get(VARIABLE, "")
    gc.disable()
    try:
        for name in _FRAMEWORKS.get(runtime, ()):
            # What is missing or broken is reported by the task that needs it, which imports it again.
            with contextlib.suppress(Exception):
                import_module(name)
    finally:
        gc.freeze()
        gc.enable()
    return time.process_time()
