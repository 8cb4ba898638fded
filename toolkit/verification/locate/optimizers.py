"""Find out whether ONNX Runtime's own graph optimizations make a right file wrong, and which one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.verification.locate.match import relative

Arrays = Mapping[str, np.ndarray[Any, Any]]

# The names by which `disabled_optimizers` knows them, those first that move arithmetic about.
NAMES = (
    "Pad_Fusion", "ConvBNFusion", "ConvAddFusion", "ConvMulFusion", "MatMul_BatchNormalization_Fusion",
    "ConvActivationFusion", "ConvAddActivationFusion", "MatMulActivationFusion", "GemmActivationFusion",
    "MatMulAddFusion", "MatMulScaleFusion", "MatmulTransposeFusion", "GemmSumFusion", "GemmTransposeFusion",
    "DivMulFusion", "FuseReluClip", "ReluQuantRewrite", "ClipQuantRewrite", "NotWhereFusion", "GeluFusionL1",
    "GeluFusionL2", "FastGeluFusion", "QuickGeluFusion", "BiasGeluFusion", "LayerNormFusionL1", "LayerNormFusionL2",
    "SimplifiedLayerNormFusion", "SkipLayerNormFusion", "BiasSkipLayerNormFusion", "EmbedLayerNormFusion",
    "AttentionFusion", "BiasSoftmaxFusion", "ReshapeFusion", "SliceConcatToSpaceToDepthFusion", "GatherToSliceFusion",
    "GatherSliceToSplitFusion", "TransposeOptimizer", "NchwcTransformer", "NhwcTransformer", "ConstantFolding",
    "CommonSubexpressionElimination", "ConstantSharing", "CastElimination", "CastChainElimination", "EliminateSlice",
    "ExpandElimination", "UnsqueezeElimination", "NoopElimination", "PreShapeNodeElimination",
    "QDQSelectorActionTransformer", "QDQPropagationTransformer", "DynamicQuantizeMatMulFusion",
    "MatMulIntegerToFloatFusion",
)  # fmt: skip
SECONDS = 30.0
_BETTER = 0.1  # of the difference is left where an optimization was the cause


def guilty(path: Path, inputs: Arrays, expected: Arrays) -> str | None:
    """What to say of a file that only ONNX Runtime's optimizations make wrong; None where they are not to blame."""
    deadline = time.monotonic() + SECONDS
    usual = _far(_run(path, inputs), expected)
    # On these inputs it may not differ at all: then no optimization is to blame.
    if not usual > 0 or not _far(_run(path, inputs, optimized=False), expected) <= _BETTER * usual:
        return None
    for name in NAMES:
        if time.monotonic() > deadline:
            break
        if _far(_run(path, inputs, disabled=[name]), expected) <= _BETTER * usual:
            return (
                f"ONNX Runtime's optimization {name} makes a right graph wrong: "
                f"open the session with disabled_optimizers=['{name}']"
            )
    return "ONNX Runtime's graph optimizations make a right graph wrong: open the session with ORT_DISABLE_ALL"


def _far(found: Sequence[np.ndarray[Any, Any]] | None, expected: Arrays) -> float:
    if found is None:
        return float("inf")
    return max((relative(a, b) for a, b in zip(found, expected.values(), strict=False)), default=0.0)


def _run(
    path: Path, inputs: Arrays, *, optimized: bool = True, disabled: Sequence[str] = ()
) -> Sequence[np.ndarray[Any, Any]] | None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
        )
        names = [value.name for value in session.get_inputs()]
        arrays: list[np.ndarray[Any, Any]] = session.run(None, dict(zip(names, inputs.values(), strict=True)))
    except Exception:  # noqa: BLE001 - with one part less it may not even open; then that part is not the cause
        return None
    return arrays
