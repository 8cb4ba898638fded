"""What the files are compared with: a live source, or the golden data of a bundle.

A reference answers with the source's outputs and the truth for the plan's batches, and says how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.errors import ToolkitError
from toolkit.signature import Signature
from toolkit.verification.plan import Batch
from toolkit.verification.report import Reference
from toolkit.verification.sides import Outputs, Side


@dataclass
class Answers:
    """The reference's outputs for some batches; `doubts` are reasons why nothing can be concluded from them."""

    batches: tuple[Batch, ...]
    source: Outputs
    truth: Outputs
    how: str
    doubts: tuple[str, ...] = ()

    def extended(self, more: Answers) -> Answers:
        return Answers(
            (*self.batches, *more.batches),
            [*self.source, *more.source],
            [*self.truth, *more.truth],
            self.how,
            (*self.doubts, *more.doubts),
        )


def ask(side: Side, batches: Sequence[Batch]) -> Answers:
    """Run a live source twice (does it repeat itself?) and once in float64."""
    first, second = side.run(batches), side.run(batches)
    doubts = []
    if not _equal(first, second):
        doubts.append("the source gives other outputs when it is run again: it is random")
    elif _constant(side.signature, first):
        doubts.append("the source's outputs do not depend on its inputs")
    try:
        how = side.prepare_float64() if side.float64 is None else ""
        truth = side.run_float64(batches)
    except ToolkitError as error:
        doubts.append(f"its truth cannot be computed in float64: {error.found}")
        return Answers(tuple(batches), first, first, "none", tuple(doubts))
    return Answers(tuple(batches), first, truth, how, tuple(doubts))


def _equal(first: Outputs, second: Outputs) -> bool:
    return all(
        np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")
        for a, b in zip(first, second, strict=True)
        for name in a
    )


def _constant(signature: Signature, outputs: Outputs) -> bool:
    """Whether every output has one and the same value for all inputs."""
    if not signature.inputs:
        return False
    for name in signature.output_names:
        rows = [row for batch in outputs for row in np.atleast_1d(batch[name])]
        if any(not np.array_equal(row, rows[0], equal_nan=row.dtype.kind == "f") for row in rows[1:]):
            return False
    return True


def describe(side: Side, name: str, kind: str, answers: Answers, accuracy: float | None) -> Reference:
    return Reference(name, kind, side.runtime, side.ran_on, answers.how, not answers.doubts, accuracy)


def accuracy(side: Side, answers: Answers, labels: Any) -> float | None:
    """The share of real inputs whose largest score is at their label; None without labels or scores."""
    scores = side.contract.scores
    if labels is None or scores is None:
        return None
    real = [
        outputs[scores] for batch, outputs in zip(answers.batches, answers.source, strict=True) if batch.kind == "real"
    ]
    if not real:
        return None
    return float(np.mean(np.concatenate(real).argmax(axis=1) == labels))
