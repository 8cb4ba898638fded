"""TensorFlow operators that are a few of ONNX's, where tf2onnx has none or gets some values wrong.

Each is a function of a Writer and the names of the node's inputs, and returns the name of the node's output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import Writer
from toolkit.errors import UnsupportedOperator

Array = np.ndarray[Any, Any]


_INT32, _INT64 = 6, 7  # ONNX's numbers for them
_L2_WITH_AXES = 18  # the opset since which ReduceL2 takes its axes as an input
_ADDING = 16  # the opset since which ScatterND may add


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
    """ONNX's own is of integers alone; a quotient of floats is rounded, and may reach the next whole number."""
    if write.dtype(a).kind != "f":
        return write("Mod", a, b)
    rest, zero = write("Mod", a, b, fmod=1), write.like(a, 0)
    signs_differ = write("Xor", write("Less", rest, zero), write("Less", b, zero))
    is_left = write("Not", write("Equal", rest, zero))
    return write("Where", write("And", signs_differ, is_left), write("Add", rest, b), rest)


def _truncate_mod(write: Writer, a: str, b: str) -> str:
    return write("Mod", a, b, fmod=1)


def _euclidean_norm(write: Writer, x: str, axes: str) -> str:
    wide = write("Reshape", write("Cast", axes, to=7), write.constant(np.array([-1], np.int64)))
    keepdims = int(write.flag("keep_dims"))
    if write.graph.opset < _L2_WITH_AXES:
        return write("Sqrt", write("ReduceSum", write("Mul", x, x), wide, keepdims=keepdims))
    return write("ReduceL2", x, wide, keepdims=keepdims)


def _scatter(write: Writer, indices: str, updates: str, shape: str) -> str:
    """Updates of one place are added up; before opset 16 no two may be of one."""
    reduction = {"reduction": "add"}
    if write.graph.opset < _ADDING:
        known = write.array(indices)
        if known is None or len(np.unique(known.reshape(-1, known.shape[-1]), axis=0)) * known.shape[-1] < known.size:
            raise UnsupportedOperator(
                f"{write.node.type} (in '{write.node.name}') adds updates of one place, which opset "
                f"{write.graph.opset} cannot",
                hint=f"Ask for --opset {_ADDING} or more.",
            )
        reduction = {}
    wide, places = (write("Cast", value, to=7) for value in (shape, indices))
    nothing = write("Expand", write.like(updates, 0), wide)
    return write("ScatterND", nothing, places, updates, **reduction)


def _sparse_product(write: Writer, indices: str, values: str, shape: str, matrix: str) -> str:
    """A sparse matrix is written out: ONNX multiplies dense ones alone."""
    sparse = _scatter(write, indices, values, shape)
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


def _broadcast_shapes(write: Writer, one: str, other: str) -> str:
    """The shape of what two shapes broadcast to: that of a tensor of the first one, expanded to the second."""
    sizes = [write("Cast", shape, to=_INT64) for shape in (one, other)]
    shape = write("Shape", write("Expand", write("ConstantOfShape", sizes[0]), sizes[1]))
    return write("Cast", shape, to=_INT32) if write.dtype(one) == np.int32 else shape


def _bound(write: Writer, ordered: str, values: str, *, right: bool) -> str:
    """Of rows in order and as many rows of values: how many elements come before each value."""
    first, last = (write.constant(np.array([axis], np.int64)) for axis in (-2, -1))
    row, column = write("Unsqueeze", ordered, first), write("Unsqueeze", values, last)
    behind = write("Less" if right else "LessOrEqual", column, row)
    counted = write("Cast", write("Not", behind), to=write.graph.get_dtype(write.node.output[0]))
    return write("ReduceSum", counted, last, keepdims=0)


