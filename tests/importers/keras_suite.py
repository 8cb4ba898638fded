"""Run ONNX's cases through the Keras importer; prints JSON, and keeps some .h5 files to be reloaded elsewhere.

A process of its own, so that torch and TensorFlow never meet:
`python tests/importers/keras_suite.py [--h5 FOLDER] [--sample | --traps | NAME-PART ...]`.

Inputs that a Keras model must know when it is
built (shapes, axes, sizes of a split) are given to it as initializers, with the values that the case feeds.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - the logging level of TensorFlow is read when it is imported
import onnx  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))

from keras import KerasTensor  # noqa: E402

from exporters import onnx_to_keras  # noqa: E402
from exporters.onnx_to_keras import hdf5  # noqa: E402
from exporters.onnx_to_keras.operand import Length, Operand  # noqa: E402
from exporters.onnx_to_keras.operators import KERAS  # noqa: E402
from tests.importers.cases import Case, selected  # noqa: E402
from tests.importers.compare import as_array, difference  # noqa: E402

TENSORS = (KerasTensor, KerasTensor | None, Operand, Operand | None, list[Operand], list[Length], list[Length] | None)
H5_EVERY = 4  # each so many passing cases, one is written to be reloaded
# Weights that must be constants for the operator to be a layer
WEIGHTS = {"LSTM": (1, 2, 3), "GRU": (1, 2, 3), "RNN": (1, 2, 3)}


def constants(case: Case) -> dict[str, bool]:
    """Names of the case's inputs that are bound, and whether as a weight: their parameter is no tensor for Keras."""
    found = {}
    for node in case.model.graph.node:
        opset = next(entry.version for entry in case.model.opset_import if entry.domain == node.domain)
        row = KERAS.lookup(node.op_type, opset, node.domain, len(node.output))
        if row is None:
            continue
        for i, (name, parameter) in enumerate(zip(node.input, row.parameters.values(), strict=False)):
            if parameter.annotation == list[Operand]:
                break  # all further inputs are of this list
            if parameter.annotation not in TENSORS or i in WEIGHTS.get(node.op_type, ()):
                found[name] = i in WEIGHTS.get(node.op_type, ())
    return {name: is_weight for name, is_weight in found.items() if name in case.inputs}


def bound(case: Case) -> tuple[onnx.ModelProto, list[int]]:
    """The model with those inputs as initializers or Constant nodes, and the positions of the inputs that are left."""
    names = case.inputs
    fixed = constants(case)
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.ir_version = max(model.ir_version, 4)  # before, weights had to be inputs as well
    inputs, _ = case.data[0]
    written = []
    for name, array in zip(names, inputs, strict=False):
        if name in fixed:
            tensor = onnx.numpy_helper.from_array(as_array(array), name)
            if fixed[name]:
                model.graph.initializer.append(tensor)
            else:
                written.append(onnx.helper.make_node("Constant", [], [name], value=tensor))
    left = [value for value in model.graph.input if not (value.name in fixed and not fixed[value.name])]
    nodes = [*written, *model.graph.node]
    for field, values in ((model.graph.input, left), (model.graph.node, nodes)):
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(kept)
    return model, [i for i, name in enumerate(names) if name not in fixed]


def result(case: Case, folder: Path | None, count: int) -> str:
    try:
        proto, kept = bound(case)
        model = onnx_to_keras.build(proto)
        for inputs, outputs in case.data:
            given = [as_array(inputs[i]) for i in kept]
            actual = model(given[0] if len(given) == 1 else given)
            actual = list(actual) if isinstance(actual, list | tuple) else [actual]
            arrays = [np.asarray(value) for value in actual]
            found = difference(
                arrays,
                [value if isinstance(value, list) else as_array(value) for value in outputs],
                case.rtol,
                case.atol,
            )
            if found:
                return found
        storable = all(array.dtype.kind != "V" for array in [*given, *arrays])  # .npz has no bfloat16
        if folder is not None and storable and count % H5_EVERY == 0:
            hdf5.save(model, folder / f"{case.name}.h5")
            np.savez(folder / f"{case.name}.npz", *given, **{f"out{i}": array for i, array in enumerate(arrays)})
    except Exception as error:  # noqa: BLE001 - every failure of a case is a row of the table
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = next((line for line in lines if "rror" in line), lines[0] if lines else "")
        return f"{type(error).__name__}: {text.strip()[:400]}"
    return "ok"


def main(arguments: list[str]) -> None:
    folder = Path(arguments[1]) if arguments[:1] == ["--h5"] else None
    rows: dict[str, Any] = {}
    passed = 0
    for case in selected(arguments[2:] if folder else arguments):
        found = result(case, folder, passed)
        passed += found == "ok"
        rows[case.name] = {"model": found, "operators": sorted(case.operators)}
    json.dump(rows, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
