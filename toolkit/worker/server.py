"""The child's side: read a call, run it, answer. Frameworks are imported by the tasks, never here."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from io import FileIO
from typing import Any

from toolkit.causes import described
from toolkit.errors import RuntimeMissing, TaskFailed, ToolkitError, WorkerOutOfMemory
from toolkit.worker import loading, wire
from toolkit.worker.session import Session

PACKAGES = ("toolkit.", "trainers.", "exporters.")
_PR_SET_PDEATHSIG = 1
_LONGEST = 300


def main() -> None:
    """Serve calls on the process's own stdin and stdout until the parent closes them."""
    requests, replies = _take_over_pipes()
    _prepare_process()
    # Only now may the frameworks' settings be read: the parent has put them into the environment.
    serve(requests, replies)


def serve(requests: wire.Stream, replies: wire.Stream) -> None:
    """Answer every call with {"result": ...} or {"error": ...}; {"progress": ...} may come before."""

    def send_progress(fields: Mapping[str, Any]) -> None:
        wire.write(replies, {"progress": dict(fields)})

    session = Session(send_progress)
    wire.write(replies, {"hello": {"pid": os.getpid(), "python": sys.version.split()[0]}})
    imported: float | None = loading.load()
    known = time.process_time()
    while True:
        try:
            call = wire.read(requests)
        except (EOFError, wire.CutShort):  # the parent has closed the pipe, or died
            return
        reply = answer(session, call)
        now = time.process_time()
        # What lies between two tasks is reading a call and writing an answer; the first answer tells of the imports.
        reply["handed"] = now - known - reply["seconds"]["cpu"]
        known = now
        if imported is not None:
            reply["imported"], imported = imported, None
        try:
            wire.write(replies, reply)
        except (TypeError, ValueError) as error:  # raised before a byte is written: the result holds no such value
            wire.write(replies, {"error": describe(error).to_json()})


def answer(session: Session, call: Mapping[str, Any]) -> dict[str, Any]:
    """Run one call; every exception becomes data. Its seconds are told, and those of them inside the models."""
    started = time.perf_counter(), time.process_time()
    session.in_models.update(wall=0.0, cpu=0.0)
    reply = _answer(session, call)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    return {**reply, "seconds": {"wall": wall, "cpu": cpu}, "in_models": dict(session.in_models)}


def _answer(session: Session, call: Mapping[str, Any]) -> dict[str, Any]:
    try:
        result = task(call["task"])(session, **call["params"])
    except ToolkitError as error:
        return {"error": error.to_json(), "log": traceback.format_exc()}
    except MemoryError:
        full = WorkerOutOfMemory("the task ran out of memory", where=call["task"])
        return {"error": full.to_json(), "log": traceback.format_exc()}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a framework may raise anything; it is reported by name
        return {"error": describe(error).to_json(), "log": traceback.format_exc()}
    return {"result": result}


def task(name: str) -> Callable[..., Any]:
    """The function that a call names; only those of our own packages can be called."""
    module, _, function = name.partition(":")
    if not module.startswith(PACKAGES):
        raise TaskFailed(f"'{name}' is no task of this toolkit")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def describe(error: BaseException) -> ToolkitError:
    """An exception that no code of ours foresaw, in one line, with the innermost place of ours that it passed."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return RuntimeMissing(
            f"the package '{error.name.partition('.')[0]}' is not installed", hint="`toolkit doctor` says what to run."
        )
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame
        for frame in frames
        if frame.filename != __file__
        and any(part in frame.filename for part in ("/toolkit/", "/exporters/", "/trainers/"))
    ]
    place = f" (at {ours[-1].name})" if ours else ""
    return TaskFailed(f"{described(error, _LONGEST)}{place}")


def _take_over_pipes() -> tuple[FileIO, FileIO]:
    """Keep the pipes for the protocol alone: whatever a framework prints goes to stderr."""
    requests, replies = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _prepare_process() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops its workers
    faulthandler.enable()
    with contextlib.suppress(OSError, AttributeError):  # not Linux: then the closed pipe ends the worker
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
