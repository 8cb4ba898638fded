"""Elementwise arithmetic of TensorFlow's that ONNX has not, or whose digits and edges tf2onnx gets wrong.

Each form is a function of a Writer and the names of the node's inputs, and returns the name of the node's output.
"""

from __future__ import annotations

from collections.abc import Callable

from exporters.graph.from_tensorflow.writer import Writer


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


def _select(write: Writer, condition: str, x: str, y: str) -> str:
    """tf2onnx multiplies by the condition, which turns an infinity that is not selected into NaN."""
    return write("Where", condition, x, y)


FORMS: dict[str, Callable[..., str | None]] = {
    "Erfc": _erfc,
    "Expm1": _expm1,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "Log1p": _log1p,
    "MulNoNan": _mul_no_nan,
    "SelectV2": _select,
    "TruncateMod": _truncate_mod,
    "Xdivy": _xdivy,
    "Xlog1py": _xlog1py,
    "Xlogy": _xlogy,
}
