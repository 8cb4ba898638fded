"""Names for an output's dimensions: one that follows an input's dimension bears its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exporters.sources import examples
from toolkit.runtime.runner import Runner
from toolkit.signature import Dim, Signature, TensorSpec

Array = np.ndarray[Any, Any]


def named(runner: Runner) -> Signature:
    """The runner's signature, after two runs at sizes that are all different. A framework's graph knows an output's
    unknown size only as unknown; one that has an input's size both times is called like it, the others stay.
    """
    signature = runner.signature
    known = set(signature.symbols)
    if all(set(spec.dynamic_dims.values()) <= known for spec in signature.outputs):
        return signature
    chosen = [examples.sizes(signature, step) for step in (0, 1)]
    try:
        runs = [runner.run(examples.arrays(signature, sizes, like=runner.given)) for sizes in chosen]
    except Exception:  # noqa: BLE001 - whatever a framework raises of a size that the model does not take: no names then
        return signature
    return replace(signature, outputs=tuple(_spec(spec, known, chosen, runs) for spec in signature.outputs))


def _spec(
    spec: TensorSpec, known: set[str], chosen: Sequence[Mapping[str, int]], runs: Sequence[Mapping[str, Array]]
) -> TensorSpec:
    shape: list[Dim] = list(spec.shape)
    for axis, symbol in spec.dynamic_dims.items():
        found = tuple(run[spec.name].shape[axis] for run in runs)
        alike = [name for name in chosen[0] if tuple(sizes[name] for sizes in chosen) == found]
        if symbol not in known and len(alike) == 1:
            shape[axis] = alike[0]
    return replace(spec, shape=tuple(shape))