def _patches(write: Writer, images: str) -> str | None:
    """A convolution with one kernel for each pixel of a patch: (batch, rows, columns, patch * channels)."""
    sizes, strides, rates = (list(write.node.get_attr(name).ints)[1:3] for name in ("ksizes", "strides", "rates"))
    shape = write.shape(images)
    if shape is None or shape[-1] < 1 or write.dtype(images).kind != "f":
        return None
    count = sizes[0] * sizes[1] * shape[-1]
    one_hot = np.eye(count, dtype=write.dtype(images)).reshape(count, *sizes, shape[-1]).transpose(0, 3, 1, 2)
    first = write("Transpose", images, perm=[0, 3, 1, 2])
    padding = "SAME_UPPER" if write.node.get_attr("padding").s == b"SAME" else "VALID"
    if padding != "VALID" and max(rates) > 1:
        reach = [(size - 1) * rate for size, rate in zip(sizes, rates, strict=True)]
        first, padding = _padded_same(write, first, strides, reach), "VALID"
    found = write(
        "Conv", first, write.constant(one_hot), strides=strides, dilations=rates, auto_pad=padding, kernel_shape=sizes
    )
    return write("Transpose", found, perm=[0, 2, 3, 1])


def _padded_same(write: Writer, images: str, strides: list[int], reach: list[int]) -> str:
    """Zeros around the last two axes, as TensorFlow's SAME has them: ONNX Runtime has no such padding where kernels
    are dilated. `reach` is how far a kernel goes beyond its first pixel.
    """

    def numbers(*values: int) -> str:
        return write.constant(np.array(values, np.int64))

    sizes = write("Slice", write("Shape", images), numbers(2), numbers(4))
    behind = write("Sub", sizes, numbers(1))  # of pixels, counted from the first one
    last = write("Mul", write("Div", behind, numbers(*strides)), numbers(*strides))
    total = write("Max", write("Sub", write("Add", last, numbers(*reach)), behind), numbers(0))
    before = write("Div", total, numbers(2))
    none = numbers(0, 0)
    return write("Pad", images, write("Concat", none, before, none, write("Sub", total, before), axis=0))


def _dense_bincount(write: Writer, x: str, size: str, weights: str) -> str:
    """How often each number below `size` occurs along the last axis, or the sum of the weights of its places.

    tf2onnx knows vectors alone, and no limit to the numbers.
    """
    kind = write.graph.get_dtype(write.node.output[0])
    first, step = (write.constant(np.array(value, np.int64)) for value in (0, 1))
    last = write.constant(np.array([-1], np.int64))
    numbers = write("Range", first, write("Cast", size, to=_INT64), step)
    is_number = write("Equal", write("Unsqueeze", write("Cast", x, to=_INT64), last), numbers)
    each = write("Cast", is_number, to=kind)
    if write.shape(weights) != [0]:
        each = write("Where", is_number, write("Unsqueeze", weights, last), write.like(weights, 0))
    found = write("ReduceSum", each, write.constant(np.array([-2], np.int64)), keepdims=0)
    if write.flag("binary_output"):
        return write("Cast", write("Greater", found, write.like(found, 0)), to=kind)
    return found


def _regrouped(write: Writer, x: str, *, kind: str) -> str:
    """Pixels into channels and back, for images of any size: tf2onnx reshapes by sizes that it must know."""
    size = int(write.node.get_attr("block_size").i)
    data_format = write.node.get_attr("data_format")
    if data_format is not None and data_format.s == b"NCHW":
        return write(kind, x, blocksize=size)
    first = write("Transpose", x, perm=[0, 3, 1, 2])
    return write("Transpose", write(kind, first, blocksize=size), perm=[0, 2, 3, 1])


FORMS: dict[str, Callable[..., str | None]] = {
    "BroadcastArgs": _broadcast_shapes,
    "DenseBincount": _dense_bincount,
    "DepthToSpace": partial(_regrouped, kind="DepthToSpace"),
    "Einsum": _einsum,
    "EuclideanNorm": _euclidean_norm,
    "ExtractImagePatches": _patches,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "Expm1": _expm1,
    "Log1p": _log1p,
    "LowerBound": partial(_bound, right=False),
    "MatrixDiagV3": _matrix_diagonal,
    "MatrixSetDiagV3": _set_diagonal,
    "MulNoNan": _mul_no_nan,
    "ScatterNd": _scatter,
    "SpaceToDepth": partial(_regrouped, kind="SpaceToDepth"),
    "SparseTensorDenseMatMul": _sparse_product,
    "TruncateMod": _truncate_mod,
    "UpperBound": partial(_bound, right=True),
    "Xdivy": _xdivy,
    "Xlog1py": _xlog1py,
    "Xlogy": _xlogy,
}
