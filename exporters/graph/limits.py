"""What an operator's function does not cover: inputs and attribute values that are refused before anything is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from exporters.graph.operator_table import Operator

MICROSOFT = "com.microsoft"
WRITER = "write"  # what a function may have before its inputs


@dataclass(frozen=True)
class Limit:
    """`inputs` must be missing; an attribute must have one of its values, where it is given at all."""

    inputs: tuple[str, ...] = ()
    attributes: dict[str, tuple[Any, ...]] = field(default_factory=dict)


Limits = dict[tuple[str, str], Limit]

# Of ONNX Runtime's own operators, for every target.
CONTRIBUTED: Limits = {
    (MICROSOFT, "Attention"): Limit(
        ("past_sequence_length",), {"do_rotary": (0,), "past_present_share_buffer": (0,), "rotary_embedding_dim": (0,)}
    ),
    (MICROSOFT, "QAttention"): Limit((), {"do_rotary": (0,), "past_present_share_buffer": (0,)}),
    (MICROSOFT, "MultiHeadAttention"): Limit(("past_sequence_length", "cache_indirection")),
    (MICROSOFT, "GroupQueryAttention"): Limit(
        ("head_sink", "k_scale", "v_scale", "q_norm_weight", "k_norm_weight"),
        {
            "k_quant_type": ("NONE",),
            "v_quant_type": ("NONE",),
            "kv_cache_bit_width": (0,),
            "qk_output": (0,),
            "sliding_window_cache": (0,),
            "smooth_softmax": (-1, 0),
        },
    ),
    (MICROSOFT, "DynamicQuantizeLSTM"): Limit(("sequence_lens", "P"), {"clip": (0.0,), "input_forget": (0,)}),
    (MICROSOFT, "RotaryEmbedding"): Limit((), {"is_packed_batching": (0,), "scale": (1.0,)}),
    (MICROSOFT, "MatMulNBits"): Limit(("g_idx",), {"weight_prepacked": (0,), "bits": (2, 4, 8)}),
}


def exceeded(node: ir.Node, row: Operator, limits: Mapping[tuple[str, str], Limit]) -> str | None:
    """What `node` has that its function does not cover, in words."""
    limit = limits.get((node.domain, node.op_type))
    if limit is None:
        return None
    parameters = [name for name in row.parameters if name != WRITER]
    names = [name for name, value in zip(parameters, node.inputs, strict=False) if value is not None]
    inputs = [f"input '{name}'" for name in names if name in limit.inputs]
    attributes = [
        f"{name} = {node.attributes[name].value!r}"
        for name, allowed in limit.attributes.items()
        if name in node.attributes and node.attributes[name].value not in allowed
    ]
    return " and ".join(inputs + attributes) or None
