"""Products, norms and diagonals of matrices, as forms in the way of `arithmetic`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from exporters.graph.from_tensorflow.places import scatter
from exporters.graph.from_tensorflow.writer import INT64, Writer

_L2_WITH_AXES = 18  # the opset since which ReduceL2 takes its axes as an input


def _euclidean_norm(write: Writer, x: str, axes: str) -> str:
    wide = write("Reshape", write("Cast", axes, to=INT64), write.constant(np.array([-1], np.int64)))
    keepdims = int(write.flag("keep_dims"))
    if write.graph.opset < _L2_WITH_AXES:
        return write("Sqrt", write("ReduceSum", write("Mul", x, x), wide, keepdims=keepdims))
    return write("ReduceL2", x, wide, keepdims=keepdims)


def _sparse_product(write: Writer, indices: str, values: str, shape: str, matrix: str) -> str:
    """A sparse matrix is written out: ONNX multiplies dense ones alone."""
    sparse = scatter(write, indices, values, shape)
    operands = ((sparse, "adjoint_a"), (matrix, "adjoint_b"))
    return write("MatMul", *(write("Transpose", x, perm=[1, 0]) if write.flag(name) else x for x, name in operands))


def _einsum(write: Writer, *inputs: str) -> str | None:
    """A matrix product of transposed operands where it is one; tf2onnx makes it of thirty operators.

    Else with letters in the place of an ellipsis, which tf2onnx does not take; else None.
    """
    equation = write.node.get_attr("equation").s.decode().replace(" ", "")
    terms, _, result = equation.partition("->")
    ranks = [len(shape) if (shape := write.shape(name)) is not None else -1 for name in inputs]
    if "..." not in equation:
        return _product(write, inputs, terms.split(","), result) if "->" in equation else None
    free = [rank - len(term) + 3 for term, rank in zip(terms.split(","), ranks, strict=True) if "..." in term]
    if -1 in ranks or len(set(free)) != 1:
        return None
    letters = "".join([letter for letter in "zyxwvutsrqponmlkjihgfedcba" if letter not in equation][: free[0]])
    whole = [term.replace("...", letters) for term in (*terms.split(","), result)]
    found = _product(write, inputs, whole[:-1], whole[-1])
    return found or write("Einsum", *inputs, equation=equation.replace("...", letters))


def _product(write: Writer, inputs: Sequence[str], terms: Sequence[str], result: str) -> str | None:
    """Two operands that share one axis, have one of their own each, and may have a batch of matrices."""
    if len(terms) != 2 or any(len(set(term)) != len(term) for term in (*terms, result)):
        return None
    shared = [axis for axis in terms[0] if axis in terms[1] and axis not in result]
    batch = [axis for axis in result if all(axis in term for term in terms)]
    own = [axis for axis in result if axis not in batch]
    if len(shared) != 1 or len(own) != 2 or any(len(term) != len(batch) + 2 for term in terms):
        return None
    first = 0 if own[0] in terms[0] else 1
    if own[0] not in terms[first] or own[1] not in terms[1 - first]:
        return None
    left = _ordered(write, inputs[first], terms[first], [*batch, own[0], shared[0]])
    right = _ordered(write, inputs[1 - first], terms[1 - first], [*batch, shared[0], own[1]])
    return _ordered(write, write("MatMul", left, right), "".join([*batch, *own]), list(result))


def _ordered(write: Writer, value: str, axes: str, wanted: list[str]) -> str:
    perm = [axes.index(axis) for axis in wanted]
    return value if perm == sorted(perm) else write("Transpose", value, perm=perm)


def _matrix_diagonal(write: Writer, diagonal: str, first: str, rows: str, columns: str, padding: str) -> str | None:
    """The main diagonal of a square matrix; other ones are tf2onnx's."""
    settings = [write.number(name) for name in (first, rows, columns, padding)]
    if settings[0] != 0 or any(size != -1 for size in settings[1:3]) or settings[3] != 0:
        return None
    column = write("Unsqueeze", diagonal, write.constant(np.array([-1], np.int64)))
    return write("Where", _is_diagonal(write, diagonal), column, write.like(diagonal, 0))


def _set_diagonal(write: Writer, matrix: str, diagonal: str, first: str) -> str | None:
    shape = write.shape(matrix)
    if write.number(first) != 0 or shape is None or shape[-1] != shape[-2] or shape[-1] < 1:
        return None
    column = write("Unsqueeze", diagonal, write.constant(np.array([-1], np.int64)))
    return write("Where", _is_diagonal(write, diagonal), column, matrix)


def _is_diagonal(write: Writer, diagonal: str) -> str:
    """(n, n) truths, true on the diagonal, where `diagonal` has n elements along its last axis."""
    last, first = (write.constant(np.array(axis, np.int64)) for axis in (-1, 0))
    size = write("Gather", write("Shape", diagonal), last)
    places = write("Range", first, size, write.constant(np.array(1, np.int64)))
    down = write("Unsqueeze", places, write.constant(np.array([-1], np.int64)))
    return write("Equal", down, places)


FORMS: dict[str, Callable[..., str | None]] = {
    "Einsum": _einsum,
    "EuclideanNorm": _euclidean_norm,
    "MatrixDiagV3": _matrix_diagonal,
    "MatrixSetDiagV3": _set_diagonal,
    "SparseTensorDenseMatMul": _sparse_product,
}
