"""How far an input's own rounding moves the truth: the noise that any float32 run of it has to be allowed.

A source may hit the truth of an ill-conditioned input by luck (a saturated gate, a softmax of large scores). Where a
few inputs alone are beyond their limit, those are weighed: the source's float64 form is run on the same inputs moved
by 1 ULP of their float32, several times, and their noise is floored at what that does to the outputs. A wrong file
gains nothing by it: on a well-conditioned input a ULP moves the truth by less than the source's noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare
from toolkit.verification.compare import Measured
from toolkit.verification.reference import Answers
from toolkit.verification.report import OutputComparison
from toolkit.verification.sides import Outputs, Side

Array = np.ndarray[Any, Any]

_MOVES = 4  # runs on moved inputs
_SHARE = 0.25  # where more of the inputs are beyond the limit, that is no matter of a few ill-conditioned ones


def beyond(
    signature: Signature,
    source: Outputs,
    compared: Sequence[tuple[OutputComparison, Measured | None]],
    limit: float,
) -> list[int]:
    """The positions of the batches that hold inputs with R above `limit`; none where those are too many to be rare."""
    positions: set[int] = set()
    for output, measured in compared:
        if measured is None:
            continue
        over = np.flatnonzero(~(measured.ratios <= limit))
        if len(over) > _SHARE * len(measured.ratios):
            return []
        spec = signature.output(output.name)
        ends = np.cumsum([len(compare.rows_of(spec, [batch[output.name]])) for batch in source])
        positions.update(int(i) for i in np.searchsorted(ends, over, side="right"))
    return sorted(positions)


def weigh(side: Side, answers: Answers, positions: Sequence[int]) -> Answers:
    """The answers with the condition of every input in the batches at `positions`. Raises what the source raises."""
    wanted = [i for i in positions if i not in answers.conditions]
    if not wanted or side.float64 is None:
        return answers
    generator = np.random.default_rng(0)
    squares: dict[int, dict[str, Array]] = {}
    for _ in range(_MOVES):
        moved = side.run_float64([answers.batches[i].nudged(generator) for i in wanted])
        for index, outputs in zip(wanted, moved, strict=True):
            for spec in side.signature.outputs:
                found = _moves(spec, answers, index, outputs[spec.name])
                sums = squares.setdefault(index, {})
                sums[spec.name] = sums.get(spec.name, 0) + found**2
    conditions = {i: {name: np.sqrt(sums / _MOVES) for name, sums in each.items()} for i, each in squares.items()}
    return replace(answers, conditions={**answers.conditions, **conditions})


def _moves(spec: TensorSpec, answers: Answers, index: int, moved: Array) -> Array:
    """How far each input's output moved, relative to its size; nothing where the move changed its kind."""
    truth, source = answers.truth[index][spec.name], answers.source[index][spec.name]
    rows = compare.rows_of(spec, [truth])
    if source.dtype.kind != "f" or moved.shape != truth.shape:
        return np.zeros(len(rows))
    pairs = zip(rows, compare.rows_of(spec, [source]), compare.rows_of(spec, [moved]), strict=True)
    found = np.array([compare.relative_difference(*three) for three in pairs])
    return np.where(np.isfinite(found), found, 0.0)
