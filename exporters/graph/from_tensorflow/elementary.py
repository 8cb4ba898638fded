"""TensorFlow operators that are a few of ONNX's, where tf2onnx has none or gets some values wrong.

Each is a function of a Writer and the names of the node's inputs, and returns the name of the node's output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import Writer

Array = np.ndarray[Any, Any]


_INT32, _INT64 = 6, 7  # ONNX's numbers for them


def _log1p(write: Writer, x: str) -> str:
    """2 atanh(x / (2 + x)) near zero, where log(1 + x) loses the digits of x."""
    small = write("Atanh", write("Div", x, write("Add", x, write.like(x, 2))))
    near = write("Less", write("Abs", x), write.like(x, 0.5))
    safe = write("Where", near, small, write.like(x, 0))
    return write("Where", near, write("Add", safe, safe), write("Log", write("Add", x, write.like(x, 1))))


def _expm1(write: Writer, x: str) -> str:
    """ELU and CELU in Keras: 2 sinh(x/2) exp(x/2) near zero, where exp(x) - 1 loses the digits of x; far below it the
    first factor is infinite.
    """
    near = write("Less", write("Abs", x), write.like(x, 1))
    half = write("Mul", write("Where", near, x, write.like(x, 0)), write.like(x, 0.5))
    small = write("Mul", write("Sinh", half), write("Exp", half))
    return write("Where", near, write("Add", small, small), write("Sub", write("Exp", x), write.like(x, 1)))


def _zero_where(write: Writer, decides: str, value: str) -> str:
    zero = write.like(value, 0)
    return write("Where", write("Equal", decides, write.like(decides, 0)), zero, value)


def _mul_no_nan(write: Writer, x: str, y: str) -> str:
    return _zero_where(write, y, write("Mul", x, y))


def _xlogy(write: Writer, x: str, y: str) -> str:
    return _zero_where(write, x, write("Mul", x, write("Log", y)))


def _xlog1py(write: Writer, x: str, y: str) -> str:
    return _zero_where(write, x, write("Mul", x, _log1p(write, y)))


def _xdivy(write: Writer, x: str, y: str) -> str:
    return _zero_where(write, x, write("Div", x, y))


def _floor_div(write: Writer, a: str, b: str) -> str:
    """ONNX divides integers towards zero, TensorFlow towards minus infinity."""
    if write.dtype(a).kind == "f":
        return write("Floor", write("Div", a, b))
    quotient = write("Div", a, b)
    if write.dtype(a).kind == "u":
        return quotient
    zero = write.like(a, 0)
    rest = write("Sub", a, write("Mul", quotient, b))
    signs_differ = write("Xor", write("Less", rest, zero), write("Less", b, zero))
    below = write("And", signs_differ, write("Not", write("Equal", rest, zero)))
    return write("Sub", quotient, write("Cast", below, to=write.graph.get_dtype(a)))


def _floor_mod(write: Writer, a: str, b: str) -> str:
    if write.dtype(a).kind == "f":
        return write("Sub", a, write("Mul", write("Floor", write("Div", a, b)), b))
    return write("Mod", a, b)


def _truncate_mod(write: Writer, a: str, b: str) -> str:
    return write("Mod", a, b, fmod=1)


def _euclidean_norm(write: Writer, x: str, axes: str) -> str:
    wide = write("Reshape", write("Cast", axes, to=7), write.constant(np.array([-1], np.int64)))
    return write("ReduceL2", x, wide, keepdims=int(write.flag("keep_dims")))


def _scatter(write: Writer, indices: str, updates: str, shape: str) -> str:
    """Updates of one place are added up."""
    wide, places = (write("Cast", value, to=7) for value in (shape, indices))
    nothing = write("Expand", write.like(updates, 0), wide)
    return write("ScatterND", nothing, places, updates, reduction="add")


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


def _broadcast_shapes(write: Writer, one: str, other: str) -> str:
    """The shape of what two shapes broadcast to: that of a tensor of the first one, expanded to the second."""
    sizes = [write("Cast", shape, to=_INT64) for shape in (one, other)]
    shape = write("Shape", write("Expand", write("ConstantOfShape", sizes[0]), sizes[1]))
    return write("Cast", shape, to=_INT32) if write.dtype(one) == np.int32 else shape


def _patches(write: Writer, images: str) -> str | None:
    """A convolution with one kernel for each pixel of a patch: (batch, rows, columns, patch * channels)."""
    sizes, strides, rates = (list(write.node.get_attr(name).ints)[1:3] for name in ("ksizes", "strides", "rates"))
    shape = write.shape(images)
    if shape is None or shape[-1] < 1 or write.dtype(images).kind != "f":
        return None
    count = sizes[0] * sizes[1] * shape[-1]
    one_hot = np.eye(count, dtype=write.dtype(images)).reshape(count, *sizes, shape[-1]).transpose(0, 3, 1, 2)
    padding = "SAME_UPPER" if write.node.get_attr("padding").s == b"SAME" else "VALID"
    first = write("Transpose", images, perm=[0, 3, 1, 2])
    found = write(
        "Conv", first, write.constant(one_hot), strides=strides, dilations=rates, auto_pad=padding, kernel_shape=sizes
    )
    return write("Transpose", found, perm=[0, 2, 3, 1])


FORMS: dict[str, Callable[..., str | None]] = {
    "BroadcastArgs": _broadcast_shapes,
    "Einsum": _einsum,
    "EuclideanNorm": _euclidean_norm,
    "ExtractImagePatches": _patches,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "Expm1": _expm1,
    "Log1p": _log1p,
    "MatrixDiagV3": _matrix_diagonal,
    "MatrixSetDiagV3": _set_diagonal,
    "MulNoNan": _mul_no_nan,
    "ScatterNd": _scatter,
    "TruncateMod": _truncate_mod,
    "Xdivy": _xdivy,
    "Xlog1py": _xlog1py,
    "Xlogy": _xlogy,
}
