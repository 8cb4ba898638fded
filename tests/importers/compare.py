"""Whether what a model gave is what an ONNX case expects; knows no framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

BFLOAT16_ULPS = 2**-6  # two units in the last place: what ONNX's own backend runner allows this type at least


def as_array(value: Any) -> Any:
    """A copy as an array; cases of narrow floats hold a TensorProto instead of one."""
    if isinstance(value, onnx.TensorProto):
        value = ir.from_proto(value).numpy()
    return np.array(value, copy=True)


def difference(actual: Any, wanted: Any, rtol: float, atol: float) -> str | None:
    """None where `actual` is `wanted`, else what is wrong, in one line."""
    if isinstance(wanted, list | tuple):
        if len(actual) != len(wanted):
            return f"{len(actual)} values instead of {len(wanted)}"
        return next((d for a, w in zip(actual, wanted, strict=True) if (d := difference(a, w, rtol, atol))), None)
    if wanted is None or actual is None:
        return None if wanted is actual else f"{actual} instead of {wanted}"
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    if actual.dtype != wanted.dtype:
        return f"dtype {actual.dtype} instead of {wanted.dtype}"
    if actual.shape != wanted.shape:
        return f"shape {actual.shape} instead of {wanted.shape}"
    if actual.dtype.kind not in "fcV":
        return None if np.array_equal(actual, wanted) else f"{np.sum(actual != wanted)} elements differ"
    if actual.dtype.name == "bfloat16":
        rtol = max(rtol, BFLOAT16_ULPS)
    wide = complex if actual.dtype.kind == "c" else np.float64
    actual, wanted = actual.astype(wide), wanted.astype(wide)
    if np.allclose(actual, wanted, rtol, atol, equal_nan=True):
        return None
    with np.errstate(invalid="ignore"):
        return f"off by {np.nanmax(np.abs(actual - wanted)):.3g}"
