"""The plain PyTorch call that stands for an operator once its types, ranks and attributes are known.

An operator's own function is right for every dtype, rank and attribute, and decides at run time; what the graph tells
beforehand need not be decided again at every call. `module.code` then reads like PyTorch written by hand, and a small
model loses no time between its kernels. A rule returns None where it does not know enough: the function stays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as nnf
from torch import fx

from exporters.graph.operator_table import FUSED

OLDEST = 7  # the first opset whose operators these rules know
_POOLED = (1, 2, 3)  # numbers of spatial axes that torch has kernels for
_CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
_MAXIMA = {1: torch.max_pool1d, 2: torch.max_pool2d, 3: torch.max_pool3d}
_AVERAGES = {1: nnf.avg_pool1d, 2: nnf.avg_pool2d, 3: nnf.avg_pool3d}


@dataclass(frozen=True)
class Call:
    """An operator's call as the builder would make it: `arguments` as fx nodes and Python values."""

    node: ir.Node
    graph: fx.Graph
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def argument(self, index: int) -> Any:
        return self.arguments[index] if index < len(self.arguments) else None

    def keyword(self, name: str, default: Any) -> Any:
        return self.keywords.get(name, default)

    def shape(self, index: int) -> list[Any] | None:
        """The declared or inferred shape of an input; sizes that may vary are no ints."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            return None
        shape = value.shape if value.const_value is None else value.const_value.shape
        return None if shape is None else list(shape)

    def rank(self, index: int = 0) -> int | None:
        shape = self.shape(index)
        return None if shape is None else len(shape)

    def number(self, index: int) -> float | None:
        """The value of an input that is one constant number."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None or value.const_value is None or value.is_graph_input() or value.const_value.size != 1:
            return None
        return float(value.const_value.numpy().reshape(-1)[0])

    def whole(self, index: int) -> int | None:
        """The value of an input that is one constant whole number."""
        number = self.number(index)
        return int(number) if number is not None and number.is_integer() else None

    def floats(self) -> bool:
        """Whether all inputs are of one floating-point type that torch computes in."""
        kinds = {value.dtype for value in self.node.inputs if value is not None}
        return len(kinds) == 1 and next(iter(kinds)) in _FLOATS

    def make(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> fx.Node:
        return self.graph.call_function(function, arguments, keywords)


_FLOATS = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
Rule = Callable[[Call], fx.Node | None]


def call(node: ir.Node, graph: fx.Graph, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> fx.Node | None:
    """The plain call for `node`, added to `graph`; None where the operator's own function must decide."""
    rule = RULES.get(node.op_type) if node.domain in {"", FUSED} else None
    return rule(Call(node, graph, arguments, keywords)) if rule is not None else None


def _spatial(given: Call) -> int | None:
    """How many spatial axes a convolution or a pool has, where torch has a kernel for as many."""
    rank = given.rank(1) if given.node.op_type == "Conv" else given.rank(0)
    return rank - 2 if rank is not None and rank - 2 in _POOLED and given.floats() else None


def _halves(given: Call, rank: int) -> tuple[list[int], list[int]] | None:
    """Padding before and after each axis, where it does not depend on the input's size."""
    auto = given.keyword("auto_pad", "NOTSET")
    if auto not in {"NOTSET", "VALID"}:
        return None
    pads = list(given.keyword("pads", None) or [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
    return pads[:rank], pads[rank:]


def _padded(given: Call, before: list[int], after: list[int], value: float) -> tuple[Any, list[int]]:
    """The input and the symmetric padding left to the kernel; what is not symmetric is padded here."""
    if before == after and min(before) >= 0:
        return given.argument(0), before
    amounts = [amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair]
    return given.make(torch.constant_pad_nd, given.argument(0), amounts, value), [0] * len(before)


def _conv(given: Call) -> fx.Node | None:
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


def _max_pool(given: Call) -> fx.Node | None:
    geometry = _pool_geometry(given)
    if geometry is None:
        return None
    rank, kernel, strides, padding, up = geometry
    dilations = list(given.keyword("dilations", None) or [1] * rank)
    return given.make(_MAXIMA[rank], given.argument(0), kernel, strides, padding, dilations, up)


def _average_pool(given: Call) -> fx.Node | None:
    geometry = _pool_geometry(given)
    if geometry is None or max(given.keyword("dilations", None) or [1]) != 1:
        return None
    rank, kernel, strides, padding, up = geometry
    counted = bool(given.keyword("count_include_pad", 0))
    return given.make(_AVERAGES[rank], given.argument(0), kernel, strides, padding, up, counted)


def _global_average(given: Call) -> fx.Node | None:
    rank = _spatial(given)
    return given.make(torch.mean, given.argument(0), [-1 - axis for axis in range(rank)], True) if rank else None


def _batch_norm(given: Call) -> fx.Node | None:
    if not given.floats() or given.keyword("training_mode", 0) or given.keyword("spatial", 1) != 1:
        return None
    x, scale, shift, mean, variance = given.arguments
    mode, epsilon = given.keyword("training", False), given.keyword("epsilon", 1e-5)
    forget = round(1.0 - given.keyword("momentum", 0.9), 7)  # float32 tells no more digits apart
    return given.make(nnf.batch_norm, x, mean, variance, scale, shift, mode, forget, epsilon)


def _gemm(given: Call) -> fx.Node | None:
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


def _layer_norm(given: Call) -> fx.Node | None:
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


def _binary(function: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> fx.Node | None:
        # below opset 7 an attribute says along which axis the second operand lies
        return given.make(function, *given.arguments) if given.floats() and not given.keywords else None

    return rule


def _power(given: Call) -> fx.Node | None:
    exponent = given.number(1)
    if exponent is None or not given.floats() or given.rank(1):
        return None
    return given.make(torch.pow, given.argument(0), exponent)


def _clip(given: Call) -> fx.Node | None:
    bounds = [given.number(index) for index in (1, 2)]
    present = [given.argument(index) is not None for index in (1, 2)]
    if not given.floats() or not any(present) or any(p and b is None for p, b in zip(present, bounds, strict=True)):
        return None
    return given.make(torch.clamp, given.argument(0), *bounds)


def _unary(function: Callable[..., Any]) -> Rule:
    def rule(given: Call) -> fx.Node | None:
        return given.make(function, given.argument(0)) if given.floats() else None

    return rule


def _gelu(given: Call) -> fx.Node | None:
    if not given.floats():
        return None
    form = given.keyword("approximate", "none")
    return given.make(nnf.gelu, given.argument(0), **({} if form == "none" else {"approximate": form}))


def _swish(given: Call) -> fx.Node | None:
    return given.make(nnf.silu, given.argument(0)) if given.floats() and not given.keywords else None


def _linear(given: Call) -> fx.Node | None:
    return given.make(nnf.linear, *given.arguments) if given.keyword("transB", 0) == 1 else None


def _attention(given: Call) -> fx.Node | None:
    groups, scale = given.keyword("groups", 1), given.keyword("scale", 1.0)
    if len(given.arguments) != 3 or given.rank() != 4:
        return None
    causal = {"is_causal": True} if given.keyword("causal", 0) == 1 else {}
    if groups == 1:
        return given.make(nnf.scaled_dot_product_attention, *given.arguments, scale=scale, **causal)
    heads, shared = ((given.shape(index) or [None] * 4)[1] for index in (0, 1))
    if not isinstance(heads, int) or not isinstance(shared, int) or heads != groups * shared:
        return None
    return given.make(nnf.scaled_dot_product_attention, *given.arguments, scale=scale, enable_gqa=True, **causal)


def _gather(given: Call) -> fx.Node | None:
    """One whole slice, such as the queries of a tensor of queries, keys and values: a view where Gather copies."""
    index, shape, axis = given.whole(1), given.shape(0), given.keyword("axis", 0)
    size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
    if index is None or given.shape(1) != [] or not isinstance(size, int) or not -size <= index < size:
        return None
    return given.make(torch.select, given.argument(0), axis, index)


def _transpose(given: Call) -> fx.Node | None:
    perm = given.keyword("perm", None)
    return None if perm is None else given.make(torch.permute, given.argument(0), list(perm))


RULES: dict[str, Rule] = {
    "Add": _binary(operator.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": _conv,
    "Div": _binary(operator.truediv),
    "Gemm": _gemm,
    "Gather": _gather,
    "Gelu": _gelu,
    "GlobalAveragePool": _global_average,
    "HardSwish": _unary(nnf.hardswish),
    "LayerNormalization": _layer_norm,
    "Linear": _linear,
    "MatMul": _binary(torch.matmul),
    "MaxPool": _max_pool,
    "Mish": _unary(nnf.mish),
    "Mul": _binary(operator.mul),
    "Pow": _power,
    "Relu": _unary(torch.relu),
    "ScaledDotProductAttention": _attention,
    "Sigmoid": _unary(torch.sigmoid),
    "Sub": _binary(operator.sub),
    "Swish": _swish,
    "Tanh": _unary(torch.tanh),
    "Transpose": _transpose,
}
