"""Walk to where the source changes its mind: between two inputs of different classes lies one that is nearly a tie.

Files that differ little differ there in their answers; and whatever depends on order (sorting, the largest of all)
changes there. Pairs of rows are halved until they lie next to each other; points of all distances are tried on both
sides.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from toolkit.signature import Signature
from toolkit.verification.plan import Batch
from toolkit.verification.search.domain import Domain, Row
from toolkit.verification.search.trial import Tried

Array = np.ndarray[Any, Any]

_HALVINGS = 24
_KIND = "search: boundary"


def strategy(domain: Domain, seed: int) -> Generator[list[Batch], list[Tried], None]:
    """Pairs of different classes, halved; for as long as there are such pairs and time."""
    generator = np.random.default_rng([seed, 200])
    if not domain.floats or len(domain.signature.batched) != len(domain.signature.inputs):
        return
    while True:
        index = generator.integers(len(domain.seeds), size=(2, domain.rows))
        first, second = ([domain.seeds[int(i)] for i in line] for line in index)
        answers = yield [*domain.batches(first, _KIND), *domain.batches(second, _KIND)]
        classes = _classes(domain.signature, answers, 2 * domain.rows)
        if classes is None:
            return
        unlike = np.flatnonzero((classes[: domain.rows] != classes[domain.rows :]).any(axis=1))
        if not len(unlike):
            continue
        low, high = [first[i] for i in unlike], [second[i] for i in unlike]
        known = classes[: domain.rows][unlike]
        for _ in range(_HALVINGS):
            middle = [_between(domain, a, b) for a, b in zip(low, high, strict=True)]
            answers = yield list(domain.batches(middle, _KIND))
            found = _classes(domain.signature, answers, len(middle))
            if found is None:
                return
            stays = (found == known).all(axis=1)
            low = [m if s else a for m, s, a in zip(middle, stays, low, strict=True)]
            high = [b if s else m for m, s, b in zip(middle, stays, high, strict=True)]


def _between(domain: Domain, first: Row, second: Row) -> Row:
    """The middle of two rows; what is no float is taken of the first."""
    return {
        name: ((array.astype(np.float64) + second[name]) / 2).astype(array.dtype) if name in domain.floats else array
        for name, array in first.items()
    }


def _classes(signature: Signature, answers: list[Tried], rows: int) -> Array | None:
    """By row, the class of each output that has classes: an integer, or the place of the largest score."""
    columns = []
    for spec in signature.outputs:
        parts = [each.source[spec.name] for each in answers if each.source is not None]
        if sum(map(len, parts)) != rows:
            return None
        array = np.concatenate(parts)
        if not spec.is_float and array.dtype.kind in "iub":
            columns.append(array.reshape(rows, -1).astype(np.int64))
        elif array.ndim >= 2 and array.shape[-1] > 1:
            columns.append(np.nan_to_num(array).argmax(axis=-1).reshape(rows, -1))
    return np.concatenate(columns, axis=1) if columns else None
