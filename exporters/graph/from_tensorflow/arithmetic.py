"""Elementwise arithmetic of TensorFlow's that ONNX has not, or whose digits and edges tf2onnx gets wrong.

Each form is a function of a Writer and the names of the node's inputs, and returns the name of the node's output.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from exporters.graph.from_tensorflow.writer import INT64, Writer
from exporters.graph.inverse_error import FAR, NEAR


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


def _erfc(write: Writer, x: str) -> str:
    """Exact GELU in Keras; ONNX has Erf alone."""
    return write("Sub", write.like(x, 1), write("Erf", x))


def _erfinv(write: Writer, y: str) -> str | None:
    one = write.like(y, 1)
    return _inverse_error(write, y, write("Mul", write("Sub", one, y), write("Add", one, y)))


def _ndtri(write: Writer, p: str) -> str | None:
    """The quantile of a share `p` of the normal distribution: sqrt(2) erfinv(2p - 1), without losing a small `p`."""
    one = write.like(p, 1)
    y = write("Sub", write("Add", p, p), one)
    found = _inverse_error(write, y, write("Mul", write.like(p, 4), write("Mul", p, write("Sub", one, p))))
    return found and write("Mul", found, write.like(p, math.sqrt(2)))


def _inverse_error(write: Writer, y: str, rest: str) -> str | None:
    """The inverse of the error function at `y`, whose 1 - y^2 is `rest`; the polynomials have the digits of float32."""
    if write.dtype(y) != np.float32:
        return None
    w, five, zero = write("Neg", write("Log", rest)), write.like(y, 5), write.like(y, 0)
    near = _polynomial(write, NEAR, write("Sub", w, write.like(y, 2.5)))
    far = _polynomial(write, FAR, write("Sub", write("Sqrt", write("Max", w, five)), write.like(y, 3)))
    inside = write("Mul", write("Where", write("Less", w, five), near, far), y)
    ends = write("Mul", write("Sign", y), write.like(y, math.inf))
    return write("Where", write("Equal", rest, zero), ends, inside)


def _polynomial(write: Writer, coefficients: tuple[float, ...], x: str) -> str:
    total = write.like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = write("Add", write("Mul", total, x), write.like(x, coefficient))
    return total


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


def _half_of_squares(write: Writer, x: str) -> str:
    flat = write("Reshape", write("Mul", x, x), write.constant(np.array([-1], np.int64)))
    total = write("ReduceSum", flat, write.constant(np.array([0], np.int64)), keepdims=0)
    return write("Mul", total, write.like(x, 0.5))


def _cross(write: Writer, a: str, b: str) -> str:
    """The cross product of the vectors along the last axis."""

    def turned(value: str, *order: int) -> str:
        return write("Gather", value, write.constant(np.array(order, np.int64)), axis=-1)

    forth = write("Mul", turned(a, 1, 2, 0), turned(b, 2, 0, 1))
    return write("Sub", forth, write("Mul", turned(a, 2, 0, 1), turned(b, 1, 2, 0)))


def _in_top(write: Writer, scores: str, targets: str, count: str) -> str:
    """Whether fewer than `count` scores of a row are above its target's; never where a score is no finite number."""
    last = write.constant(np.array([-1], np.int64))
    own = write("GatherElements", scores, write("Unsqueeze", write("Cast", targets, to=INT64), last), axis=1)
    above = write("ReduceSum", write("Cast", write("Greater", scores, own), to=INT64), last, keepdims=0)
    odd = write("Not", write("Less", write("Abs", scores), write.like(scores, math.inf)))
    odd = write("ReduceSum", write("Cast", odd, to=INT64), last, keepdims=0)
    is_among = write("Less", above, write("Cast", count, to=INT64))
    return write("And", is_among, write("Equal", odd, write.constant(np.array(0, np.int64))))


def _select(write: Writer, condition: str, x: str, y: str) -> str:
    """tf2onnx multiplies by the condition, which turns an infinity that is not selected into NaN."""
    return write("Where", condition, x, y)


FORMS: dict[str, Callable[..., str | None]] = {
    "Cross": _cross,
    "Erfc": _erfc,
    "Erfinv": _erfinv,
    "Expm1": _expm1,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "InTopKV2": _in_top,
    "L2Loss": _half_of_squares,
    "Log1p": _log1p,
    "MulNoNan": _mul_no_nan,
    "Ndtri": _ndtri,
    "SelectV2": _select,
    "TruncateMod": _truncate_mod,
    "Xdivy": _xdivy,
    "Xlog1py": _xlog1py,
    "Xlogy": _xlogy,
}
