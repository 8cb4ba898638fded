"""Save the input on which an export is worst, so that the difference can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification import compare
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison, Report


def save(path: Path, signature: Signature, answers: Answers, report: Report) -> str | None:
    """Write that input of the worst row as .npz and return its path; None where no row was compared."""
    worst = _worst(report)
    if worst is None or worst.worst_input is None:
        return None
    spec, index = signature.output(worst.name), worst.worst_input
    for batch, outputs in zip(answers.batches, answers.source, strict=True):
        count = len(compare.rows_of(spec, [outputs[spec.name]]))
        if index < count:
            row = slice(index, index + 1) if count == batch.size else slice(None)
            return _write(path, {n: a[row] if n in signature.batched else a for n, a in batch.inputs.items()})
        index -= count
    return None


def _write(path: Path, arrays: Mapping[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return str(path)


def _worst(report: Report) -> OutputComparison | None:
    compared = [output for row in report.rows for output in row.outputs if output.worst_input is not None]
    return max(compared, key=lambda output: (output.worst_ratio or 0.0, output.max_abs), default=None)
