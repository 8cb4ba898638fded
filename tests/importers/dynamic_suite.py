"""Nothing of an example is baked in: ONNX's node cases with all sizes freed, run at sizes that no graph has seen.

`python tests/importers/dynamic_suite.py [--sample | NAME-PART ...]` prints, per case, at how many sizes it could be
compared with onnx.reference, and how the TorchScript of the freed graph did there. A process of its own.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parents[2]))

from exporters import onnx_to_torch
from tests.importers.cases import Case, all_cases, sample
from tests.importers.compare import difference
from tests.importers.torch_suite import attempt, to_numpy, to_torch

Feeds = list[Any]
GROWN = (1, 3)  # how many elements longer than in the case an axis is made


def freed(case: Case) -> onnx.ModelProto:
    """The case's model with every size of its inputs and outputs unknown."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value in (*model.graph.input, *model.graph.output):
        if value.type.HasField("tensor_type"):
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                dim.dim_param = f"{value.name}_{axis}"
    del model.graph.value_info[:]
    return model


def resized(inputs: Feeds, size: int, other: int) -> Feeds | None:
    """The inputs with each axis of `size` made `other`, filled with elements that were there; None if none changes."""
    random = np.random.default_rng(other)
    found = []
    for array in inputs:
        shape = tuple(other if length == size else length for length in array.shape)
        # in order of size where it was so: what an operator takes for boundaries stays sensible
        grown = array if shape == array.shape else random.choice(array.reshape(-1), shape)
        found.append(grown.astype(array.dtype))
    changed = any(new.shape != old.shape for new, old in zip(found, inputs, strict=True))
    return found if changed else None


def feedings(case: Case) -> Iterator[Feeds]:
    """The case's own inputs, and those of all sizes grown one by one."""
    inputs = [np.asarray(array) for array in case.data[0][0]]
    yield inputs
    for size in sorted({length for array in inputs for length in array.shape if length > 1}):
        for more in GROWN:
            grown = resized(inputs, size, size + more)
            if grown is not None:
                yield grown


def usable(case: Case) -> bool:
    """Whether the case is one of numbers that can be fed and compared."""
    inputs, outputs = case.data[0]
    plain = all(isinstance(value, np.ndarray | np.generic) for value in (*inputs, *outputs))
    return case.kind == "node" and bool(inputs) and plain and case.group == "core"


def compared(case: Case) -> dict[str, Any]:
    model = freed(case)
    module, error = attempt(lambda: torch.jit.script(onnx_to_torch.build(model)))
    if module is None:
        return {"sizes": 0, "outcome": error}
    reference, error = attempt(ReferenceEvaluator, model)
    if reference is None:
        return {"sizes": 0, "outcome": "ok"}  # nothing to compare with
    sizes = 0
    for inputs in feedings(case):
        wanted, _ = attempt(reference.run, None, dict(zip(case.inputs, inputs, strict=False)))
        if wanted is None:
            continue  # these sizes do not fit each other
        with torch.no_grad():
            actual, error = attempt(module, *map(to_torch, inputs))
        shapes = [array.shape for array in inputs]
        if actual is None:
            return {"sizes": sizes, "outcome": f"at {shapes}: {error}"}
        results = list(actual) if isinstance(actual, tuple) else [actual]
        found = difference(to_numpy(results), list(wanted), max(case.rtol, 1e-3), max(case.atol, 1e-5))
        if found:
            return {"sizes": sizes, "outcome": f"at {shapes}: {found}"}
        sizes += 1
    return {"sizes": sizes, "outcome": "ok"}


def main(arguments: list[str]) -> None:
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    torch.set_num_threads(1)
    cases = [case for case in all_cases() if usable(case)]
    if arguments == ["--sample"]:
        cases = sample(cases)[::3]
    elif arguments:
        cases = [case for case in cases if any(part in case.name for part in arguments)]
    json.dump({case.name: compared(case) for case in cases}, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
