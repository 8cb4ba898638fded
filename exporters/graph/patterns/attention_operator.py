"""ONNX's own Attention, as far as it is nothing but PyTorch's: read for the pattern of that name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from exporters.graph.operator_table import used_outputs
from exporters.graph.patterns.registry import Step
from exporters.graph.values import integer, rank, same_size

if TYPE_CHECKING:
    from exporters.graph.patterns.registry import Operand

_KNOWN = frozenset({"scale", "is_causal", "q_num_heads", "kv_num_heads", "qk_matmul_output_mode", "softmax_precision"})
_QUERY, _KEY, _VALUE, _MASK = range(4)
_SPLIT = 3  # dimensions of tensors that hold all heads side by side


@dataclass(frozen=True)
class Heads:
    """A tensor of (batch, heads, length, size), and the last three of these sizes, where they are known."""

    tensor: Operand
    count: int | ir.SymbolicDim
    length: int | ir.SymbolicDim
    size: int | ir.SymbolicDim


def fused(node: ir.Node) -> Step | None:
    """The step for an Attention without a cache, softcap or windows, of float32 or float64, and of its result alone."""
    inputs = [*node.inputs, *[None] * (_MASK + 1 - len(node.inputs))]
    if not node.attributes.keys() <= _KNOWN or any(inputs[_MASK + 1 :]) or used_outputs(node) != 1:
        return None
    q, k, v = (
        _heads(inputs[index], integer(node, name, 0))
        for index, name in ((_QUERY, "q_num_heads"), (_KEY, "kv_num_heads"), (_VALUE, "kv_num_heads"))
    )
    mask, causal = inputs[_MASK], integer(node, "is_causal", 0)
    if q is None or k is None or v is None or (causal and mask is not None) or not _precise(node):
        return None
    if mask is not None and not _fits(mask, q, k):
        return None
    if not isinstance(q.count, int) or not isinstance(k.count, int) or q.count % k.count or v.count != k.count:
        return None
    scale = node.attributes["scale"].as_float() if "scale" in node.attributes else 0.0
    if not scale and isinstance(q.size, int):
        scale = 1.0 / math.sqrt(q.size)
    if not scale > 0:
        return None
    attributes = {"scale": scale, "empty_rows": "zero", "mask_fits": 1, "groups": q.count // k.count, "causal": causal}
    operands = (q.tensor, k.tensor, v.tensor, *([] if mask is None else [mask]))
    result = Step("ScaledDotProductAttention", operands, attributes, fused=True)
    if rank(node.outputs[0]) != _SPLIT:
        return result
    beside = Step("Transpose", (result,), {"perm": [0, 2, 1, 3]})
    return Step("Reshape", (beside, np.array([0, 0, -1], np.int64)))


def _heads(x: ir.Value | None, count: int) -> Heads | None:
    if x is None or x.shape is None or x.dtype not in _DTYPES:
        return None
    sizes = list(x.shape)
    if len(sizes) > _SPLIT:
        return Heads(x, *sizes[1:])
    width = sizes[-1]
    if not isinstance(width, int) or not count or width % count:
        return None
    apart = Step("Reshape", (x, np.array([0, 0, count, width // count], np.int64)))
    return Heads(Step("Transpose", (apart,), {"perm": [0, 2, 1, 3]}), count, sizes[1], width // count)


_DTYPES = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})


def _precise(node: ir.Node) -> bool:
    """Whether the softmax is computed in the dtype of the tensors, and these have one."""
    dtypes = {value.dtype for value in node.inputs[:_MASK] if value is not None}
    return len(dtypes) == 1 and integer(node, "softmax_precision", 0) in {0, *(int(dtype or 0) for dtype in dtypes)}


def _fits(mask: ir.Value, q: Heads, k: Heads) -> bool:
    """Whether a mask has all keys, and makes the scores no larger."""
    if mask.shape is None or len(mask.shape) < 2 or not same_size(mask.shape[-1], k.length):
        return False
    others = zip((q.length, q.count), reversed(list(mask.shape)[-3:-1]), strict=False)
    return all(size == 1 or same_size(size, of) for of, size in others)
