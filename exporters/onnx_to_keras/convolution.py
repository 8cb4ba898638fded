"""Convolutions over one, two or three spatial axes, channels last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from exporters.onnx_to_keras import padding
from exporters.onnx_to_keras.arithmetic import plus
from exporters.onnx_to_keras.operand import Constant, Length, Operand, Scope, Size, Unknown, size_of, tensor
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


Amounts = list[tuple[Length, Length]]


def amounts(
    auto_pad: str, pads: list[int] | None, sizes: Any, kernel: list[int], strides: list[int], dilations: list[int]
) -> Amounts:
    """How much to pad before and after each spatial axis; SAME depends on the size where it strides."""
    rank = len(kernel)
    if auto_pad in ("NOTSET", "VALID"):
        given = pads if pads and auto_pad == "NOTSET" else [0] * (2 * rank)
        return list(zip(given[:rank], given[rank:], strict=True))
    found: Amounts = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (k - 1) * d + 1
        total: Length
        if s == 1:
            total = reach - 1
        elif isinstance(size, int):
            total = max((-(-size // s) - 1) * s + reach - size, 0)
        else:
            total = Unknown(partial(_same, size, s, reach))
        small, large = halves(total)
        found.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    return found


def _same(size: Size, step: int, reach: int) -> KerasTensor:
    """The padding with which there are as many windows as steps begun."""
    count = size.as_tensor()
    windows = ops.floor_divide(ops.add(count, step - 1), step)
    return ops.maximum(ops.subtract(ops.add(ops.multiply(ops.subtract(windows, 1), step), reach), count), 0)


def halves(total: Length) -> tuple[Length, Length]:
    """The smaller and the larger half."""
    if isinstance(total, int):
        return total // 2, total - total // 2
    whole = total.as_tensor
    return Unknown(lambda: ops.floor_divide(whole(), 2)), Unknown(lambda: ops.floor_divide(ops.add(whole(), 1), 2))


def is_same(sizes: list[Length], around: Amounts, kernel: list[int], strides: list[int], dilations: list[int]) -> bool:
    """Whether padding by `around`, which is not nothing, is what TensorFlow calls SAME: so a layer pads by itself."""
    return any(pair != (0, 0) for pair in around) and around == amounts(
        "SAME_UPPER", None, sizes, kernel, strides, dilations
    )


def spatial_sizes(x: KerasTensor) -> list[Length]:
    """The sizes of the spatial axes of `x` (batch, *spatial, channels)."""
    return [size_of(x, axis) for axis in range(1, len(x.shape) - 1)]


def padded(x: KerasTensor, spatial: Sequence[tuple[Length, Length]], value: float = 0.0) -> KerasTensor:
    """`x` (batch, *spatial, channels) padded, or cut where an amount is negative."""
    known = [pair if all(isinstance(amount, int) for amount in pair) else (0, 0) for pair in spatial]
    for axis, (before, after) in enumerate(spatial, 1):
        if not (isinstance(before, int) and isinstance(after, int)):
            scope = Scope(x, None)
            x = padding.reindexed(x, axis, before, after, Constant(np.array(value), "value", scope), "constant", scope)
    return _padded(x, known, value)  # type: ignore[arg-type]  # integers, as just asked


def _padded(x: KerasTensor, spatial: list[tuple[int, int]], value: float) -> KerasTensor:
    if any(before < 0 or after < 0 for before, after in spatial):
        key = [slice(max(-before, 0), -max(-after, 0) or None) for before, after in spatial]
        x = x[(slice(None), *key, slice(None))]
        spatial = [(max(before, 0), max(after, 0)) for before, after in spatial]
    if all(pair == (0, 0) for pair in spatial):
        return x
    return ops.pad(x, [(0, 0), *spatial, (0, 0)], constant_values=value)


def with_channels(x: KerasTensor, count: int | None) -> KerasTensor:
    """`x` with a count of channels that Keras knows: a layer asks for it, and its weight has it."""
    return x if x.shape[-1] is not None or count is None else ops.take(x, list(range(count)), -1)


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
    X = with_channels(X, W.shape[1] and W.shape[1] * group)
    sizes = spatial_sizes(X)
    around = amounts(auto_pad, pads, sizes, size, steps, spread)
    held = isinstance(W, Constant) and isinstance(B, Constant | None)
    both = max(steps) > 1 and max(spread) > 1  # TensorFlow knows no convolution that is both strided and dilated
    if held and not both and (auto_pad == "SAME_UPPER" or is_same(sizes, around, size, steps, spread)):
        return _grouped(X, W, B, steps, spread, group, "same")
    x = padded(X, around)
    if not isinstance(W, Constant) or not held:
        return _by_operation(x, W, B, steps, spread, group)
    if both:
        dense = _grouped(x, W, B, [1] * rank, spread, group)
        return dense[(slice(None), *(slice(None, None, step) for step in steps), slice(None))]
    return _grouped(x, W, B, steps, spread, group)


def _grouped(
    x: KerasTensor,
    W: Constant,
    B: Constant | None,
    steps: list[int],
    spread: list[int],
    group: int,
    around: str = "valid",
) -> KerasTensor:
    rank, count = len(steps), x.shape[-1]
    bias = None if B is None else B.array
    if group == 1:
        return _layer(x, (W, B), W.array, bias, steps, spread, around)
    if group == count and rank in DEPTHWISE and len(set(steps)) == 1:
        return _depthwise(x, W, B, steps, spread, around)
    # Keras compiles its own grouped convolutions with XLA, which is slow on CPU: one layer per group instead
    parts = []
    inputs, outputs = count // group, W.shape[0] // group
    for i in range(group):
        mine = slice(i * outputs, (i + 1) * outputs)
        part = channels(x, i * inputs, (i + 1) * inputs)
        parts.append(
            _layer(part, (W, B), W.array[mine], None if bias is None else bias[mine], steps, spread, around, i)
        )
    return ops.concatenate(parts, -1)


def channels(x: KerasTensor, start: int, end: int) -> KerasTensor:
    """A range of channels; written out, since an Ellipsis does not come back from a saved model."""
    return x[(*([slice(None)] * (len(x.shape) - 1)), slice(start, end))]


def _name(weight: Constant) -> str:
    return weight.scope.name(re.sub(r"[./](weight|kernel)$", "", weight.name))


def _layer(
    x: KerasTensor,
    sources: tuple[Constant, Constant | None],
    array: Any,
    bias: Any,
    steps: list[int],
    spread: list[int],
    around: str,
    part: int = 0,
) -> KerasTensor:
    W, _ = sources
    layer = CONV[len(steps)](
        array.shape[0],
        array.shape[2:],
        strides=steps,
        padding=around,
        dilation_rate=spread,
        use_bias=bias is not None,
        data_format=LAST,
        dtype=W.dtype,
        name=_name(W),
    )
    return W.scope.apply(layer, x, [kernel_of(array), *([] if bias is None else [bias])], sources, part)


def _depthwise(
    x: KerasTensor, W: Constant, B: Constant | None, steps: list[int], spread: list[int], around: str
) -> KerasTensor:
    count = x.shape[-1]
    multiplier = W.shape[0] // count
    layer = DEPTHWISE[len(steps)](
        W.shape[2:],
        strides=steps[0] if len(steps) == 1 else steps,
        padding=around,
        dilation_rate=spread[0] if len(steps) == 1 else spread,
        depth_multiplier=multiplier,
        use_bias=B is not None,
        data_format=LAST,
        dtype=W.dtype,
        name=_name(W),
    )
    # (channels * multiplier, 1, *spatial) -> (*spatial, channels, multiplier)
    array = W.array.reshape(count, multiplier, *W.shape[2:])
    kernel = np.ascontiguousarray(np.moveaxis(array, (0, 1), (-2, -1)))
    return W.scope.apply(layer, x, [kernel, *([] if B is None else [B.array])], (W, B))


def _by_operation(
    x: KerasTensor, W: Operand, B: Operand | None, steps: list[int], spread: list[int], group: int
) -> KerasTensor:
    """Weights that are computed when the model runs; TensorFlow knows no convolution both strided and dilated."""
    both = max(steps) > 1 and max(spread) > 1
    y = product(x, tensor(W), [1] * len(steps) if both else steps, spread, group)
    if both:
        y = y[(slice(None), *(slice(None, None, step) for step in steps), slice(None))]
    return y if B is None else plus(y, tensor(B))


def product(x: KerasTensor, weight: KerasTensor, steps: list[int], spread: list[int], group: int) -> KerasTensor:
    """The convolution of `x`, channels last, by a tensor (out, in, *spatial): one per group."""
    kernel = ops.transpose(weight, (*range(2, len(steps) + 2), 1, 0))
    inputs, outputs = x.shape[-1] // group, weight.shape[0] // group
    parts = [
        ops.conv(
            x if group == 1 else channels(x, i * inputs, (i + 1) * inputs),
            kernel if group == 1 else channels(kernel, i * outputs, (i + 1) * outputs),
            strides=steps,
            dilation_rate=spread,
            data_format=LAST,
        )
        for i in range(group)
    ]
    return parts[0] if group == 1 else ops.concatenate(parts, -1)


@KERAS.op("ConvTranspose", since=1, layout="channels")
def conv_transpose(
    X: KerasTensor,
    W: Operand,
    B: Operand | None = None,
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
    rank = len(X.shape) - 2
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    more = output_padding or [0] * rank
    held = isinstance(W, Constant) and isinstance(B, Constant | None)
    array = _spread(W.array, spread) if isinstance(W, Constant) else _spread_tensor(tensor(W), spread)
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
    bias = B.array if held and isinstance(B, Constant) else None
    late = B is not None and (bias is None or any(after > 0 or before > 0 for before, after in cuts))
    inputs = X.shape[-1] // group
    parts = []
    for i in range(group):
        part = X if group == 1 else channels(X, i * inputs, (i + 1) * inputs)
        mine = (
            array[i * inputs : (i + 1) * inputs]
            if isinstance(W, Constant)
            else array[(slice(i * inputs, (i + 1) * inputs),)]
        )
        outputs = slice(i * mine.shape[1], (i + 1) * mine.shape[1])
        if held and isinstance(W, Constant):
            inside = None if bias is None or late else bias[outputs]
            parts.append(_transposed(part, (W, B if isinstance(B, Constant) else None), mine, inside, steps, i))
        else:
            kernel = tensor(W.with_array(mine)) if isinstance(W, Constant) else mine
            parts.append(_transposed_by_operation(part, kernel, steps))
    y = padded(parts[0] if group == 1 else ops.concatenate(parts, -1), cuts)
    return plus(y, tensor(B)) if late else y


def _spread_tensor(weight: KerasTensor, dilations: list[int]) -> KerasTensor:
    """The same for a kernel that is computed when the model runs."""
    for axis, dilation in enumerate(dilations, 2):
        weight = _stretched(weight, axis, dilation)
    return weight


def _stretched(x: KerasTensor, axis: int, step: int) -> KerasTensor:
    """`x` with zeros between its elements along an axis, which then lie `step` apart."""
    if step == 1:
        return x
    rank = len(x.shape)
    x = ops.expand_dims(x, axis + 1)
    x = ops.pad(x, [(0, step - 1) if i == axis + 1 else (0, 0) for i in range(rank + 1)])
    shape = [*x.shape[:axis], None if x.shape[axis] is None else x.shape[axis] * step, *x.shape[axis + 2 :]]
    if shape.count(None) > 1:
        raise UnsupportedOperator("a strided ConvTranspose of unknown sizes by computed weights has no Keras form")
    x = ops.reshape(x, [-1 if size is None else size for size in shape])
    return x[tuple(slice(0, 1 - step) if i == axis else slice(None) for i in range(rank))]


def _transposed_by_operation(x: KerasTensor, weight: KerasTensor, steps: list[int]) -> KerasTensor:
    """The whole transposed convolution by a tensor (in, out, *spatial): a convolution by the kernel turned around.

    Keras' own operation mixes up its arguments once it is part of a model. What a layer would fill up behind a kernel
    shorter than its stride is filled up here, too.
    """
    rank = len(steps)
    for axis, step in enumerate(steps, 1):
        x = _stretched(x, axis, step)
    sizes = weight.shape[2:]
    x = padded(x, [(k - 1, k - 1 + max(s - k, 0)) for k, s in zip(sizes, steps, strict=True)])
    kernel = ops.flip(ops.transpose(weight, (*range(2, rank + 2), 0, 1)), tuple(range(rank)))
    return ops.conv(x, kernel, data_format=LAST)


def _spread(weight: Any, dilations: list[int]) -> Any:
    """A dilated kernel written out with zeros: no framework dilates transposed convolutions on CPU."""
    if max(dilations) == 1:
        return weight
    shape = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    wide = np.zeros((*weight.shape[:2], *shape), weight.dtype)
    places: Any = (..., *(slice(None, None, d) for d in dilations))
    wide[places] = weight
    return wide


def _transposed(
    x: KerasTensor,
    sources: tuple[Constant, Constant | None],
    array: Any,
    bias: Any,
    steps: list[int],
    part: int,
) -> KerasTensor:
    W, _ = sources
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
    return W.scope.apply(layer, x, [kernel_of(array), *([] if bias is None else [bias])], sources, part)
