"""A quick look at a file that was just written: does it run at sizes other than its example's, and come out alike?

This is no verdict. It lets an exporter that traced too much give way to the next one, before the real verification.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from exporters.sources import examples
from toolkit.errors import RuntimeMissing, ToolkitError
from toolkit.verification.plan import Batch
from toolkit.verification.sides import Side, open_file
from toolkit.worker.pool import WorkerPool
from toolkit.worker.wire import is_float

Array = np.ndarray[Any, Any]

OTHER_SIZES = "it does not run at other sizes"
_ALIKE = 5e-2  # relative; above all rounding, also that of a model in bfloat16, and below another model


def check(pool: WorkerPool, source: Side, path: Path) -> str | None:
    """What is wrong, in words; None where nothing shows."""
    signature = source.signature
    batches = []
    for step in (0, 1):
        sizes = examples.sizes(signature, step)
        batches.append(
            Batch(
                "example",
                examples.arrays(signature, sizes, seed=step, like=source.known),
                sizes.get(signature.batch or "", 1),
            )
        )
    try:
        side = open_file(pool, path, "cpu", signature, trust=None)
    except RuntimeMissing:
        return None  # the verification will say so; an exporter cannot help it
    except ToolkitError as error:
        return error.found
    try:
        pairs = zip(source.run(batches), side.run(batches), batches, strict=True)
        for ours, theirs, batch in pairs:
            for name, expected in ours.items():
                why = _difference(expected, theirs.get(name))
                if why:
                    return f"output '{name}' at batch {batch.size}: {why}"
    except ToolkitError as error:
        return f"{OTHER_SIZES}: {error.found}"
    finally:
        with contextlib.suppress(ToolkitError):
            side.close()
    return None


def _difference(expected: Array, found: Array | None) -> str | None:
    if found is None:
        return "it is missing"
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{found.dtype}{list(found.shape)} where the source gives {expected.dtype}{list(expected.shape)}"
    if not is_float(expected.dtype):
        return None if np.array_equal(expected, found) else "other values"
    scale = float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))
    distance = float(np.max(np.abs(expected - found), initial=0.0, where=np.isfinite(expected)))
    return None if distance <= _ALIKE * scale or distance == 0.0 else f"off by {distance:.3g} of {scale:.3g}"
