"""Let the graph of the file itself say where to look: branches that no input has taken, and its slope's direction."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from toolkit.errors import Inconclusive, ToolkitError
from toolkit.verification.locate import conduct as forms
from toolkit.verification.plan import Batch
from toolkit.verification.search.domain import Domain, Row
from toolkit.verification.search.trial import Tried
from toolkit.verification.sides import FileSide, OnnxSource, Side
from toolkit.worker.pool import Caller, Here, WorkerPool

_TASKS = "toolkit.verification.search.tasks"
_KIND = "search: branches"
_SLICE = 1.5  # seconds of one call
_QUICK, _SLOW = ("onnx", "torchscript"), 20.0  # what has an ONNX form at once; seconds that others may take
_LOOKING = 0.15  # of the time left, to see which sides the seeds show
_MOST_STARTS = 32
_TOGETHER = 16


def strategy(
    pool: WorkerPool, source: Side, file: FileSide, domain: Domain, seed: int, deadline: float, left_out: list[str]
) -> Generator[list[Batch], list[Tried], None]:
    """Rows that reach unseen sides, and rows uphill on the difference, in turns. What cannot be done is `left_out`."""
    worker = pool.worker("torch", "cpu")
    if file.format not in _QUICK and deadline - time.monotonic() < _SLOW:
        left_out.append(f"the file's branches (writing it as ONNX takes more than {_SLOW:g} s)")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="toolkit-search-") as scratch:
            onnx = (
                file.path if file.format == "onnx" else forms.file_as_onnx(pool, source, file, Path(scratch) / "f.onnx")
            )
            opened = worker.call(f"{_TASKS}:open_graph", {"path": str(Path(onnx).absolute())})
    except ToolkitError as error:
        left_out.append(f"the file's branches ({error.found})")
        return
    domain.constants = [float(value) for value in opened["constants"]]
    handle = opened["handle"]
    generator = np.random.default_rng([seed, 300])
    try:
        yield from _searched(worker, handle, source, domain, generator, deadline, left_out)
    except (Inconclusive, ToolkitError) as error:
        left_out.append(f"the file's branches ({error.found})")
    finally:
        with contextlib.suppress(ToolkitError):
            worker.call("toolkit.verification.tasks:close", {"handles": [handle]})


def _searched(
    caller: Caller, handle: str, source: Side, domain: Domain, generator: np.random.Generator, deadline: float,
    left_out: list[str],
) -> Generator[list[Batch], list[Tried], None]:  # fmt: skip
    until = time.monotonic() + _LOOKING * (deadline - time.monotonic())
    for batch in domain.batches(domain.seeds, _KIND):
        caller.call(f"{_TASKS}:look", {"handle": handle, "batches": [dict(batch.inputs)], "sizes": [batch.size]})
        if time.monotonic() > until:
            break
    yield []
    differs = _differentiable(source, domain)
    open_sides = True
    turn = 0
    while (open_sides or differs) and time.monotonic() < deadline:
        turn += 1
        seconds = max(0.05, min(_SLICE, deadline - time.monotonic()))
        drawn = int(generator.integers(2**31))
        if open_sides and (turn % 4 or not differs):
            params = {"handle": handle, "starts": domain.seeds[:_MOST_STARTS], "seconds": seconds, "seed": drawn,
                      "signature": domain.signature.to_json(), "constants": domain.constants,
                      "ranges": {n: [r.low, r.high, r.open] for n, r in domain.ranges.items()}}  # fmt: skip
            answer = caller.call(f"{_TASKS}:reach", params)
            open_sides = answer["left"] > 0
            yield _batches(domain, answer["rows"])
        elif differs:
            starts = [domain.seeds[int(i)] for i in generator.integers(len(domain.seeds), size=_TOGETHER)]
            params = {"handle": handle, "source": source.handle, "starts": starts, "seconds": seconds, "seed": drawn}
            try:
                rows = caller.call(f"{_TASKS}:part", params)["rows"]
            except ToolkitError as error:
                left_out.append(f"uphill on the difference ({error.found})")
                differs = False
                continue
            differs = bool(rows)
            yield _batches(domain, rows)


def _batches(domain: Domain, rows: list[Row]) -> list[Batch]:
    """Each row with others beside it, and the first ones alone: some branches depend on all rows of a batch."""
    made = list(domain.batches(rows, _KIND))
    return [*made, *(batch for row in rows[:4] for batch in domain.batches([row], _KIND))] if len(rows) > 1 else made


def _differentiable(source: Side, domain: Domain) -> bool:
    """Whether the source is in the same worker, and in a form that has a gradient."""
    same = not isinstance(source.worker, Here) and source.worker.runtime == "torch"
    whole = len(domain.signature.batched) == len(domain.signature.inputs)
    return same and not isinstance(source, OnnxSource) and bool(domain.floats) and whole
