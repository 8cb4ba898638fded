"""Convolutions and pools over one, two or three spatial axes, channels last."""

from __future__ import annotations

import itertools
import re
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Operand, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

CONV = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
CONV_TRANSPOSE = {
    1: keras.layers.Conv1DTranspose,
    2: keras.layers.Conv2DTranspose,
    3: keras.layers.Conv3DTranspose,
}
DEPTHWISE = {1: keras.layers.DepthwiseConv1D, 2: keras.layers.DepthwiseConv2D}
LAST = "channels_last"


def amounts(
    auto_pad: str, pads: list[int] | None, sizes: Any, kernel: list[int], strides: list[int], dilations: list[int]
) -> list[tuple[int, int]]:
    """How much to pad before and after each spatial axis."""
    rank = len(kernel)
    if auto_pad in ("NOTSET", "VALID"):
        given = pads if pads and auto_pad == "NOTSET" else [0] * (2 * rank)
        return list(zip(given[:rank], given[rank:], strict=True))
    found = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (k - 1) * d + 1
        if s != 1 and size is None:
            raise UnsupportedOperator(f"auto_pad {auto_pad} of an axis of unknown size has no Keras form")
        total = reach - 1 if s == 1 else max((-(-size // s) - 1) * s + reach - size, 0)
        small, large = total // 2, total - total // 2
        found.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    return found


def padded(x: KerasTensor, spatial: list[tuple[int, int]], value: float = 0.0) -> KerasTensor:
    """`x` (batch, *spatial, channels) padded, or cut where an amount is negative."""
    if any(before < 0 or after < 0 for before, after in spatial):
        key = [slice(max(-before, 0), -max(-after, 0) or None) for before, after in spatial]
        x = x[(slice(None), *key, slice(None))]
        spatial = [(max(before, 0), max(after, 0)) for before, after in spatial]
    if all(pair == (0, 0) for pair in spatial):
        return x
    return ops.pad(x, [(0, 0), *spatial, (0, 0)], constant_values=value)


def kernel_of(weight: Any) -> Any:
    """ONNX's (out, in, *spatial) as Keras' (*spatial, in, out)."""
    return np.ascontiguousarray(np.moveaxis(weight, (0, 1), (-1, -2)))


@KERAS.op("Conv", since=1, layout="channels")
def conv(
    X: KerasTensor,
    W: Operand,
    B: Operand | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX Conv: a layer named after its weight, a depthwise one where each channel is its own group."""
    rank = len(X.shape) - 2
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    size = list(W.shape[2:])
    x = padded(X, amounts(auto_pad, pads, X.shape[1:-1], size, steps, spread))
    if not isinstance(W, Constant) or (B is not None and not isinstance(B, Constant)):
        return _by_operation(x, W, B, steps, spread, group)
    bias = B.array if isinstance(B, Constant) else None
    if max(steps) > 1 and max(spread) > 1:  # TensorFlow knows no convolution that is both strided and dilated
        dense = _grouped(x, W, bias, [1] * rank, spread, group)
        return dense[(slice(None), *(slice(None, None, step) for step in steps), slice(None))]
    return _grouped(x, W, bias, steps, spread, group)


def _grouped(x: KerasTensor, W: Constant, bias: Any, steps: list[int], spread: list[int], group: int) -> KerasTensor:
    rank, channels = len(steps), x.shape[-1]
    if group == 1:
        return _layer(x, W, W.array, bias, steps, spread)
    if group == channels and rank in DEPTHWISE and len(set(steps)) == 1:
        return _depthwise(x, W, bias, steps, spread)
    # Keras compiles its own grouped convolutions with XLA, which is slow on CPU: one layer per group instead
    parts = []
    inputs, outputs = channels // group, W.shape[0] // group
    for i in range(group):
        mine = slice(i * outputs, (i + 1) * outputs)
        part = _channels(x, i * inputs, (i + 1) * inputs)
        parts.append(_layer(part, W, W.array[mine], None if bias is None else bias[mine], steps, spread))
    return ops.concatenate(parts, -1)


def _channels(x: KerasTensor, start: int, end: int) -> KerasTensor:
    """A range of channels; written out, since an Ellipsis does not come back from a saved model."""
    return x[(*([slice(None)] * (len(x.shape) - 1)), slice(start, end))]


def _name(weight: Constant) -> str:
    return weight.scope.name(re.sub(r"[./](weight|kernel)$", "", weight.name))


def _layer(x: KerasTensor, W: Constant, array: Any, bias: Any, steps: list[int], spread: list[int]) -> KerasTensor:
    layer = CONV[len(steps)](
        array.shape[0],
        array.shape[2:],
        strides=steps,
        dilation_rate=spread,
        use_bias=bias is not None,
        data_format=LAST,
        dtype=W.dtype,
        name=_name(W),
    )
    return W.scope.apply(layer, x, [kernel_of(array), *([] if bias is None else [bias])])


def _depthwise(x: KerasTensor, W: Constant, bias: Any, steps: list[int], spread: list[int]) -> KerasTensor:
    channels = x.shape[-1]
    multiplier = W.shape[0] // channels
    layer = DEPTHWISE[len(steps)](
        W.shape[2:],
        strides=steps[0] if len(steps) == 1 else steps,
        dilation_rate=spread[0] if len(steps) == 1 else spread,
        depth_multiplier=multiplier,
        use_bias=bias is not None,
        data_format=LAST,
        dtype=W.dtype,
        name=_name(W),
    )
    # (channels * multiplier, 1, *spatial) -> (*spatial, channels, multiplier)
    array = W.array.reshape(channels, multiplier, *W.shape[2:])
    kernel = np.ascontiguousarray(np.moveaxis(array, (0, 1), (-2, -1)))
    return W.scope.apply(layer, x, [kernel, *([] if bias is None else [bias])])


def _by_operation(
    x: KerasTensor, W: Operand, B: Operand | None, steps: list[int], spread: list[int], group: int
) -> KerasTensor:
    """Weights that are computed when the model runs."""
    rank = len(steps)
    if group != 1:
        raise UnsupportedOperator("a grouped Conv whose weights are computed when the model runs has no Keras form")
    kernel = ops.transpose(tensor(W), (*range(2, rank + 2), 1, 0))
    y = ops.conv(x, kernel, strides=steps, dilation_rate=spread, data_format=LAST)
    return y if B is None else plus(y, tensor(B))


@KERAS.op("ConvTranspose", since=1, layout="channels")
def conv_transpose(
    X: KerasTensor,
    W: Constant,
    B: Constant | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX ConvTranspose: the full result, of which `pads`, `output_shape` or SAME decide what is cut off."""
    if not isinstance(W, Constant) or not isinstance(B, Constant | None):
        raise UnsupportedOperator("ConvTranspose with weights computed when the model runs has no Keras form")
    rank = len(X.shape) - 2
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    more = output_padding or [0] * rank
    array = _spread(W.array, spread)
    given = pads or [0] * (2 * rank)
    cuts = []
    for i, (size, k) in enumerate(zip(X.shape[1:-1], array.shape[2:], strict=True)):
        if output_shape is None and auto_pad in ("NOTSET", "VALID"):
            before, after = (given[i], given[i + rank]) if auto_pad == "NOTSET" else (0, 0)
        else:
            if size is None and output_shape is not None:
                raise UnsupportedOperator("ConvTranspose to a fixed shape from an unknown one has no Keras form")
            total = k + more[i] - steps[i]
            if output_shape is not None:
                total = steps[i] * (size - 1) + k + more[i] - output_shape[i - rank]
            total = total if output_shape is not None else max(total, 0)
            small, large = total // 2, total - total // 2
            before, after = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        # Keras fills up to a whole stride behind a kernel that is shorter than one
        filled = max(steps[i] - k, 0)
        cuts.append((-before, more[i] - after - filled))
    bias = None if B is None else B.array
    late = bias is not None and any(after > 0 or before > 0 for before, after in cuts)
    inputs = X.shape[-1] // group
    parts = []
    for i in range(group):
        part = X if group == 1 else _channels(X, i * inputs, (i + 1) * inputs)
        mine = array[i * inputs : (i + 1) * inputs]
        outputs = slice(i * mine.shape[1], (i + 1) * mine.shape[1])
        parts.append(_transposed(part, W, mine, None if bias is None or late else bias[outputs], steps))
    y = padded(parts[0] if group == 1 else ops.concatenate(parts, -1), cuts)
    return plus(y, B.tensor) if late and B is not None else y


def _spread(weight: Any, dilations: list[int]) -> Any:
    """A dilated kernel written out with zeros: no framework dilates transposed convolutions on CPU."""
    if max(dilations) == 1:
        return weight
    shape = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    wide = np.zeros((*weight.shape[:2], *shape), weight.dtype)
    places: Any = (..., *(slice(None, None, d) for d in dilations))
    wide[places] = weight
    return wide


def _transposed(x: KerasTensor, W: Constant, array: Any, bias: Any, steps: list[int]) -> KerasTensor:
    layer = CONV_TRANSPOSE[len(steps)](
        array.shape[1],
        array.shape[2:],
        strides=steps,
        padding="valid",
        use_bias=bias is not None,
        data_format=LAST,
        dtype=W.dtype,
        name=_name(W),
    )
    # ONNX's (in, out, *spatial) as Keras' (*spatial, out, in)
    return W.scope.apply(layer, x, [kernel_of(array), *([] if bias is None else [bias])])


def _ceiling(sizes: Any, pads: list[tuple[int, int]], kernel: list[int], strides: list[int]) -> list[tuple[int, int]]:
    """What `ceil_mode` adds at the end of each axis; no window starts beyond the input and its padding before."""
    extra = []
    for size, (before, after), k, s in zip(sizes, pads, kernel, strides, strict=True):
        if size is None:
            raise UnsupportedOperator("ceil_mode over an axis of unknown size has no Keras form")
        steps = -(-(size + before + after - k) // s) + 1
        if (steps - 1) * s >= size + before:
            steps -= 1
        extra.append((0, max((steps - 1) * s + k - (size + before + after), 0)))
    return extra


def _plain(dilations: list[int] | None) -> None:
    if dilations and max(dilations) > 1:
        raise UnsupportedOperator("a pool with dilations has no Keras form")


@KERAS.op("MaxPool", since=1, layout="channels")
def max_pool(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> KerasTensor:
    rank = len(kernel_shape)
    steps = strides or [1] * rank
    if dilations and max(dilations) > 1:
        return _dilated_max(X, kernel_shape, auto_pad, ceil_mode, dilations, pads, steps)
    around = amounts(auto_pad, pads, X.shape[1:-1], kernel_shape, steps, [1] * rank)
    extra = _ceiling(X.shape[1:-1], around, kernel_shape, steps) if ceil_mode else [(0, 0)] * rank
    around = [(before, after + more) for (before, after), (_, more) in zip(around, extra, strict=True)]
    x = X if "float" in X.dtype else ops.cast(X, "float64")
    y = ops.max_pool(padded(x, around, float("-inf")), kernel_shape, steps, data_format=LAST)
    return ops.cast(y, X.dtype)


def _dilated_max(
    x: KerasTensor,
    kernel: list[int],
    auto_pad: str,
    ceil_mode: int,
    dilations: list[int],
    pads: list[int] | None,
    steps: list[int],
) -> KerasTensor:
    """The maximum over the shifted inputs, one per place of the kernel."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    around = amounts(auto_pad, pads, x.shape[1:-1], kernel, steps, dilations)
    extra = _ceiling(x.shape[1:-1], around, reach, steps) if ceil_mode else [(0, 0)] * len(kernel)
    around = [(before, after + more) for (before, after), (_, more) in zip(around, extra, strict=True)]
    x = padded(x, around, float("-inf"))
    best = None
    for place in itertools.product(*map(range, kernel)):
        key = []
        for at, d, r, s in zip(place, dilations, reach, steps, strict=True):
            last = at * d - (r - 1)
            key.append(slice(at * d, last or None, s))
        view = x[(slice(None), *key, slice(None))]
        best = view if best is None else ops.maximum(best, view)
    return best


@KERAS.op("AveragePool", since=1, layout="channels")
def average_pool(
    X: KerasTensor,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> KerasTensor:
    """ONNX AveragePool: padding counts if `count_include_pad`, what `ceil_mode` adds beyond it never does."""
    _plain(dilations)
    rank = len(kernel_shape)
    steps = strides or [1] * rank
    around = amounts(auto_pad, pads, X.shape[1:-1], kernel_shape, steps, [1] * rank)
    extra = _ceiling(X.shape[1:-1], around, kernel_shape, steps) if ceil_mode else [(0, 0)] * rank
    grown = padded(padded(X, around), extra)
    mean = ops.average_pool(grown, kernel_shape, steps, data_format=LAST)
    if all(pair == (0, 0) for pair in extra) and (count_include_pad or all(pair == (0, 0) for pair in around)):
        return mean
    corner = ops.ones_like(_channels(X, 0, 1))
    weight = padded(padded(corner, around, float(count_include_pad)), extra)
    return ops.divide(mean, ops.average_pool(weight, kernel_shape, steps, data_format=LAST))


@KERAS.op("GlobalAveragePool", since=1, layout="channels")
def global_average_pool(X: KerasTensor) -> KerasTensor:
    return ops.mean(X, tuple(range(1, len(X.shape) - 1)), keepdims=True)


@KERAS.op("GlobalMaxPool", since=1, layout="channels")
def global_max_pool(X: KerasTensor) -> KerasTensor:
    return ops.max(X, tuple(range(1, len(X.shape) - 1)), keepdims=True)
