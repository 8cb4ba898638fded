"""Save the input on which an export is worst, so that the difference can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification import compare
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison, Report, Row


def save(path: Path, signature: Signature, answers_for: Callable[[str, str], Answers], report: Report) -> str | None:
    """Write that input of the worst row as .npz and return its path; None where no row was compared.

    `answers_for` gives the answers that the figures of a row belong to, by its path and device.
    """
    row, worst = _worst(report)
    if row is None or worst is None or worst.worst_input is None:
        return None
    answers = answers_for(row.path, row.device)
    if row.search is not None and row.search.found is not None:
        return _write(path, answers.batches[-1].inputs)  # whole: some differences need all rows of a batch
    spec, index = signature.output(worst.name), worst.worst_input
    for batch, outputs in zip(answers.batches, answers.source, strict=True):
        count = len(compare.rows_of(spec, [outputs[spec.name]]))
        if index < count:
            rows = slice(index, index + 1) if count == batch.size else slice(None)
            return _write(path, {n: a[rows] if n in signature.batched else a for n, a in batch.inputs.items()})
        index -= count
    return None


def _write(path: Path, arrays: Mapping[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return str(path)


def _worst(report: Report) -> tuple[Row | None, OutputComparison | None]:
    compared = [(row, output) for row in report.rows for output in row.outputs if output.worst_input is not None]
    return max(compared, key=lambda pair: (pair[1].worst_ratio or 0.0, pair[1].max_abs), default=(None, None))
