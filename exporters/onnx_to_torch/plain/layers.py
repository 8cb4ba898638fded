"""Layers and activations on floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as nnf

from exporters.onnx_to_torch.fused import as_added, grouped_attention, nan_where_empty
from exporters.onnx_to_torch.normalization import rms_normalized
from exporters.onnx_to_torch.plain.call import FLOATS, Call, Rule

_ROUNDING = 2.0**-22  # of one sixth, as an attribute holds it
_HEADS, _MATRIX = 4, 2  # dimensions of what attention takes, and of the least of masks
_POOLED = (1, 2, 3)  # numbers of spatial axes that torch has kernels for
_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
_MAXIMA = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_AVERAGES = {1: nnf.avg_pool1d, 2: nnf.avg_pool2d, 3: nnf.avg_pool3d}


def _spatial(given: Call) -> int | None:
    """How many spatial axes a convolution or a pool has, where torch has a kernel for as many."""
    rank = given.rank(1) if given.node.op_type == "Conv" else given.rank(0)
    return rank - 2 if rank is not None and rank - 2 in _POOLED and given.floats() else None


def _halves(given: Call, rank: int) -> tuple[list[int], list[int]] | None:
    """Padding before and after each axis, where it does not depend on sizes that may vary."""
    auto = given.keyword("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        return _same(given, rank, upper=auto == "SAME_UPPER")
    if auto not in {"NOTSET", "VALID"}:
        return None
    pads = list(given.keyword("pads", None) or [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
    return pads[:rank], pads[rank:]


def _same(given: Call, rank: int, *, upper: bool) -> tuple[list[int], list[int]] | None:
    """SAME padding: with a stride of one the kernel's reach alone decides it, and a single pixel needs none."""
    shape = given.shape(1) if given.node.op_type == "Conv" else given.keyword("kernel_shape", None)
    sizes = given.shape(0)
    kernel = list(shape or [])[-rank:]
    if sizes is None or len(kernel) != rank or given.keyword("ceil_mode", 0):
        return None
    strides, dilations = (list(given.keyword(name, None) or [1] * rank) for name in ("strides", "dilations"))
    totals: list[int] = []
    for size, length, stride, dilation in zip(sizes[2:], kernel, strides, dilations, strict=True):
        if not isinstance(length, int):
            return None
        reach = (length - 1) * dilation
        if stride == 1 or reach == 0:
            totals.append(reach)
        elif isinstance(size, int):
            totals.append(max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0))
        else:
            return None
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (less, more) if upper else (more, less)


def _padded(given: Call, before: list[int], after: list[int], value: float) -> tuple[Any, list[int]]:
    """The input and the symmetric padding left to the kernel; what is not symmetric is padded here."""
    if before == after and min(before) >= 0:
        return given.argument(0), before
    amounts = [amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair]
    return given.make(torch.constant_pad_nd, given.argument(0), amounts, value), [0] * len(before)


def _conv(given: Call) -> Any:
    rank = _spatial(given)
    halves = _halves(given, rank) if rank else None
    if rank is None or halves is None:
        return None
    x, padding = _padded(given, *halves, 0.0)
    ones = [1] * rank
    strides, dilations = given.keyword("strides", None) or ones, given.keyword("dilations", None) or ones
    group = given.keyword("group", 1)
    return given.make(
        _CONVOLUTIONS[rank], x, given.argument(1), given.argument(2), strides, padding, dilations, group
    )  # fmt: skip


def _pool_geometry(given: Call) -> tuple[int, list[int], list[int], list[int], bool] | None:
    """Rank, kernel, strides, symmetric padding that torch's pools accept, and whether sizes are rounded up."""
    rank = _spatial(given)
    halves = _halves(given, rank) if rank else None
    if rank is None or halves is None:
        return None
    kernel = list(given.keyword("kernel_shape", []))
    before, after = halves
    if before != after or min(before) < 0 or any(2 * pad > size for pad, size in zip(before, kernel, strict=True)):
        return None
    strides = list(given.keyword("strides", None) or [1] * rank)
    return rank, kernel, strides, before, bool(given.keyword("ceil_mode", 0))


def _max_pool(given: Call) -> Any:
    geometry = _pool_geometry(given)
    if geometry is None:
        return None
    rank, kernel, strides, padding, up = geometry
    dilations = list(given.keyword("dilations", None) or [1] * rank)
    return given.make(_MAXIMA[rank], given.argument(0), kernel, strides, padding, dilations, up)


def _average_pool(given: Call) -> Any:
    geometry = _pool_geometry(given)
    if geometry is None or max(given.keyword("dilations", None) or [1]) != 1:
        return None
    rank, kernel, strides, padding, up = geometry
    counted = bool(given.keyword("count_include_pad", 0))
    return given.make(_AVERAGES[rank], given.argument(0), kernel, strides, padding, up, counted)


def _global_average(given: Call) -> Any:
    rank = _spatial(given)
    return given.make(torch.mean, given.argument(0), [-1 - axis for axis in range(rank)], True) if rank else None


def _batch_norm(given: Call) -> Any:
    if not given.floats() or given.keyword("training_mode", 0) or given.keyword("spatial", 1) != 1:
        return None
    x, scale, shift, mean, variance = given.arguments
    mode, epsilon = given.keyword("training", False), given.keyword("epsilon", 1e-5)
    forget = round(1.0 - given.keyword("momentum", 0.9), 7)  # float32 tells no more digits apart
    return given.make(nnf.batch_norm, x, mean, variance, scale, shift, mode, forget, epsilon)


