"""Bench exported files against the first of them, each in its own worker, one at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit import formats, manifest, words
from toolkit.bench import latency
from toolkit.bench.latency import Timed
from toolkit.errors import BadInput
from toolkit.signature import Signature
from toolkit.worker.pool import WorkerPool
from toolkit.worker.wire import dtype_of

SCHEMA = "toolkit-bench/1"
_TASKS = "toolkit.verification.tasks"
_OTHER = 32  # the size of dimensions that vary and are not the batch
_ALLOWED = 1.1  # against a baseline, where no budget was given


@dataclass(frozen=True)
class BenchRow:
    """One file on one device at one batch size; times in milliseconds, `ratio` to the first file's median."""

    path: str
    format: str
    device: str
    ran_on: str
    batch: int
    threads: int
    median: float
    p90: float
    p99: float
    throughput: float
    ratio: float
    low: float
    high: float
    verdict: str
    noisy: bool
    cold_start: float

    @property
    def key(self) -> str:
        return f"{self.format} {self.device} batch {self.batch}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def files_of(targets: Sequence[Path]) -> list[Path]:
    """The files to measure; a bundle stands for all of its own. Raises BadInput."""
    found: list[Path] = []
    for target in targets:
        formats.check_readable(target)
        if (target / manifest.NAME).is_file():
            found += [target / path for path in manifest.check(target).formats.values()]
        else:
            formats.of_path(target)
            found.append(target)
    return found


@dataclass(frozen=True)
class _Opened:
    path: Path
    format: str
    ran_on: str
    cold_start: float
    timer: Callable[[int], Callable[[int], Timed]]


def measure(
    pool: WorkerPool,
    files: Sequence[Path],
    devices: Sequence[str],
    batches: Sequence[int],
    stage: Callable[[str], None],
) -> list[BenchRow]:
    """Every file on every device at every batch size, in turns with the first file on the first device."""
    opened = [(device, _open(pool, path, device)) for device in devices for path in files]
    reference = opened[0][1]
    rows = []
    for batch in batches:
        for device, model in opened:
            stage(f"time {model.path.name} at batch {batch}")
            rows.append(_row(pool, device, model, reference, batch))
    return rows


def _row(pool: WorkerPool, device: str, model: _Opened, reference: _Opened, batch: int) -> BenchRow:
    compared = latency.compare(model.timer(batch), reference.timer(batch))
    times = latency.summary(compared.samples)
    return BenchRow(
        str(model.path), model.format, device, model.ran_on, batch, pool.limits.threads, **times,
        throughput=1e3 * batch / times["median"], ratio=compared.ratio, low=compared.low, high=compared.high,
        verdict=compared.verdict, noisy=compared.noisy, cold_start=1e3 * model.cold_start,
    )  # fmt: skip


def _open(pool: WorkerPool, path: Path, device: str) -> _Opened:
    form = formats.of_path(path)
    worker = pool.worker(form.runtime, device)
    params = {"format": form.name, "path": str(path.absolute()), "device": device, "threads": pool.limits.threads}
    opened = worker.call(f"{_TASKS}:open_file", params)
    signature = Signature.from_json(opened["signature"])

    def timer(batch: int) -> Callable[[int], Timed]:
        inputs = _inputs(signature, batch, path)

        def time_calls(calls: int) -> Timed:
            taken = worker.call(f"{_TASKS}:time_calls", {"handle": opened["handle"], "inputs": inputs, "calls": calls})
            return Timed(taken["nanoseconds"], taken["cpu"] if opened["ran_on"] == "cpu" else None)

        return time_calls

    return _Opened(path, form.name, opened["ran_on"], opened["seconds"], timer)


def _inputs(signature: Signature, batch: int, path: Path) -> dict[str, Any]:
    """Normal inputs, words and zeros of one batch size. Raises BadInput where the file has another one, fixed."""
    import numpy as np

    if not signature.inputs:
        raise BadInput("the file does not say what its inputs are", where=str(path))
    _require_batch(signature, batch, path)
    generator = np.random.default_rng(0)
    sizes = {symbol: batch if symbol == signature.batch else _OTHER for symbol in signature.symbols}
    return {
        spec.name: generator.standard_normal(spec.with_sizes(sizes)).astype(dtype_of(spec.dtype))
        if spec.is_float
        else words.drawn(generator, spec.with_sizes(sizes))
        if spec.dtype == "string"
        else np.zeros(spec.with_sizes(sizes), spec.dtype)
        for spec in signature.inputs
    }


def _require_batch(signature: Signature, batch: int, path: Path) -> None:
    """A throughput for a batch size that the file does not have would be made up."""
    fixed = next(iter(signature.inputs[0].shape), 1)
    if signature.batch is None and batch != fixed:
        raise BadInput(
            f"its batch size is fixed at {fixed}, {batch} was asked for", where=str(path), hint=f"Use --batch {fixed}."
        )


def load_baseline(path: Path) -> dict[str, float]:
    """Median by row from an earlier `--json`. Raises BadInput where it is missing or no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        medians = {BenchRow(**row).key: float(row["median"]) for row in data["rows"]}
    except FileNotFoundError:
        raise BadInput(
            "there is no baseline", where=str(path), hint="Make one: toolkit bench ... --json > FILE."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"it is no bench report ({error!r})", where=str(path)) from None
    wrong = [key for key, median in medians.items() if not 0 < median < math.inf]
    if wrong:
        raise BadInput(f"its median for {wrong[0]} is {medians[wrong[0]]:g} ms", where=str(path))
    return medians


def over_budget(rows: Sequence[BenchRow], budget: float | None, baseline: dict[str, float] | None) -> list[str]:
    """What is too slow for certain, in words: the machine was quiet, and the whole interval lies above the budget.

    Against a baseline the budget (1.1 where none was given) is the allowed ratio of medians, widened by the interval.
    A row that the baseline lacks is over it: nothing shows that it is not.
    """
    lines = []
    for row in rows:
        if budget is not None and row.low > budget and not row.noisy:
            lines.append(f"{row.key}: {row.ratio:.2f} times the first file, over the budget of {budget:g}")
        if baseline is None:
            continue
        if row.key not in baseline:
            lines.append(f"{row.key}: not in the baseline")
        elif row.median * (row.low / row.ratio) > (budget or _ALLOWED) * baseline[row.key] and not row.noisy:
            lines.append(f"{row.key}: {row.median:.3f} ms, the baseline has {baseline[row.key]:.3f} ms")
    return lines
