"""The parent's side of one worker: start it, call it, and turn whatever becomes of it into a named error."""

from __future__ import annotations

import collections
import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self, cast

from toolkit import errors
from toolkit.errors import BadInput, WorkerCrashed, WorkerOutOfMemory, WorkerTimeout
from toolkit.files import describe_size
from toolkit.worker import loading, wire
from toolkit.worker.limits import Limits, environment, resident_memory

Progress = Callable[[Mapping[str, Any]], None]
Spent = dict[str, float]  # wall and CPU seconds

# Beside the names of tasks, in `Worker.spent`.
IN_MODELS, IMPORTED, HANDED = "in the models", "import the frameworks", "hand over inputs and outputs"

HELLO_SECONDS = 60.0
_POLL_SECONDS = 0.1
_STDERR_KEPT = 64 * 1024
_DISTRIBUTION = Path(__file__).resolve().parents[2]


class Worker:
    """One child process on one device. A context manager; `call` runs a task in it.

    `command` is the whole command line, this interpreter's worker by default, or a prefix (`ssh host toolkit worker`).
    """

    def __init__(
        self, runtime: str, device: str = "cpu", *, command: Sequence[str] | None = None, limits: Limits | None = None
    ) -> None:
        self.runtime = runtime
        self.device = device
        self.limits = limits or Limits()
        self.seconds = {"wall": 0.0, "cpu": 0.0}
        self.spent: dict[str, Spent] = {}
        self._command = list(command) if command else [sys.executable, "-P", "-m", "toolkit.worker"]
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: collections.deque[bytes] = collections.deque()
        self._reader: threading.Thread | None = None
        self._looked = 0.0
        self._stage = "start"
        self._greeted = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def resident(self) -> int:
        """Bytes that the process holds in memory; 0 where it does not run."""
        return resident_memory(self._process.pid) if self._process is not None else 0

    def start(self) -> None:
        """Start the process without waiting for it: several can import their frameworks at once."""
        if self.alive:
            return
        self._kill()  # one that died between two calls leaves pipes and a folder
        self._folder = tempfile.TemporaryDirectory(prefix="toolkit-worker-", ignore_cleanup_errors=True)
        settings = environment(self.limits.threads)
        if self.device == "cpu":
            settings["CUDA_VISIBLE_DEVICES"] = "-1"
        # What its libraries leave in the folder for temporary files (ONNX Runtime a mark of its session, TensorFlow the
        # functions that it rewrote) goes with the worker.
        settings["TMPDIR"] = self._folder.name
        path = os.pathsep.join(filter(None, [str(_DISTRIBUTION), os.environ.get("PYTHONPATH", "")]))
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self._folder.name,
                env={**os.environ, **settings, loading.VARIABLE: self.runtime, "PYTHONPATH": path},
                start_new_session=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise BadInput(
                f"the {self.runtime} worker cannot be started ({error.strerror})",
                where=self._command[0],
                hint="Check --python and --worker.",
            ) from None
        self._stage = "start"
        self._greeted = False
        self._stderr = collections.deque()
        self._reader = threading.Thread(target=self._drain, args=(self._process.stderr, self._stderr), daemon=True)
        self._reader.start()

    def call(
        self,
        task: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Run "package.module:function" in the worker and return its result.

        Params and result are JSON values with NumPy arrays anywhere in them. Raises what the task raised as a
        ToolkitError, or WorkerCrashed, WorkerTimeout, WorkerOutOfMemory; after those three the worker is gone, and the
        next call starts a fresh one.
        """
        self.start()
        started = time.monotonic()
        deadline = started + (timeout or self.limits.seconds)
        self._greet()
        self._stage = task.partition(":")[2].replace("_", " ")
        self._send({"task": task, "params": dict(params or {})}, deadline)
        while True:
            reply = self._receive(deadline)
            if "progress" in reply:
                self._stage = str(reply["progress"].get("stage", self._stage))
                if on_progress:
                    on_progress(reply["progress"])
                continue
            self._count(task.partition(":")[2], time.monotonic() - started, reply)
            if "error" in reply:
                raise self._rebuilt(reply)
            return reply["result"]

    def _count(self, task: str, wall: float, reply: Mapping[str, Any]) -> None:
        """Add up what a call of `wall` seconds took where; a worker of an earlier version says less of it."""
        seconds, inside = reply.get("seconds", {}), reply.get("in_models", {})
        for clock, spent in seconds.items():
            self.seconds[clock] += spent
            self._spent(task)[clock] += spent - inside.get(clock, 0.0)
        for clock, spent in inside.items():
            self._spent(IN_MODELS)[clock] += spent
        # A worker answers its first call once it has imported what it needs.
        self._spent(IMPORTED if "imported" in reply else HANDED)["wall"] += max(0.0, wall - seconds.get("wall", 0.0))
        self._spent(IMPORTED)["cpu"] += reply.get("imported", 0.0)
        self._spent(HANDED)["cpu"] += reply.get("handed", 0.0)

    def _spent(self, what: str) -> Spent:
        return self.spent.setdefault(what, {"wall": 0.0, "cpu": 0.0})

    def close(self) -> None:
        """Let the worker end; one that does not within a second is killed, with everything it started."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            cast("IO[bytes]", process.stdin).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        self._kill()

    def stderr(self) -> str:
        """The last of what the worker wrote to stderr, for the log."""
        return b"".join(self._stderr).decode(errors="replace")

    # -- the conversation

    def _greet(self) -> None:
        if not self._greeted:
            hello = self._receive(time.monotonic() + HELLO_SECONDS)
            if "hello" not in hello:
                raise self._failed(WorkerCrashed, f"the {self.runtime} worker spoke before its greeting")
            self._greeted = True

    def _send(self, message: Any, deadline: float) -> None:
        try:
            wire.write(_Pipe(self._running.stdin, lambda *, idle: self._look(deadline, idle=idle)), message)
        except OSError:
            raise self._died() from None

    def _receive(self, deadline: float) -> Mapping[str, Any]:
        try:
            reply = wire.read(_Pipe(self._running.stdout, lambda *, idle: self._look(deadline, idle=idle)))
        except (EOFError, wire.CutShort):
            raise self._died() from None
        except wire.Malformed as error:
            raise self._failed(WorkerCrashed, f"the {self.runtime} worker wrote {error} instead of a message") from None
        if not isinstance(reply, dict):
            raise self._failed(WorkerCrashed, f"the {self.runtime} worker wrote a message that is not an object")
        return reply

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _look(self, deadline: float, *, idle: bool) -> None:
        """While the worker is waited for, or talks without end, a few times a second: is it too large, or too late?"""
        now = time.monotonic()
        if not idle and now - self._looked < _POLL_SECONDS:
            return
        self._looked = now
        if idle and not self.alive:
            raise self._died()  # what it had forked may still hold its pipes open
        if resident_memory(self._running.pid) > self.limits.memory:
            raise self._failed(
                WorkerOutOfMemory,
                f"the {self.runtime} worker grew past {describe_size(self.limits.memory)} ({self._stage})",
                "It was stopped. Give it more with --memory, or use a smaller batch.",
            )
        if time.monotonic() > deadline:
            raise self._failed(
                WorkerTimeout,
                f"the {self.runtime} worker did not answer in time ({self._stage}) and was stopped",
                "Give it more time with --timeout.",
            )

    # -- what became of it

    def _died(self) -> errors.ToolkitError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(2)
        if self._reader is not None:
            self._reader.join(1)  # its last words may still be in the pipe
        code = self._running.poll()
        how = "closed its pipe" if code is None else _how_it_ended(code)
        return self._failed(WorkerCrashed, f"{self.runtime} crashed: {how} ({self._stage})", _last_words(self.stderr()))

    def _failed(self, kind: type[errors.WorkerFailed], found: str, hint: str | None = None) -> errors.ToolkitError:
        self._kill()
        return kind(found, hint=hint)

    def _rebuilt(self, reply: Mapping[str, Any]) -> errors.ToolkitError:
        error = errors.from_json(reply["error"])
        error.log = reply.get("log", "")
        return error

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast("IO[bytes]", pipe).close()
        if self._folder is not None:
            self._folder.cleanup()

    @staticmethod
    def _drain(stderr: IO[bytes], kept: collections.deque[bytes]) -> None:
        """Keep reading stderr, so that a worker that writes a gigabyte is neither blocked nor remembered."""
        size = 0
        with stderr:
            while chunk := os.read(stderr.fileno(), _STDERR_KEPT):
                kept.append(chunk)
                size += len(chunk)
                while size > _STDERR_KEPT and len(kept) > 1:
                    size -= len(kept.popleft())


class _Watch(Protocol):
    def __call__(self, *, idle: bool) -> None: ...


class _Pipe:
    """A pipe's end that never blocks for good: `watch` is called again and again, and may raise."""

    def __init__(self, stream: IO[bytes] | None, watch: _Watch) -> None:
        assert stream is not None
        self._descriptor = stream.fileno()
        self._watch = watch

    def readinto(self, buffer: memoryview, /) -> int:
        while not select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
            self._watch(idle=True)
        self._watch(idle=False)
        return os.readv(self._descriptor, [buffer])

    def write(self, data: memoryview, /) -> int:
        while not select.select([], [self._descriptor], [], _POLL_SECONDS)[1]:
            self._watch(idle=True)
        self._watch(idle=False)
        # A pipe that is writable takes this many bytes without blocking, and so the watch goes on.
        return os.write(self._descriptor, data[: select.PIPE_BUF])


def _how_it_ended(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def _last_words(text: str) -> str | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"Its last line: {lines[-1][:200]}" if lines else None


def parse_command(text: str) -> list[str]:
    """A worker's command line as given to `--python` or `--worker`: an interpreter, or a whole prefix."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"'{text}' is no command line ({error})", where="--python or --worker") from None
    return [*parts, "-P", "-m", "toolkit.worker"] if len(parts) == 1 else parts
