"""Attention with keys shared by several heads, for PyTorch's TorchScript-based ONNX exporter, which refuses it.

Its own function is used, on keys and values whose heads were repeated before.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def register() -> None:
    """Once for each process. The function is that of the exporter's newest opset that has it."""
    import torch
    from torch.onnx._internal.torchscript_exporter import symbolic_helper, symbolic_opset14

    onnx: Any = torch.onnx
    constant: Any = symbolic_helper._maybe_get_const  # noqa: SLF001 - where PyTorch keeps its helpers
    attend: Any = symbolic_opset14.scaled_dot_product_attention

    def attention(
        g: Any,
        query: Any,
        key: Any,
        value: Any,
        mask: Any = None,
        dropout: Any = None,
        causal: Any = None,
        scale: Any = None,
        grouped: Any = None,
    ) -> Any:
        if grouped is not None and constant(grouped, "b"):
            key, value = (_repeated(g, heads, query) for heads in (key, value))
        return attend(g, query, key, value, mask, dropout, causal, scale)

    onnx.register_custom_op_symbolic("aten::scaled_dot_product_attention", attention, 14)


def _repeated(g: Any, heads: Any, query: Any) -> Any:
    """Each of the heads, on the third axis from the end, as often in a row as there are queries' heads for it."""

    def numbers(*values: int) -> Any:
        import torch

        return g.op("Constant", value_t=torch.tensor(values))

    def sizes(x: Any, start: int, end: int) -> Any:
        return g.op("Slice", g.op("Shape", x), numbers(start), numbers(end), numbers(0))

    last = 2**63 - 1
    count = sizes(heads, -3, -2)
    times = g.op("Div", sizes(query, -3, -2), count)
    batch, rest = sizes(heads, 0, -3), sizes(heads, -2, last)
    wide = g.op("Concat", batch, count, times, rest, axis_i=0)
    apart = g.op("Expand", g.op("Unsqueeze", heads, numbers(-3)), wide)
    whole = g.op("Concat", batch, sizes(query, -3, -2), rest, axis_i=0)
    return g.op("Reshape", apart, whole)
