"""What a verification spent its time on, by stage: mostly the models, or there is something to mend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.worker.client import HANDED, IMPORTED, IN_MODELS, Spent

OWN = "measure and judge"
OTHER = "search and locate"
WRITTEN = "write the files"

# Task -> the stage that it belongs to; what no stage is named for searches, or locates a difference.
_STAGES = {
    IN_MODELS: IN_MODELS,
    IMPORTED: IMPORTED,
    "open_source": "open the models",
    "open_file": "open the models",
    "adopt_signature": "open the models",
    "open_float64": "prepare float64",
    "open_onnx_float64": "prepare float64",
    "open_estimate": "prepare float64",
    HANDED: HANDED,
    "run": HANDED,
    "time_calls": HANDED,
    "fingerprints": "compare weights",
    "stored_weights": "compare weights",
    "weights": "compare weights",
    "strategies": WRITTEN,
    "write": WRITTEN,
    "write_from_onnx": WRITTEN,
    "reduce": WRITTEN,
}
ORDER = (*dict.fromkeys(_STAGES.values()), OWN, OTHER)


@dataclass(frozen=True)
class StageTime:
    """Wall and CPU seconds of one stage, over all processes; the wall times are those that the command waited."""

    name: str
    wall: float
    cpu: float


def since(before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]) -> dict[str, Spent]:
    """What was spent by task between two moments of a pool, which may stay warm for many models."""
    none = {"wall": 0.0, "cpu": 0.0}
    return {
        task: {kind: max(0.0, spent - before.get(task, none)[kind]) for kind, spent in seconds.items()}
        for task, seconds in after.items()
    }


def of(spent: Mapping[str, Mapping[str, float]], wall: float, cpu: float) -> tuple[StageTime, ...]:
    """The stages of what all workers spent by task; `wall` and `cpu` are those of the command's own process.

    While a worker computes, the command waits: its own wall time is what the workers leave of it.
    """
    sums = {name: [0.0, 0.0] for name in ORDER}
    for task, seconds in spent.items():
        stage = sums[_STAGES.get(task, OTHER)]
        stage[0] += seconds["wall"]
        stage[1] += seconds["cpu"]
    sums[OWN] = [max(0.0, wall - sum(stage[0] for stage in sums.values())), cpu]
    return tuple(StageTime(name, *sums[name]) for name in ORDER if any(sums[name]))
