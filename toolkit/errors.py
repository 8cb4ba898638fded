"""Every error that a user can meet: what was found, where, and what to do about it.

The class name is the error's name on the terminal and in JSON; the exit code belongs to the class. Errors are plain
data, so that a worker process can hand one to its parent unchanged.
"""

from __future__ import annotations

from typing import Any

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_MISSING = 3
EXIT_CRASHED = 4
EXIT_UNSAFE = 5
EXIT_INCONCLUSIVE = 6


class ToolkitError(Exception):
    """Base of all errors; `str(error)` is what the user reads.

    Args:
        found: what was found, as a sentence without its full stop at the end.
        where: the file, node, option or argument that it was found in.
        hint: what to do, as one sentence.
    """

    exit_code = EXIT_USAGE
    log = ""  # the traceback of the worker that it comes from, for whoever looks for its cause

    def __init__(self, found: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.found = found
        self.where = where
        self.hint = hint
        super().__init__(found)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.hint}" if self.hint else ""
        return f"{type(self).__name__}: {place}{self.found}{advice}"

    def at(self, where: str) -> ToolkitError:
        """Add the place, once, on the way out: an error that already names one keeps it."""
        if self.where is None:
            self.where = where
        return self

    def to_json(self) -> dict[str, Any]:
        return {"type": type(self).__name__, "found": self.found, "where": self.where, "hint": self.hint}

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_json, (self.to_json(),))


class BadInput(ToolkitError):
    """What the user gave cannot be used: a file, an option, an array."""


class UnknownFormat(BadInput):
    """A format or kind of source that this toolkit does not know."""


class FactoryFailed(BadInput):
    """The user's `package.module:callable` could not be imported, raised, or returned something else than a model."""


class InvalidGraph(BadInput):
    """An ONNX graph that is not valid, or whose data is missing or lies outside its folder."""


class UnsupportedOperator(BadInput):
    """A graph holds operators that the target has no form of; all of them are listed at once."""


class ExportFailed(BadInput):
    """No route of the exporter could write the model in the format asked for."""


class NotWritable(BadInput):
    """The destination cannot be written, or holds something that must not be overwritten."""


class DiskFull(NotWritable):
    """The file system has too little space for the export; nothing was left behind."""


class VerdictFailed(ToolkitError):
    """An export was written, re-opened and compared, and does not predict what its source predicts."""

    exit_code = EXIT_FAILED
    report: Any = None  # what was measured, as a toolkit.verification.report.Report


class DeviceMissing(ToolkitError):
    """A device that was asked for is not there, or its runtime cannot use it."""

    exit_code = EXIT_MISSING


class RuntimeMissing(ToolkitError):
    """A package that the request needs is not installed."""

    exit_code = EXIT_MISSING


class WorkerFailed(ToolkitError):
    """Base of what can happen to a worker process."""

    exit_code = EXIT_CRASHED


class WorkerCrashed(WorkerFailed):
    """The worker died, or spoke something else than the protocol."""


class WorkerTimeout(WorkerFailed):
    """The worker was still busy when its time was up, and was stopped."""


class WorkerOutOfMemory(WorkerFailed):
    """The worker grew past its memory limit, and was stopped."""


class TaskFailed(WorkerFailed):
    """A framework raised inside a worker where no known mistake of the user explains it."""


class UnsafeFile(ToolkitError):
    """Opening this file could run code that came with it."""

    exit_code = EXIT_UNSAFE


class Inconclusive(ToolkitError):
    """Neither equality nor a difference could be shown."""

    exit_code = EXIT_INCONCLUSIVE


class MissingOutput(BadInput):
    """A model did not produce an output that its signature declares."""


def from_json(data: dict[str, Any]) -> ToolkitError:
    """Rebuild an error that crossed a process boundary; an unknown type comes back as `TaskFailed`."""
    kind = _subclasses(ToolkitError).get(str(data.get("type")), TaskFailed)
    return kind(str(data["found"]), where=data.get("where"), hint=data.get("hint"))


def _subclasses(kind: type[ToolkitError]) -> dict[str, type[ToolkitError]]:
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _subclasses(child)
    return found
