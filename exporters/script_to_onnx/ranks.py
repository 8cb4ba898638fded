"""Ranks that PyTorch's TorchScript-based ONNX exporter loses, kept.

A saved TorchScript graph has no shapes, and the exporter cannot tell the rank of what `flatten` and `unflatten` return,
though both know it; the next operator that wants a rank then fails. Its own functions are used, their results marked.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def register() -> None:
    """Once for each process. The functions are those of the exporter's newest opsets that have them."""
    import torch
    from torch.onnx._internal.torchscript_exporter import symbolic_helper, symbolic_opset11, symbolic_opset13

    rank_of: Any = symbolic_helper._get_tensor_rank  # noqa: SLF001 - where PyTorch keeps its helpers
    constant: Any = symbolic_helper._maybe_get_const  # noqa: SLF001 - the same
    onnx: Any = torch.onnx

    def flatten(g: Any, tensor: Any, start: Any, end: Any) -> Any:
        found = symbolic_opset11.flatten(g, tensor, start, end)
        rank = rank_of(tensor)
        axes = [constant(axis, "i") for axis in (start, end)]
        if rank is None or not all(isinstance(axis, int) for axis in axes):
            return found
        first, last = (axis % rank if rank else 0 for axis in axes)
        return _of_rank(found, tensor, rank - (last - first))

    def unflatten(g: Any, tensor: Any, axis: Any, sizes: Any) -> Any:
        found = symbolic_opset13.unflatten(g, tensor, axis, sizes)
        rank = rank_of(tensor)
        known = constant(sizes, "is")
        count = len(known) if isinstance(known, list) else _listed(sizes)
        return found if rank is None or count is None else _of_rank(found, tensor, rank - 1 + count)

    onnx.register_custom_op_symbolic("aten::flatten", flatten, 11)
    onnx.register_custom_op_symbolic("aten::unflatten", unflatten, 13)


def _listed(sizes: Any) -> int | None:
    """How many sizes a list has that is built from computed ones."""
    node = sizes.node()
    return len(list(node.inputs())) if node.kind() == "prim::ListConstruct" else None


def _of_rank(found: Any, like: Any, rank: int) -> Any:
    found.setType(like.type().with_sizes([None] * rank))
    return found
