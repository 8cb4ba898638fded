"""Keep ONNX Runtime from adding up thousands of numbers one after the other.

Over the 16,384 pixels of a blank picture its GlobalAveragePool errs by 700 roundings, its ReduceMean by 300 and its
InstanceNormalization by 400, where PyTorch errs by 4: each addition of equal numbers errs the same way. One axis after
the other, rows and then their sums, it errs by 4 as well, in the same time. So a reduction over several axes becomes
one for each, and normalisations are spelled out with such means. `patterns.long_sums` is the way back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph import clean
from exporters.graph.opsets import opset_of
from exporters.graph.patterns.registry import Operand, Step, replace
from exporters.graph.values import CONSTANT, constant, integer, ints, is_filled_with, producer

_FEW = 200  # terms that err little in any order: 14 x 14 places
_FEW_IN_A_ROW = 8192  # along the last axis alone, where eight or more are added at a time and others recognise a form
_LEAST_ROW = 16  # a shorter one is not worth a reduction of its own
_AXES_AS_INPUT = {"ReduceMean": 18, "ReduceSum": 13}  # since which opset
_PLACES = 2  # the axis from which on a tensor with channels holds places
_SIZES_OF_CHANNELS = 21  # since when GroupNormalization's scale is one number per channel


def guard(model: ir.Model) -> None:
    """Rewrite every long reduction and normalisation of float32 in place; sizes that are free count as long."""
    nodes = [node for node in model.graph.all_nodes() if node.op_type in _WRITERS and node.domain in ("", "ai.onnx")]
    if any(node.inputs[0] is not None and node.inputs[0].shape is None for node in nodes):
        clean.infer_shapes(model)
    opset = opset_of(model, 0)
    for node in nodes:
        x = node.inputs[0]
        if x is None or x.shape is None or x.dtype != ir.DataType.FLOAT or not isinstance(node.graph, ir.Graph):
            continue
        step = _WRITERS[node.op_type](node, x, list(x.shape), opset)
        if step is not None:
            replace(model, node, step, None)


def _reduction(node: ir.Node, x: ir.Value, sizes: list[Any], opset: int) -> Step | None:
    axes = ints(node, "axes", 1)
    if axes is None or (not axes and integer(node, "noop_with_empty_axes", 0)):
        return None
    axes = sorted(axis % len(sizes) for axis in axes) or list(range(len(sizes)))
    keeps = integer(node, "keepdims", 1)
    if len(axes) > 1:
        return _one_by_one(node.op_type, x, axes, keeps, opset) if _count(sizes, axes) > _FEW else None
    last = len(sizes) - 1
    if axes != [last] or not isinstance(sizes[last], int) or sizes[last] <= _FEW_IN_A_ROW:
        return None
    rows = _rows(sizes[last])
    if rows is None:
        return None
    apart = _reshaped(x, [0] * last + rows)
    return _reduced(node.op_type, _reduced(node.op_type, apart, last + 1, 0, opset), last, keeps, opset)


def _pooling(_node: ir.Node, x: ir.Value, sizes: list[Any], opset: int) -> Step | None:
    places = range(_PLACES, len(sizes))
    if len(places) < 2 or _count(sizes, places) <= _FEW:
        return None
    return _one_by_one("ReduceMean", x, places, 1, opset)


def _instances(node: ir.Node, x: ir.Value, sizes: list[Any], opset: int) -> Step | None:
    if _count(sizes, range(_PLACES, len(sizes))) <= _FEW:
        return None
    parted = _Parted(x, len(sizes)) if len(sizes) > _PLACES + 1 else _parted(x, sizes[_PLACES])
    scale = None if _is_written(node.inputs[1], 1, x) else _along_channels(node.inputs[1], parted.rank)
    bias = None if _is_written(node.inputs[2], 0, x) else _along_channels(node.inputs[2], parted.rank)
    normal = _normalised(parted, _epsilon(node), scale, bias, opset)
    return normal if parted.x is x else _reshaped(normal, [0, 0, -1])


@dataclass(frozen=True)
class _Parted:
    """What is normalised over the axes from `first` on: where `has_long_rows`, the last one is too long to be exact."""

    x: ir.Value | Step
    rank: int
    first: int = _PLACES
    has_long_rows: bool = False

    @property
    def axes(self) -> range:
        return range(self.first, self.rank)


def _parted(x: ir.Value, count: Any) -> _Parted:
    """`x` with its one axis of places as several; as it is where that cannot be.

    PyTorch's groups come as `Reshape(picture, [0, groups, -1])`: what were rows of the picture are rows again.
    """
    there = producer(x, "Reshape")
    picture = there.inputs[0] if there is not None else None
    asked = constant(there.inputs[1]) if there is not None else None
    if there is not None and picture is not None and picture.shape is not None and asked is not None:
        groups = int(asked[1]) if len(asked) == _PLACES + 1 and (asked[0], asked[2]) == (0, -1) else 0
        grouped = _grouped(picture, groups) if groups > 0 and not integer(there, "allowzero", 0) else None
        if grouped is not None:
            return grouped
    rows = _rows(count) if isinstance(count, int) else None
    if rows is None:
        return _Parted(x, _PLACES + 1, has_long_rows=True)
    return _Parted(_reshaped(x, [0, 0, *rows]), _PLACES + 2)


def _grouped(picture: ir.Value, count: int) -> _Parted | None:
    """A tensor with its channels parted into groups and its rows left; sizes of 0 are the tensor's own."""
    assert picture.shape is not None
    rank, channels = len(picture.shape), picture.shape[1] if len(picture.shape) > 1 else None
    if rank > _PLACES + 1:
        return _Parted(_reshaped(picture, [0, count, -1, *[0] * (rank - _PLACES - 1)]), rank)
    if rank <= _PLACES or not isinstance(channels, int) or channels % count:
        return None
    shape = [0, count, -1] if channels == count else [0, count, channels // count, -1]
    return _Parted(_reshaped(picture, shape), len(shape), has_long_rows=True)


def _parts(node: ir.Node, x: ir.Value, sizes: list[Any], opset: int) -> Step | None:
    """GroupNormalization."""
    count, scale, bias = integer(node, "num_groups", 0), node.inputs[1], node.inputs[2]
    channels = sizes[1] if isinstance(sizes[1], int) else None
    if opset < _SIZES_OF_CHANNELS or channels is None or scale is None or bias is None:
        return None
    if _count(sizes, range(_PLACES, len(sizes))) * channels // count <= _FEW:
        return None
    grouped = _grouped(x, count)
    if grouped is None:
        return None
    normal = _normalised(grouped, _epsilon(node), None, None, opset)
    whole = Step("Reshape", (normal, Step("Shape", (x,))))
    per_channel = [-1] + [1] * (len(sizes) - _PLACES)
    return Step("Add", (Step("Mul", (whole, _reshaped(scale, per_channel))), _reshaped(bias, per_channel)))


def _layer(node: ir.Node, x: ir.Value, sizes: list[Any], opset: int) -> Step | None:
    axes = range(integer(node, "axis", -1) % len(sizes), len(sizes))
    told = any(out.uses() or out.is_graph_output() for out in node.outputs[1:])  # mean and deviation
    if len(axes) < 2 or _count(sizes, axes) <= _FEW or told:
        return None
    scale, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    return _normalised(_Parted(x, len(sizes), axes.start), _epsilon(node), scale, bias, opset)


_WRITERS = {
    "GlobalAveragePool": _pooling,
    "GroupNormalization": _parts,
    "InstanceNormalization": _instances,
    "LayerNormalization": _layer,
    "ReduceMean": _reduction,
    "ReduceSum": _reduction,
}


def _normalised(parted: _Parted, epsilon: float, scale: Operand | None, bias: Operand | None, opset: int) -> Step:
    """`(x - mean) / deviation * scale + bias`."""
    centred = Step("Sub", (parted.x, _mean(parted.x, parted, opset)))
    variance = _mean(Step("Mul", (centred, centred)), parted, opset)
    deviation = Step("Sqrt", (Step("Add", (variance, np.array(epsilon, np.float32))),))
    factor = Step("Reciprocal", (deviation,))
    if scale is not None:
        factor = Step("Mul", (factor, scale))
    scaled = Step("Mul", (centred, factor))
    return scaled if bias is None else Step("Add", (scaled, bias))


def _mean(x: Operand, parted: _Parted, opset: int) -> Step:
    """Where rows are too long, the mean and the mean of what it leaves, whose errors are as small as it is."""
    mean = _one_by_one("ReduceMean", x, parted.axes, 1, opset)
    if not parted.has_long_rows:
        return mean
    return Step("Add", (mean, _one_by_one("ReduceMean", Step("Sub", (x, mean)), parted.axes, 1, opset)))


def _is_written(value: ir.Value | None, number: float, x: ir.Value) -> bool:
    """Whether an exporter wrote `number` for each channel of `x`, so that no weight is lost with it.

    A new layer's scale is 1 as well; groups, into which channels were reshaped, have none of their own.
    """
    if value is None or not is_filled_with(value, number):
        return False
    return not value.is_initializer() or CONSTANT in value.meta or producer(x, "Reshape") is not None


def _along_channels(value: ir.Value | None, rank: int) -> Step:
    """One number per channel, as a tensor of this rank has them."""
    assert value is not None
    return _reshaped(value, [-1] + [1] * (rank - _PLACES))


def _one_by_one(operator: str, x: Operand, axes: range | list[int], keeps: int, opset: int) -> Step:
    """The last axis first: those before it keep their numbers, whether or not it stays."""
    assert axes
    for axis in reversed(axes):
        x = _reduced(operator, x, axis, keeps, opset)
    assert isinstance(x, Step)
    return x


def _reduced(operator: str, x: Operand, axis: int, keeps: int, opset: int) -> Step:
    if opset >= _AXES_AS_INPUT[operator]:
        return Step(operator, (x, np.array([axis], np.int64)), {"keepdims": keeps})
    return Step(operator, (x,), {"axes": [axis], "keepdims": keeps})


def _reshaped(x: Operand, shape: list[int]) -> Step:
    return Step("Reshape", (x, np.array(shape, np.int64)))


def _rows(count: int) -> list[int] | None:
    """`count` as a product of two numbers that are as near to each other as can be; None where one would be small."""
    row = next(row for row in range(math.isqrt(count), 0, -1) if count % row == 0)
    return [row, count // row] if row >= _LEAST_ROW else None


def _count(sizes: list[Any], axes: range | list[int]) -> float:
    return math.prod(sizes[axis] if isinstance(sizes[axis], int) else math.inf for axis in axes)


def _epsilon(node: ir.Node) -> float:
    return node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
