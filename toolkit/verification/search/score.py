"""How far two runs of the same inputs lie apart, in units of the noise that is usual for the source: quick and rough.

What stands out here is then measured like everything else (`trial`); this only says where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.signature import Signature, TensorSpec
from toolkit.verification import compare
from toolkit.verification.compare import FLOOR_ULP
from toolkit.verification.reference import Answers

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]

_FLIP = 1e3  # what a class that differs counts for


@dataclass(frozen=True)
class Yardstick:
    """By output: the usual size of a row's values, and the usual noise relative to a row's size."""

    usual: Mapping[str, float]
    noise: Mapping[str, float]

    @staticmethod
    def of(signature: Signature, answers: Answers) -> Yardstick:
        usual, noise = {}, {}
        for spec in signature.outputs:
            if not spec.is_float:
                continue
            truth = np.concatenate([_rows(spec, a[spec.name]).mean_square for a in answers.truth])
            usual[spec.name] = float(np.sqrt(np.median(truth)))
            pairs = zip(answers.source, answers.truth, strict=True)
            found = [_relative(spec, a[spec.name], b[spec.name], usual[spec.name]) for a, b in pairs]
            noise[spec.name] = float(np.median(np.concatenate(found)))
        return Yardstick(usual, noise)

    def ratios(
        self, signature: Signature, source: Outputs, file: Outputs, size: int, truth: Outputs | None = None
    ) -> Array:
        """By sample of a batch, the largest ratio over all outputs; infinite where the outputs differ in kind."""
        worst = np.zeros(size)
        for spec in signature.outputs:
            name = spec.name
            true = source[name] if truth is None else truth[name]
            worst = np.maximum(worst, _by_sample(self._ratio(spec, source[name], file.get(name), true), size))
        return worst

    def _ratio(self, spec: TensorSpec, source: Array, file: Any, truth: Array) -> Array:
        if not isinstance(file, np.ndarray) or file.shape != source.shape or file.dtype != source.dtype:
            return np.array([np.inf])
        if not spec.is_float:
            rows = compare.rows_of(spec, [source != file])
            return np.array([_FLIP * float(np.count_nonzero(row)) for row in rows])
        if truth.shape != source.shape:
            return np.array([0.0])
        ours, theirs, true = (_rows(spec, array).values for array in (source, file, truth))
        apart = (np.isnan(ours) != np.isnan(theirs)) | (np.isinf(ours) & (ours != theirs) & ~np.isnan(theirs))
        apart |= np.isinf(theirs) & ~np.isinf(ours)
        keep = np.isfinite(ours) & np.isfinite(true) & np.isfinite(theirs)
        ours, theirs, true = (np.where(keep, values, 0.0) for values in (ours, theirs, true))
        floor = _floors(source.dtype, true, self.usual[spec.name])
        scale = _norms(true) + floor
        scale[scale == 0] = 1.0
        expected = np.maximum(np.maximum(_norms(ours - true), floor) / scale, self.noise[spec.name])
        error = _norms(theirs - true) / scale
        ratio = np.divide(error, expected, out=np.zeros(len(error)), where=error > 0)
        return np.where(apart.any(axis=1), np.inf, ratio)


@dataclass(frozen=True)
class _Rows:
    """An output as a matrix in float64: a row for each input."""

    values: Array

    @property
    def mean_square(self) -> Array:
        finite = np.isfinite(self.values)
        counts = np.maximum(finite.sum(axis=1), 1)
        found: Array = (np.where(finite, self.values, 0.0) ** 2).sum(axis=1) / counts
        return found


def _rows(spec: TensorSpec, array: Array) -> _Rows:
    by_row = bool(spec.shape) and isinstance(spec.shape[0], str)
    shape = (len(array), -1) if by_row and array.size else (1, -1)
    return _Rows(array.reshape(shape).astype(np.float64))


def _floors(dtype: np.dtype[Any], true: Array, usual: float) -> Array:
    largest = float(np.finfo(dtype).max) if dtype.kind == "f" else 3e38
    rounded = np.minimum(np.abs(true), largest).astype(dtype if dtype.kind == "f" else np.float32)
    own = FLOOR_ULP * _norms(np.spacing(rounded).astype(np.float64))
    least = FLOOR_ULP * float(np.spacing(rounded.dtype.type(usual))) * np.sqrt(true.shape[1])
    found: Array = np.maximum(own, least)
    return found


def _relative(spec: TensorSpec, source: Array, truth: Array, usual: float) -> Array:
    if source.shape != truth.shape:
        return np.zeros(1)
    ours, true = _rows(spec, source).values, _rows(spec, truth).values
    keep = np.isfinite(ours) & np.isfinite(true)
    ours, true = np.where(keep, ours, 0.0), np.where(keep, true, 0.0)
    floor = _floors(source.dtype, true, usual)
    scale = _norms(true) + floor
    found: Array = np.maximum(_norms(ours - true), floor) / np.where(scale == 0, 1.0, scale)
    return found


def _norms(values: Array) -> Array:
    """The Euclidean norm of every row, without overflow."""
    if not values.size:
        return np.zeros(len(values))
    largest = np.max(np.abs(values), axis=1)
    safe = np.where(largest > 0, largest, 1.0)
    found: Array = safe * np.sqrt(((values / safe[:, None]) ** 2).sum(axis=1)) * (largest > 0)
    return found


def _by_sample(ratios: Array, size: int) -> Array:
    """Ratios of an output's rows as ratios of samples: a sample may have several rows, or all share one."""
    if len(ratios) == size:
        return ratios
    if size and len(ratios) % size == 0 and len(ratios):
        found: Array = ratios.reshape(size, -1).max(axis=1)
        return found
    return np.full(size, ratios.max(initial=0.0))
