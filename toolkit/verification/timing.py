"""How long a file takes beside its source, for one row of the report."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from exporters.sources.source import Source
from toolkit.bench import latency
from toolkit.errors import ToolkitError
from toolkit.verification.plan import Batch
from toolkit.verification.report import Latency
from toolkit.verification.sides import FileSide, Side, open_source
from toolkit.worker.pool import WorkerPool

_KEPT = 200


def of_row(pool: WorkerPool, source: Source, reference: Side, side: FileSide, batch: Batch) -> tuple[Latency, str]:
    """The latency of a file against its source on the same device, and what disturbed it ("" if nothing did).

    Raises ToolkitError where the source cannot be had on that device.
    """
    with contextlib.ExitStack() as stack:
        if side.ran_on != reference.ran_on:
            reference = open_source(pool, source, device=side.ran_on)
            stack.callback(_close_quietly, reference)
        compared = latency.compare(side.timer(batch.inputs), reference.timer(batch.inputs))
    ours, theirs = latency.summary(compared.samples), latency.summary(compared.reference)
    measured = Latency(
        batch=batch.size,
        threads=pool.limits.threads,
        **ours,
        source_median=theirs["median"],
        ratio=compared.ratio,
        low=compared.low,
        high=compared.high,
        verdict=compared.verdict,
        throughput=1e3 * batch.size / ours["median"],
        cold_start=1e3 * side.cold_start,
        calls=len(compared.samples),
        copies="outside",
        noisy=compared.noisy,
        samples=_thinned(compared.samples),
        source_samples=_thinned(compared.reference),
    )
    return measured, compared.disturbance or ""


def _close_quietly(side: Side) -> None:
    with contextlib.suppress(ToolkitError):
        side.close()


def _thinned(samples: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Evenly chosen order statistics: enough for a plot, whatever the number of calls."""
    if len(samples) <= _KEPT:
        return tuple(float(value) for value in samples)
    return tuple(float(value) for value in np.quantile(samples, np.linspace(0, 1, _KEPT)))
