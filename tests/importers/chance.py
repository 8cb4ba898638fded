"""Whether what was drawn at random follows the distribution that its operator promises; knows NumPy alone.

Each test would fail a right generator less than once in a million runs, and seeds are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import helper

from tests.importers.cases import Case

DRAWS = 400  # how often a case of the suite is run
SIGMAS = 5.5  # how far a mean may lie from what is expected, in standard errors
KOLMOGOROV = 2.7  # the largest distance of two distributions, times the root of the number of samples: p = 1e-6


def judged(case: Case, results: list[list[Any]]) -> str:
    """'ok', or what the results of many runs of one feeding have that those of a Bernoulli or a Dropout have not."""
    (inputs, wanted), *_ = case.data
    for result in results:
        for actual, model in zip(result, wanted, strict=True):
            if tuple(actual.shape) != np.shape(model) or str(actual.dtype).removeprefix("torch.") != model.dtype.name:
                return f"{actual.dtype} of {tuple(actual.shape)} instead of {model.dtype} of {model.shape}"
    columns = [np.stack([np.asarray(result[i]) for result in results]) for i in range(len(wanted))]
    if "Dropout" in case.operators:
        return dropout(np.asarray(inputs[0]), float(inputs[1]) if len(inputs) > 1 else 0.5, columns)
    return bernoulli(np.asarray(inputs[0], np.float64), columns[0], flipped="_expanded" in case.name)


def bernoulli(chances: Any, drawn: Any, *, flipped: bool) -> str:
    """Zeros and ones, as many as `chances` say; the function body that ONNX once had draws them the other way round."""
    if not np.isin(drawn, (0, 1)).all():
        return "something else than 0 and 1"
    return shares(drawn, 1.0 - chances if flipped else chances)


def dropout(x: Any, ratio: float, columns: list[Any]) -> str:
    """Zeros, and scaled elements where the mask says so."""
    kept = columns[1] if len(columns) > 1 else (columns[0] != 0) | (x == 0)
    wanted = np.where(kept, x / (1.0 - ratio), 0.0)
    if not np.allclose(columns[0], wanted, 1e-5, 1e-6):
        return "elements that are neither 0 nor scaled by what is kept"
    return shares(kept, np.full(x.shape, 1.0 - ratio))


def shares(drawn: Any, chances: Any) -> str:
    """Every element's share of ones, and that of all together."""
    for counted, expected in ((drawn.mean(0), chances), (drawn.mean(), chances.mean())):
        count = drawn.shape[0] if np.ndim(expected) else drawn.size
        spread = np.sqrt(np.maximum(expected * (1.0 - expected), 1e-9) / count)
        far = float(np.max(np.abs(counted - expected) / spread))
        if far > SIGMAS:
            return f"a share of ones {far:.1f} standard errors from what it should be"
    return "ok" if len({row.tobytes() for row in drawn}) > 1 else "the same draw each time"


def normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def distance(samples: Any, distribution: Any) -> float:
    """Kolmogorov's distance of samples from a continuous distribution, times the root of their number."""
    ordered = np.sort(np.asarray(samples, np.float64).reshape(-1))
    expected = np.array([distribution(float(x)) for x in ordered])
    steps = np.arange(len(ordered) + 1) / len(ordered)
    found = max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))
    return float(found * math.sqrt(len(ordered)))


def dtype_name(number: int) -> str:
    return str(helper.tensor_dtype_to_np_dtype(number))
