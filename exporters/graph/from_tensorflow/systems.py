"""Linear systems, unrolled as forms in the way of `arithmetic`: for matrices whose size is known and small.

ONNX has no operator for them. The matrix is the last two axes, those in front are a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import Writer

LARGEST = 32  # a matrix of more rows would make thousands of operators


def _size(write: Writer, matrix: str) -> int | None:
    """The number of rows, where it is known and small enough to be written out."""
    shape = write.shape(matrix)
    return shape[-1] if shape is not None and 0 < shape[-1] <= LARGEST else None


def _whole(write: Writer, values: Any) -> str:
    return write.constant(np.array(values, np.int64))


def _row(write: Writer, x: str, k: int) -> str:
    return write("Gather", x, _whole(write, [k]), axis=-2)


def _column(write: Writer, x: str, k: int) -> str:
    return write("Gather", x, _whole(write, [k]), axis=-1)


def _adjoint(write: Writer, matrix: str) -> str:
    """The transpose, where the operator asks for that of its matrix."""
    if not write.flag("adjoint"):
        return matrix
    rank = len(write.graph.get_shape(matrix))
    return write("Transpose", matrix, perm=[*range(rank - 2), rank - 1, rank - 2])


def _eliminated(write: Writer, matrix: str, right: str, size: int) -> str:
    """X in `matrix` X = `right`, by Gauss and Jordan's elimination with the largest element of a column as pivot."""
    rows = write("Concat", matrix, right, axis=-1)
    places, last = np.arange(size), _whole(write, [-1])
    numbers = _whole(write, places)
    for k in range(size):
        column = write("Squeeze", _column(write, rows, k), last)
        candidates = write("Where", write.constant(places >= k), write("Abs", column), write.like(matrix, -1))
        pivot = write("ArgMax", candidates, axis=-1, keepdims=1)
        swapped = write("Where", write("Equal", numbers, pivot), _whole(write, k), numbers)
        order = write("Unsqueeze", write("Where", write.constant(places == k), pivot, swapped), last)
        rows = write("GatherElements", rows, write("Expand", order, write("Shape", rows)), axis=-2)
        row = _row(write, rows, k)
        own = write("Div", row, _column(write, row, k))
        others = write("Sub", rows, write("Mul", _column(write, rows, k), own))
        rows = write("Where", write.constant((places == k)[:, None]), own, others)
    end = np.iinfo(np.int64).max
    return write("Slice", rows, _whole(write, [size]), _whole(write, [end]), last)


def _inverse(write: Writer, matrix: str) -> str | None:
    size = _size(write, matrix)
    if size is None:
        return None
    unit = write.constant(np.eye(size, dtype=write.dtype(matrix)))
    return _eliminated(write, _adjoint(write, matrix), write("Expand", unit, write("Shape", matrix)), size)


def _solve(write: Writer, matrix: str, right: str) -> str | None:
    size = _size(write, matrix)
    return None if size is None else _eliminated(write, _adjoint(write, matrix), right, size)


def _solve_triangular(write: Writer, matrix: str, right: str) -> str | None:
    """Row by row, from the one that has a single unknown."""
    size = _size(write, matrix)
    if size is None:
        return None
    upwards = write.flag("lower") == write.flag("adjoint")
    matrix = _adjoint(write, matrix)
    found: dict[int, str] = {}
    for k in reversed(range(size)) if upwards else range(size):
        row, known = _row(write, right, k), _row(write, matrix, k)
        for other, solved in found.items():
            row = write("Sub", row, write("Mul", _column(write, known, other), solved))
        found[k] = write("Div", row, _column(write, known, k))
    return write("Concat", *(found[k] for k in range(size)), axis=-2)


def _cholesky(write: Writer, matrix: str) -> str | None:
    """Column by column; a matrix that is not positive definite gives no number, where TensorFlow raises."""
    size = _size(write, matrix)
    if size is None:
        return None
    columns: list[str] = []
    for k in range(size):
        rest = _column(write, matrix, k)
        for column in columns:
            rest = write("Sub", rest, write("Mul", column, _row(write, column, k)))
        below = write.constant((np.arange(size) >= k)[:, None])
        scaled = write("Div", rest, write("Sqrt", _row(write, rest, k)))
        columns.append(write("Where", below, scaled, write.like(matrix, 0)))
    return write("Concat", *columns, axis=-1)


FORMS: dict[str, Callable[..., str | None]] = {
    "Cholesky": _cholesky,
    "MatrixInverse": _inverse,
    "MatrixSolve": _solve,
    "MatrixTriangularSolve": _solve_triangular,
}
