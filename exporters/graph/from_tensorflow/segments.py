"""Rows joined by where they belong: TensorFlow's segments, and one-hot rows, in the way of `arithmetic`.

An index below zero counts from the end in ONNX; in TensorFlow it belongs nowhere. A segment without rows has a value of
its own: the least or the largest number that there is, or 0 where the indices are sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import BOOL, INT64, Writer

_SINCE = {"add": 16, "mul": 16, "max": 18, "min": 18}  # the opsets whose ScatterND reduces so
_LAST = np.iinfo(np.int64).max


def _numbers(write: Writer, *values: int) -> str:
    return write.constant(np.array(values, np.int64))


def _neutral(dtype: np.dtype[Any], reduction: str) -> float:
    if reduction in {"add", "mul"}:
        return float(reduction == "mul")
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return limits.min if reduction == "max" else limits.max


def _reduced(write: Writer, data: str, ids: str, count: str, reduction: str) -> str | None:
    """(count, ..), each row what belongs there; rows that belong nowhere go into one more, which is left out."""
    shape = write.shape(ids)
    if shape is None or write.graph.opset < _SINCE[reduction]:
        return None
    inner = write("Slice", write("Shape", data), _numbers(write, len(shape)), _numbers(write, _LAST))
    rows = write("Reshape", data, write("Concat", _numbers(write, -1), inner, axis=0))
    flat = write("Reshape", write("Cast", ids, to=INT64), _numbers(write, -1, 1))
    places = write("Where", write("Less", flat, _numbers(write, 0)), count, flat)
    room = write("Concat", write("Add", count, _numbers(write, 1)), inner, axis=0)
    start = write("Expand", write.like(data, _neutral(write.dtype(data), reduction)), room)
    whole = write("ScatterND", start, places, rows, reduction=reduction)
    return write("Slice", whole, _numbers(write, 0), count, _numbers(write, 0))


def _unsorted(write: Writer, data: str, ids: str, count: str, *, reduction: str) -> str | None:
    wanted = write("Reshape", write("Cast", count, to=INT64), _numbers(write, 1))
    return _reduced(write, data, ids, wanted, reduction)


def _sorted(write: Writer, data: str, ids: str, *, reduction: str, mean: bool = False) -> str | None:
    """As many segments as the last index says."""
    shape = write.shape(data)
    if shape is None:
        return None
    last = write("Slice", write("Cast", ids, to=INT64), _numbers(write, -1), _numbers(write, _LAST))
    count = write("Add", last, _numbers(write, 1))
    found = _reduced(write, data, ids, count, reduction)
    if found is None or reduction == "mul" or (reduction == "add" and not mean):
        return found
    ones = write("Expand", write.like(data, 1), write("Shape", ids))
    rows = write("Reshape", ones, _numbers(write, -1, *[1] * (len(shape) - 1)))
    members = _reduced(write, rows, ids, count, "add")
    if members is None:
        return None
    if mean:
        return write("Div", found, write("Max", members, write.like(data, 1)))
    return write("Where", write("Equal", members, write.like(data, 0)), write.like(data, 0), found)


def _one_hot(write: Writer, ids: str, depth: str, on: str, off: str) -> str | None:
    """`on` where an index says so; one that is out of range says so nowhere."""
    shape, axis = write.shape(ids), int(write.node.get_attr("axis").i)
    if shape is None:
        return None
    wide = write("Cast", ids, to=INT64)
    size = write("Reshape", write("Cast", depth, to=INT64), _numbers(write, 1))
    places = write("Where", write("Less", wide, _numbers(write, 0)), size, wide)
    if not shape:  # ONNX's wants an axis at least
        row = write("OneHot", write("Reshape", places, _numbers(write, 1)), size, _numbers(write, 0, 1), axis=-1)
        marks = write("Reshape", row, _numbers(write, -1))
    else:
        if write.dtype(on) == np.float32:
            values = write("Concat", *(write("Reshape", each, _numbers(write, 1)) for each in (off, on)), axis=0)
            return write("OneHot", places, size, values, axis=axis)
        marks = write("OneHot", places, size, _numbers(write, 0, 1), axis=axis)
    return write("Where", write("Cast", marks, to=BOOL), on, off)


def _inverse_permutation(write: Writer, x: str) -> str:
    places = write("Cast", x, to=INT64)
    zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
    size = write("Squeeze", write("Shape", x), _numbers(write, 0))
    count = write("Range", zero, size, one)
    return write("Cast", write("ScatterElements", count, places, count), to=write.graph.get_dtype(x))


FORMS: dict[str, Callable[..., str | None]] = {
    "InvertPermutation": _inverse_permutation,
    "OneHot": _one_hot,
    "SegmentMax": partial(_sorted, reduction="max"),
    "SegmentMean": partial(_sorted, reduction="add", mean=True),
    "SegmentMin": partial(_sorted, reduction="min"),
    "SegmentProd": partial(_sorted, reduction="mul"),
    "SegmentSum": partial(_sorted, reduction="add"),
    "UnsortedSegmentMax": partial(_unsorted, reduction="max"),
    "UnsortedSegmentMin": partial(_unsorted, reduction="min"),
    "UnsortedSegmentProd": partial(_unsorted, reduction="mul"),
    "UnsortedSegmentSum": partial(_unsorted, reduction="add"),
}
