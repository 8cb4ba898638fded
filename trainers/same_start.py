"""The three frameworks from the same weights through the same batches: their losses agree step by step.

Framework-free: each framework's losses come from a process of its own and meet here as numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from toolkit import files
from toolkit.errors import BadInput
from trainers import loop, training
from trainers.architectures import ARCHITECTURES
from trainers.loop import Report
from trainers.options import TrainOptions
from trainers.training import MakeLearner

TOLERANCE = 1e-5  # relative, for float32, SGD and 50 steps; later steps amplify what rounding began
RESULT, PLOT = "same-start.json", "same-start.png"


@dataclass(frozen=True)
class Agreement:
    """How far the losses part: at each step, the largest difference of two frameworks over the largest loss."""

    losses: dict[str, list[float]]
    differences: list[float]
    worst: float
    worst_step: int  # counted from 1
    tolerance: float
    agrees: bool


def comparable(options: TrainOptions, framework: str) -> TrainOptions:
    """The options for one of the frameworks: what no two of them draw alike is off, and every step is looked at."""
    if options.amp:
        raise BadInput(
            "mixed precision rounds differently in every framework", where="--same-start", hint="Leave --amp out."
        )
    return replace(options, framework=framework, same_start=True, dropout=0.0, loop="custom")


def losses(options: TrainOptions, steps: int | None, make_learner: MakeLearner, report: Report) -> list[float]:
    """The training loss of each of the first `steps` steps, before its update; None stands for all epochs asked for."""
    items = training.prepare(options, report).items
    learner = make_learner(options, ARCHITECTURES[options.model], items.train)
    bounds = loop.batches(len(items.train), options.batch_size)
    wanted = len(bounds) * options.epochs if steps is None else steps
    found: list[float] = []
    for epoch in count(1):
        loop.begin(learner, epoch, len(items.train), options.seed)
        learner.train(bounds[: wanted - len(found)], lambda piece: found.extend(piece.losses))
        report({"stage": "train", "epoch": epoch, "done": len(found), "total": wanted, "loss": found[-1]})
        if len(found) == wanted:
            return found
    raise AssertionError("unreachable")


def compare(by_framework: Mapping[str, Sequence[float]], tolerance: float = TOLERANCE) -> Agreement:
    """Set the frameworks' losses beside each other.

    Raises BadInput if they are not of the same number of steps, or one is no finite number.
    """
    if len({len(values) for values in by_framework.values()}) != 1:
        found = ", ".join(f"{name} {len(values)}" for name, values in by_framework.items())
        raise BadInput(f"the frameworks took different numbers of steps: {found}")
    for name, values in by_framework.items():
        wrong = next((step for step, value in enumerate(values, 1) if not math.isfinite(value)), None)
        if wrong is not None:
            raise BadInput(
                f"the loss of {name} is {values[wrong - 1]} at step {wrong}", hint="Lower the learning rate."
            )
    steps = list(zip(*by_framework.values(), strict=True))
    differences = [(max(values) - min(values)) / max(map(abs, values)) for values in steps]
    worst = max(differences)
    return Agreement(
        {name: list(values) for name, values in by_framework.items()},
        differences,
        worst,
        differences.index(worst) + 1,
        tolerance,
        worst <= tolerance,
    )


def write(agreement: Agreement, options: TrainOptions, folder: Path) -> dict[str, str]:
    """Write the numbers and, where matplotlib is installed, the plot; returns role -> path. Replaces only its own."""
    training.require_ours(folder, RESULT)
    written = {"result": str(folder / RESULT)}
    with files.replacing(folder) as stage:
        stage.mkdir()
        record: dict[str, Any] = {"schema": 1, "options": options.to_json(), **asdict(agreement)}
        (stage / RESULT).write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if find_spec("matplotlib") is not None:
            from trainers import plots

            title = f"{options.model} on {options.dataset} from the same start, {options.optimizer}"
            plots.same_start(agreement.losses, agreement.differences, title, stage / PLOT)
            written["plot"] = str(folder / PLOT)
    return written
