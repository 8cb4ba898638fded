"""Fourier transforms, in the real pairs that ONNX has for complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Operand, Scope, Unknown, length, places, size_of, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

Pair = tuple[KerasTensor, KerasTensor]


@KERAS.op("DFT", since=17)
def dft_17(
    input: KerasTensor, dft_length: int | None = None, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> KerasTensor:
    """ONNX DFT up to opset 19, whose axis is an attribute."""
    return dft(input, dft_length, axis, inverse, onesided)


@KERAS.op("DFT", since=20)
def dft(
    input: KerasTensor, dft_length: int | None = None, axis: int = -2, inverse: int = 0, onesided: int = 0
) -> KerasTensor:
    """ONNX DFT: the last axis holds the real part, or both; what is shorter than `dft_length` is filled with zeros."""
    rank = len(input.shape)
    place = axis % rank
    halves = [ops.moveaxis(input[_part(rank, i)], place, -1) for i in range(input.shape[-1])]
    if input.shape[place] is None:
        raise UnsupportedOperator("DFT along an axis of unknown size has no Keras form")
    size = input.shape[place]
    if inverse and onesided:
        count = dft_length or 2 * (size - 1)
        result = [_real_inverse(_whole(halves), count)]
    else:
        count = dft_length or size
        pair = tuple(_sized(half, count) for half in _whole(halves))
        result = list(_inverse(pair, count) if inverse else _transform(pair))
        if onesided:
            result = [value[_first(value, count // 2 + 1)] for value in result]
    joined = ops.stack([ops.moveaxis(value, -1, place) for value in result], -1)
    return ops.cast(joined, input.dtype)


def _part(rank: int, index: int) -> tuple[Any, ...]:
    return (*([slice(None)] * (rank - 1)), index)


def _first(x: KerasTensor, count: int) -> tuple[slice, ...]:
    return (*([slice(None)] * (len(x.shape) - 1)), slice(0, count))


def _whole(halves: list[KerasTensor]) -> Pair:
    """Real and imaginary part, in double precision as the reference has them."""
    halves = [ops.cast(half, "float64") for half in halves]
    return halves[0], halves[1] if len(halves) > 1 else ops.zeros_like(halves[0])


def _sized(x: KerasTensor, count: int) -> KerasTensor:
    missing = count - x.shape[-1]
    if missing < 0:
        return x[_first(x, count)]
    return ops.pad(x, [*([(0, 0)] * (len(x.shape) - 1)), (0, missing)]) if missing else x


def _transform(pair: Pair) -> Pair:
    real, imaginary = ops.fft(pair)
    return real, imaginary


def _inverse(pair: Pair, count: int) -> Pair:
    """The inverse transform is the transform with the imaginary parts turned around, before and after."""
    real, imaginary = _transform((pair[0], ops.negative(pair[1])))
    return ops.divide(real, float(count)), ops.divide(ops.negative(imaginary), float(count))


def _real_inverse(pair: Pair, count: int) -> KerasTensor:
    """The real signal whose one-sided transform this is: its other side mirrors the first."""
    kept = count // 2 + 1
    real, imaginary = (_sized(half, kept) for half in pair)
    # the ends of a one-sided transform have no imaginary part
    own = np.ones(kept, bool)
    own[0] = False
    if count % 2 == 0:
        own[-1] = False
    flags = own.tolist()
    imaginary = ops.where(flags, imaginary, ops.zeros_like(imaginary))
    mirror = list(range((count - 1) // 2, 0, -1))
    if mirror:
        real = ops.concatenate([real, ops.take(real, mirror, -1)], -1)
        imaginary = ops.concatenate([imaginary, ops.negative(ops.take(imaginary, mirror, -1))], -1)
    return _inverse((real, imaginary), count)[0]


@KERAS.op("STFT", since=17)
def stft(
    signal: KerasTensor,
    frame_step: int,
    window: Operand | None = None,
    frame_length: int | None = None,
    onesided: int = 1,
    scope: Scope | None = None,
) -> KerasTensor:
    """ONNX STFT (batch, frames, bins, 2): the transform of every frame, each times the window."""
    assert scope is not None
    if frame_length is None:
        frame_length = window.shape[0] if window is not None else signal.shape[1]
    if frame_length is None:
        raise UnsupportedOperator("STFT of frames of unknown length has no Keras form")
    total = size_of(signal, 1)
    if isinstance(total, int):
        frames = 1 + (total - frame_length) // frame_step
        starts = Constant(np.arange(frames) * frame_step, "frames", scope).tensor
    else:
        after = ops.subtract(length(total, scope), frame_length)
        count = Unknown(lambda: ops.add(ops.floor_divide(after, frame_step), 1))
        starts = ops.multiply(places(count, scope), frame_step)
    inner = Constant(np.arange(frame_length)[None], "frame", scope).tensor
    framed = ops.take(signal, plus(ops.expand_dims(starts, -1), inner), 1)  # (batch, frames, length, parts)
    if window is not None:
        framed = ops.multiply(framed, ops.reshape(tensor(window), (1, 1, -1, 1)))
    return dft(framed, axis=2, onesided=onesided)


@KERAS.op("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: int,
    dft_length: int,
    sample_rate: int,
    lower_edge_hertz: float,
    upper_edge_hertz: float,
    output_datatype: str = "float32",
) -> KerasTensor:
    """ONNX MelWeightMatrix, which depends on constants alone: the builder computes it."""
    raise AssertionError("the builder computes what depends on constants alone")