def _gemm(given: Call) -> Any:
    weight, bias = given.shape(1), given.shape(2)
    if not given.floats() or weight is None or given.keyword("transA", 0) == 1:
        return None
    if any(given.keyword(name, 1.0) != 1.0 for name in ("alpha", "beta")):
        return None
    transposed = given.keyword("transB", 0) == 1
    columns = weight[0 if transposed else 1]
    if bias is not None and (not isinstance(columns, int) or list(bias) != [columns]):
        return None
    x, matrix, offset = given.argument(0), given.argument(1), given.argument(2)
    if transposed or offset is not None:
        # Never torch.addmm: TorchScript takes it apart, and in doing so loses the lengths of lists elsewhere.
        return given.make(nnf.linear, x, matrix if transposed else given.make(torch.t, matrix), offset)
    return given.make(torch.mm, x, matrix)


def _layer_norm(given: Call) -> Any:
    shape, bias, rank = given.shape(1), given.shape(2), given.rank(0)
    if not given.floats() or shape is None or rank is None or len(given.node.outputs) != 1:
        return None
    axis = given.keyword("axis", -1)
    sizes = list(shape)
    same = rank - len(sizes) == (axis + rank if axis < 0 else axis)
    # the scale may be of size 1 and broadcast, which torch's own does not
    declared = given.shape(0)
    known = declared is not None and list(declared)[-len(sizes) :] == sizes if sizes else False
    if not (same and known and all(isinstance(size, int) for size in sizes)):
        return None
    if bias is not None and list(bias) != sizes:
        return None
    epsilon = given.keyword("epsilon", 1e-5)
    return given.make(nnf.layer_norm, given.argument(0), sizes, given.argument(1), given.argument(2), epsilon)


def _matmul(given: Call) -> Any:
    return given.make(torch.matmul, *given.arguments) if given.floats() else None


def _activation(function: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> Any:
        return given.make(function, given.argument(0)) if given.floats() else None

    return rule


def _gelu(given: Call) -> Any:
    if not given.floats():
        return None
    form = given.keyword("approximate", "none")
    return given.make(nnf.gelu, given.argument(0), **({} if form == "none" else {"approximate": form}))


def _swish(given: Call) -> Any:
    return given.make(nnf.silu, given.argument(0)) if given.floats() and not given.keywords else None


def _hard_sigmoid(given: Call) -> Any:
    slope, middle = given.keyword("alpha", 0.2), given.keyword("beta", 0.5)
    usual = abs(slope - 1 / 6) <= _ROUNDING / 6 and middle == 0.5
    return given.make(nnf.hardsigmoid, given.argument(0)) if usual and given.floats() else None


def _linear(given: Call) -> Any:
    x, weight, bias = given.arguments
    return given.make(nnf.linear, x, weight if given.keyword("transB", 0) == 1 else given.make(torch.t, weight), bias)


def _rms_norm(given: Call) -> Any:
    rank, axis = given.rank(), given.keyword("axis", -1)
    if rank is None or not given.floats() or not -rank <= axis < rank:
        return None
    axes = list(range(axis % rank - rank, 0))
    return given.make(rms_normalized, given.argument(0), given.argument(1), axes, given.keyword("epsilon", 1e-5))


def _attention(given: Call) -> Any:
    """PyTorch's attention, on four axes; a mask is one that adds, and heads that are shared are counted."""
    groups, scale = given.keyword("groups", 1), given.keyword("scale", 1.0)
    query, key, value, *masks = given.arguments
    mask = masks[0] if masks else None
    if any(given.rank(index) != _HEADS for index in range(3)):
        return None
    if mask is not None:
        mask = _added_mask(given, mask)
        if mask is None:
            return None
    causal = {"is_causal": True} if given.keyword("causal", 0) == 1 else {}
    if groups == 1:
        masked = () if mask is None else (mask,)
        return given.make(nnf.scaled_dot_product_attention, query, key, value, *masked, scale=scale, **causal)
    heads, shared = ((given.shape(index) or [None] * _HEADS)[1] for index in (0, 1))
    if not isinstance(heads, int) or not isinstance(shared, int) or heads != groups * shared:
        return None
    return given.make(grouped_attention, query, key, value, mask, scale, groups, bool(causal))


def _added_mask(given: Call, mask: Any) -> Any:
    """The mask as what is added to the scores, with what a query gets that may look at nothing; None if unclear."""
    value, shape = given.node.inputs[3], given.shape(3)
    if value is None or shape is None or len(shape) < _MATRIX or given.keyword("mask_fits", 0) != 1:
        return None
    empty = given.keyword("empty_rows", "nan")
    if value.dtype in FLOATS:
        return given.make(nan_where_empty, mask) if empty == "nan" else None
    if value.dtype != ir.DataType.BOOL or empty not in {"nan", "zero", "mean"}:
        return None
    if empty == "zero":
        return mask
    kinds = {ir.DataType.FLOAT, ir.DataType.DOUBLE}
    if empty == "mean" and (given.node.inputs[0] is None or given.node.inputs[0].dtype not in kinds):
        return None
    return given.make(as_added, mask, given.argument(0), empty == "mean")


RULES: dict[str, Rule] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Gemm": _gemm,
    "Gelu": _gelu,
    "GlobalAveragePool": _global_average,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation(nnf.hardswish),
    "LayerNormalization": _layer_norm,
    "Linear": _linear,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mish": _activation(nnf.mish),
    "RMSNormalization": _rms_norm,
    "ScaledDotProductAttention": _attention,
    "Swish": _swish,
}
