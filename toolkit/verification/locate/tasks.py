"""What workers do to find a divergence: compare two graphs (PyTorch), run a file unoptimised (ONNX Runtime)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.worker.session import Session

Arrays = Mapping[str, np.ndarray[Any, Any]]


def search(
    session: Session, source_path: str, file_path: str, inputs: Arrays, source_outputs: Arrays, file_outputs: Arrays
) -> dict[str, Any]:
    """Where two graphs part, as `Divergence` in JSON's types. The outputs are what the models themselves returned."""
    from toolkit.verification.locate import search as searching

    session.progress({"stage": "look for the first diverging operator"})
    said = searching.Said(dict(source_outputs), dict(file_outputs))
    return asdict(searching.search(Path(source_path), Path(file_path), inputs, said))


def guilty_optimizer(session: Session, path: str, inputs: Arrays, expected: Arrays) -> dict[str, Any]:
    """Whether ONNX Runtime gets the file right without its optimizations, and which of them it is that errs."""
    from toolkit.verification.locate import optimizers

    session.progress({"stage": "run without optimizations"})
    return {"words": optimizers.guilty(Path(path), inputs, expected)}
