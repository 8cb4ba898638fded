"""TfIdfVectorizer of integers."""

from __future__ import annotations

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Scope
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator


@KERAS.op("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    X: KerasTensor,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: list[int],
    ngram_indexes: list[int],
    pool_int64s: list[int] | None = None,
    pool_strings: list[str] | None = None,
    weights: list[float] | None = None,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX TfIdfVectorizer: how often each n-gram of the pool comes in a row, its members `skip` places apart."""
    assert scope is not None
    if pool_int64s is None:
        raise UnsupportedOperator("TfIdfVectorizer of strings has no Keras form")
    total = X.shape[-1] if X.shape else 1
    if total is None:
        raise UnsupportedOperator("TfIdfVectorizer of rows of unknown length has no Keras form")
    rows = ops.reshape(ops.cast(X, "int64"), (-1, total))
    width = max(ngram_indexes) + 1
    counts = ops.cast(ops.zeros_like(ops.repeat(rows[(slice(None), slice(0, 1))], width, 1)), "float32")
    for length, grams, columns in _pool(ngram_counts, ngram_indexes, pool_int64s):
        if not min_gram_length <= length <= max_gram_length:
            continue
        spread = np.eye(width, dtype=np.float32)[columns]
        for skip in range(1, (max_skip_count if length > 1 else 0) + 2):
            frames = total - (length - 1) * skip
            if frames > 0:
                found = _matches(rows, grams, frames, skip, scope)
                share = ops.matmul(found, Constant(spread, "columns", scope).tensor)
                counts = ops.subtract(counts, ops.negative(share))
    if mode != "TF":
        factor = Constant(np.asarray(weights or [1.0] * width, np.float32)[None], "weights", scope).tensor
        seen = ops.cast(ops.greater(counts, 0), "float32") if mode == "IDF" else counts
        counts = ops.multiply(seen, factor)
    return counts if len(X.shape) > 1 else ops.reshape(counts, (width,))


def _pool(starts: list[int], columns: list[int], pool: list[int]) -> list[tuple[int, np.ndarray, list[int]]]:
    """Length of the n-grams, the n-grams, and the columns in which they are counted."""
    found, first = [], 0
    for length, (start, end) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        count = (end - start) // length
        if count:
            grams = np.asarray(pool[start:end], np.int64).reshape(count, length)
            found.append((length, grams, columns[first : first + count]))
        first += count
    return found


def _matches(rows: KerasTensor, grams: np.ndarray, frames: int, skip: int, scope: Scope) -> KerasTensor:
    """How often each n-gram comes in each row (rows, n-grams)."""
    where = np.arange(frames)[:, None] + skip * np.arange(grams.shape[1])[None]
    members = ops.expand_dims(ops.take(rows, where.tolist(), 1), 2)  # (rows, frames, 1, length)
    same = ops.equal(members, Constant(grams[None, None], "grams", scope).tensor)
    return ops.sum(ops.cast(ops.all(same, -1), "float32"), 1)
