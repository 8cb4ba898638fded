"""TensorFlow's complex numbers and Fourier transforms as ONNX's, in the way of `arithmetic`.

tf2onnx holds complex numbers as two halves along a first axis, ONNX's DFT wants them along a last one. Before opset 17
ONNX has no DFT, and ONNX Runtime's loses digits where the size is no power of two: there it is a product with waves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from exporters.graph.from_tensorflow.writer import Array, Writer

_DFT_SINCE = 17  # opset
_LARGEST = 2048  # of the sizes whose waves may be in the file


def _real(write: Writer, x: str) -> str:
    """tf2onnx holds complex numbers as two halves along a first axis."""
    return write("Gather", x, write.constant(np.array(0, np.int64)), axis=0)


def _imaginary(write: Writer, x: str) -> str:
    return write("Gather", x, write.constant(np.array(1, np.int64)), axis=0)


def _complex(write: Writer, real: str, imaginary: str) -> str:
    first = write.constant(np.array([0], np.int64))
    return write("Concat", *(write("Unsqueeze", half, first) for half in (real, imaginary)), axis=0)


def _complex_abs(write: Writer, x: str) -> str:
    """tf2onnx's own wants to know that there are two halves."""
    squares = [write("Mul", half, half) for half in (_real(write, x), _imaginary(write, x))]
    return write("Sqrt", write("Add", *squares))


def _real_spectrum(write: Writer, x: str, length: str) -> str | None:
    count, shape = write.number(length), write.shape(x)
    if count is None or shape is None:
        return None
    rank, count = len(shape), int(count)
    if _is_exact(count):
        if write.graph.opset < _DFT_SINCE:
            return None
        signal = write("Unsqueeze", x, write.constant(np.array([-1], np.int64)))
        points = write.constant(np.array(count, np.int64))
        found = write("DFT", signal, points, axis=rank - 1, onesided=1)
        return write("Transpose", found, perm=[rank, *range(rank)])
    signal = x if shape[-1] == count else _sized(write, x, count, rank - 1)
    cosines, sines = _waves(write.dtype(x), count, count // 2 + 1)
    return _complex(write, *(write("MatMul", signal, write.constant(wave)) for wave in (cosines, -sines)))


def _transform(write: Writer, x: str, *, axes: int, inverse: bool) -> str | None:
    """A complex transform along the last axes, one after the other."""
    shape = write.shape(write.node.output[0])
    if shape is None:
        return None
    rank = len(shape)
    for axis in range(rank - axes, rank):
        if _is_exact(shape[axis]):
            if write.graph.opset < _DFT_SINCE:
                return None
            last = write("Transpose", x, perm=[*range(1, rank + 1), 0])
            x = write("Transpose", write("DFT", last, axis=axis, inverse=int(inverse)), perm=[rank, *range(rank)])
        else:
            x = _product(write, x, shape[axis], axis + 1, rank + 1, inverse=inverse)
    return x


def _is_exact(count: int) -> bool:
    """Whether ONNX Runtime's DFT can be trusted: of other sizes than powers of two it loses two digits."""
    return count < 1 or count > _LARGEST or count & (count - 1) == 0


def _product(write: Writer, x: str, count: int, axis: int, rank: int, *, inverse: bool) -> str:
    """The transform of both halves along an axis, as products with waves."""
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    turned = x if axis == rank - 1 else write("Transpose", x, perm=order)
    cosines, sines = _waves(_halves(write), count, count, 1.0 / count if inverse else 1.0)
    real, imaginary = _real(write, turned), _imaginary(write, turned)
    with_cosines = [write("MatMul", half, write.constant(cosines)) for half in (real, imaginary)]
    with_sines = [write("MatMul", half, write.constant(-sines if inverse else sines)) for half in (imaginary, real)]
    found = _complex(write, write("Add", with_cosines[0], with_sines[0]), write("Sub", with_cosines[1], with_sines[1]))
    return found if axis == rank - 1 else write("Transpose", found, perm=order)


def _halves(write: Writer) -> np.dtype[Any]:
    """What the node computes in: the dtype of a real result, or of a complex one's halves."""
    return np.empty(0, write.dtype(write.node.output[0])).real.dtype


def _waves(dtype: np.dtype[Any], count: int, frequencies: int, scale: float = 1.0) -> tuple[Array, Array]:
    """Cos and sin of 2 pi n k / count, (count, frequencies)."""
    turns = np.outer(np.arange(count), np.arange(frequencies)) % count / count
    angles = 2 * np.pi * turns
    return (np.cos(angles) * scale).astype(dtype), (np.sin(angles) * scale).astype(dtype)


def _real_signal(write: Writer, x: str, length: str) -> str | None:
    """The signal of half a spectrum: the other half mirrors it, with the imaginary parts turned around."""
    count, shape = write.number(length), write.shape(write.node.output[0])
    if count is None or shape is None or (_is_exact(int(count)) and write.graph.opset < _DFT_SINCE):
        return None
    count, rank = int(count), len(shape)
    kept = _sized(write, x, count // 2 + 1, rank)
    mirrored = _slice(write, kept, (count - 1) // 2, 0, -1, rank)
    signs = np.array([1, -1], write.dtype(write.node.output[0])).reshape(2, *[1] * rank)
    whole = write("Concat", kept, write("Mul", mirrored, write.constant(signs)), axis=rank)
    if not _is_exact(count):
        return _real(write, _product(write, whole, count, rank, rank + 1, inverse=True))
    last = write("Transpose", whole, perm=[*range(1, rank + 1), 0])
    found = write("DFT", last, axis=rank - 1, inverse=1)
    return write("Gather", found, write.constant(np.array(0, np.int64)), axis=rank)


def _sized(write: Writer, x: str, count: int, axis: int) -> str:
    """The first `count` numbers along an axis, zeros where there are fewer."""
    ends = np.zeros(2 * (axis + 1), np.int64)
    ends[-1] = count
    return _slice(write, write("Pad", x, write.constant(ends)), 0, count, 1, axis)


def _slice(write: Writer, x: str, first: int, end: int, step: int, axis: int) -> str:
    return write("Slice", x, *(write.constant(np.array([each], np.int64)) for each in (first, end, axis, step)))


FORMS: dict[str, Callable[..., str | None]] = {
    "Complex": _complex,
    "ComplexAbs": _complex_abs,
    "FFT": partial(_transform, axes=1, inverse=False),
    "FFT2D": partial(_transform, axes=2, inverse=False),
    "FFT3D": partial(_transform, axes=3, inverse=False),
    "IFFT": partial(_transform, axes=1, inverse=True),
    "IFFT2D": partial(_transform, axes=2, inverse=True),
    "IFFT3D": partial(_transform, axes=3, inverse=True),
    "IRFFT": _real_signal,
    "Imag": _imaginary,
    "RFFT": _real_spectrum,
    "Real": _real,
}
