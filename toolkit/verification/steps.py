"""Graphs that round to steps, as sources: near the middle of two it goes either way, and float32 decides which.

ONNX Runtime runs such a graph in integers and hardly ever errs; any other runtime computes with the numbers that the
integers stand for, and a sum that its rounding moves across a middle comes out a whole step away. So the noise of such
a source is at least that of its graph, rebuilt in PyTorch, in float32. In float64 a right file takes the same steps:
the second lens loses nothing. A graph in float16 or bfloat16 is like it: runtimes leave out some of its rounding, so
that its noise is at least what rounding every result costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.graph.protos import all_nodes
from toolkit.signature import Signature
from toolkit.verification import compare
from toolkit.verification.plan import Batch
from toolkit.verification.sides import OnnxSource, Outputs, Side

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

# Operators that round to steps, of ONNX and of ONNX Runtime.
ROUNDING = ("QuantizeLinear", "DynamicQuantize", "QLinear", "QGemm", "QAttention", "QEmbedLayerNormalization")


def rounds(graph: onnx.GraphProto) -> bool:
    """Whether a node of the graph, or of one within it, rounds to steps."""
    return any(node.op_type.startswith(ROUNDING) for node in all_nodes(graph))


def conditions(side: Side, batches: Sequence[Batch], truth: Outputs) -> dict[int, dict[str, Array]]:
    """By batch and output, how far float32 moves each input's output; nothing for a source that takes no steps.

    Which input is hit is chance: each gets its own error, and at least the root mean square of all.
    """
    outputs = side.run_in_steps(batches) if isinstance(side, OnnxSource) else None
    if outputs is None:
        return {}
    found: dict[int, dict[str, Array]] = {index: {} for index in range(len(batches))}
    for name, errors in _errors(side.signature, truth, outputs):
        usual = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
        for index, each in enumerate(errors):
            found[index][name] = np.maximum(each, usual)
    return found


def _errors(signature: Signature, truth: Outputs, outputs: Outputs) -> Iterator[tuple[str, list[Array]]]:
    for spec in signature.outputs:
        if not spec.is_float:
            continue
        errors = []
        for true, batch in zip(truth, outputs, strict=True):
            rows = [compare.rows_of(spec, [each[spec.name]]) for each in (true, batch)]
            each = compare.relative_differences(rows[0], rows[1], rows[1])
            errors.append(np.where(np.isfinite(each), each, 0.0))
        yield spec.name, errors
