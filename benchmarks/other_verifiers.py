"""What other ways of checking say of the same outputs: Polygraphy, PyTorch's own verification, and allclose.

Each gets the outputs that it would look at by default: Polygraphy one call on uniform inputs in [0, 1), PyTorch one
call on an example, allclose every call of the plan. Polygraphy's comparison and PyTorch's figures are their own code.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]

# Those of torch.onnx.export(verify=True) in PyTorch 2.13.
_TORCH_ABSOLUTE, _TORCH_RELATIVE = 5e-3, 1e-1

NAMES = {
    "allclose": "numpy.allclose, its defaults (rtol 1e-5, atol 1e-8), all inputs",
    "tutorial": "assert_allclose as in PyTorch's ONNX tutorials (rtol 1e-3, atol 1e-5), one example",
    "polygraphy": "Polygraphy's comparison, its defaults (1e-5, element by element), one call on uniform inputs",
    "torch": "torch.onnx.export(verify=True): largest difference 5e-3, relative 0.1, one example",
}


def opinions(kinds: Sequence[str], source: Sequence[Outputs], export: Sequence[Outputs]) -> dict[str, bool]:
    """Way -> whether it passes the file. Batches of both sides are in the order of `kinds`, how each was made."""
    example, uniform = (kinds.index(kind) for kind in ("normal", "uniform"))
    return {
        "allclose": all(_close(ours, theirs, 1e-5, 1e-8) for ours, theirs in zip(source, export, strict=True)),
        "tutorial": _close(source[example], export[example], 1e-3, 1e-5),
        "polygraphy": _polygraphy(source[uniform], export[uniform]),
        "torch": _torch(source[example], export[example]),
    }


def _close(source: Outputs, export: Outputs, relative: float, absolute: float) -> bool:
    return source.keys() == export.keys() and all(
        source[name].shape == export[name].shape
        and np.allclose(export[name], source[name], rtol=relative, atol=absolute, equal_nan=True)
        for name in source
    )


def _polygraphy(source: Outputs, export: Outputs) -> bool:
    from polygraphy.comparator import CompareFunc, IterationResult
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    with contextlib.redirect_stdout(io.StringIO()):
        found = CompareFunc.simple()(IterationResult(dict(source)), IterationResult(dict(export)))
    return bool(found) and all(map(bool, found.values()))


def _torch(source: Outputs, export: Outputs) -> bool:
    """By position, as PyTorch does."""
    import torch
    from torch.onnx.verification import VerificationInfo

    for (name, ours), theirs in zip(source.items(), export.values(), strict=False):
        try:
            info = VerificationInfo.from_tensors(name, torch.from_numpy(ours), torch.from_numpy(theirs))
        except (RuntimeError, TypeError, ValueError):
            return False  # it raises where shapes or dtypes do not fit together
        if info.max_abs_diff >= _TORCH_ABSOLUTE or info.max_rel_diff >= _TORCH_RELATIVE:
            return False
    return True
