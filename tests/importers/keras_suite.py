"""Run ONNX's cases through the Keras importer, as a model, as an .h5 file and as a SavedModel; prints JSON.

The files are opened by `keras_alone.py`, in a process that has TensorFlow, Keras and nothing of ours. A process of its
own, so that torch and TensorFlow never meet:
`python tests/importers/keras_suite.py [--sample | --traps | --microsoft | NAME-PART ...]`.
Of the models of the first three, some become files; else all do.

Inputs that a Keras model must know when it is
built (shapes, axes, sizes of a split) are given to it as initializers, with the values that the case feeds.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
warnings.simplefilter("ignore")

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import tensorflow as tf
from keras import KerasTensor

from exporters import onnx_to_keras
from exporters.graph.contributed.table import REWRITTEN, Value
from exporters.graph.limits import WRITER
from exporters.onnx_to_keras import hdf5
from exporters.onnx_to_keras.operand import Length, Operand
from exporters.onnx_to_keras.operators import KERAS
from tests.importers.cases import Case, selected
from tests.importers.compare import as_array, difference
from tests.limits import HANG
from toolkit.errors import UnsupportedOperator

TENSORS = (KerasTensor, KerasTensor | None, Operand, Operand | None, list[Operand], list[Length], list[Length] | None,
           Value, Value | None, list[Value])  # fmt: skip
SAMPLED = 6  # of so many models of a sample, one becomes files
TOGETHER = 60  # so many cases share a SavedModel and a turn of the other process
FILES = ("h5", "savedmodel")
NOT_BUILT = "not built, see the column model"
# Weights that must be constants for the operator to be a layer
WEIGHTS = {"LSTM": (1, 2, 3), "GRU": (1, 2, 3), "RNN": (1, 2, 3)}


def constants(case: Case) -> dict[str, bool]:
    """Names of the case's inputs that are bound, and whether as a weight: their parameter is no tensor for Keras."""
    found = {}
    for node in case.model.graph.node:
        opset = next(entry.version for entry in case.model.opset_import if entry.domain == node.domain)
        row = KERAS.lookup(node.op_type, opset, node.domain, len(node.output))
        row = row or REWRITTEN.lookup(node.op_type, opset, node.domain, len(node.output))
        if row is None:
            continue
        parameters = [parameter for name, parameter in row.parameters.items() if name != WRITER]
        for i, (name, parameter) in enumerate(zip(node.input, parameters, strict=False)):
            if parameter.annotation == list[Operand]:
                break  # all further inputs are of this list
            known = i in WEIGHTS.get(node.op_type, ()) or (node.op_type, i) == ("Loop", 0)
            if parameter.annotation not in TENSORS or known:
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


def run(case: Case) -> tuple[Any, list[list[Any]], str]:
    """The model, what it is fed with, and 'ok' or what is wrong with what it gives."""
    proto, kept = bound(case)
    try:
        model = onnx_to_keras.build(proto)
    except UnsupportedOperator:  # a SavedModel may hold what a file of Keras cannot
        model = onnx_to_keras.build(proto, plain=False)
    feedings = [[as_array(inputs[i]) for i in kept] for inputs, _ in case.data]
    results = [as_list(model(feeding[0] if len(feeding) == 1 else feeding)) for feeding in feedings]
    return model, feedings, compared(case, [[np.asarray(value) for value in result] for result in results])


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def compared(case: Case, results: list[Any]) -> str:
    """'ok' where each feeding gave the outputs that it must, else what is wrong."""
    for actual, (_, outputs) in zip(results, case.data, strict=True):
        wanted = [value if isinstance(value, list) else as_array(value) for value in outputs]
        found = difference(actual, wanted, case.rtol, case.atol)
        if found:
            return found
    return "ok"


def attempt(function: Any, *arguments: Any) -> tuple[Any, str]:
    """The result, or the error in one line."""
    try:
        return function(*arguments), "ok"
    except Exception as error:  # noqa: BLE001 - every failure of a case is a row of the table
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = next((line for line in lines if "rror" in line), lines[0] if lines else "")
        return None, f"{type(error).__name__}: {text.strip()[:400]}"


def traced(model: Any) -> Any:
    """The model as one function of `input_0`, `input_1` ..., which gives `output_0`, `output_1` ..."""
    specs = {f"input_{i}": tf.TensorSpec(x.shape, x.dtype) for i, x in enumerate(model.inputs)}

    def call(**feed: Any) -> dict[str, Any]:
        given = [feed[name] for name in specs]
        results = as_list(model(given[0] if len(given) == 1 else given, training=False))
        return {f"output_{i}": value for i, value in enumerate(results)}

    return tf.function(call, autograph=False).get_concrete_function(**specs)


def save(functions: dict[str, Any], models: dict[str, Any], path: Path) -> None:
    holder = tf.Module()
    holder.captured = [weight.value for name in functions for weight in models[name].weights]
    holder.resources = [value for function in functions.values() for value in function.graph.variables]
    tf.saved_model.save(holder, str(path), signatures=functions)


class Alone:
    """The process that has TensorFlow alone; cases are handed to it by the dozen, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, Any] = {}
        self.functions: dict[str, Any] = {}
        self.feedings: dict[str, Any] = {}
        self.cases: dict[str, Case] = {}
        self.process: subprocess.Popen[str] | None = None

    def add(self, case: Case, model: Any, feedings: list[list[Any]]) -> dict[str, str]:
        """Write the case's .h5 file, and trace the function that its SavedModel will hold; the errors, if any."""
        self.models[case.name], self.feedings[case.name], self.cases[case.name] = model, feedings, case
        _, stored = attempt(hdf5.save, model, self.folder / f"{case.name}.h5")
        function, written = attempt(traced, model)
        if function is not None:
            self.functions[case.name] = function
        found = {"h5": stored, "savedmodel": written}
        return {column: error for column, error in found.items() if error != "ok"}

    def outcomes(self) -> dict[str, dict[str, str]]:
        """What the other process made of all cases added since the last time."""
        _, together = attempt(save, self.functions, self.models, self.folder / "all.saved_model")
        if together != "ok":  # then each for itself, to know which one it was
            for name, function in self.functions.items():
                attempt(save, {name: function}, self.models, self.folder / f"{name}.saved_model")
        (self.folder / "feedings.pickle").write_bytes(pickle.dumps(self.feedings))
        self._ask()
        results = pickle.loads((self.folder / "results.pickle").read_bytes())
        rows = {
            name: {
                c: found if isinstance(found, str) else compared(self.cases[name], found) for c, found in row.items()
            }
            for name, row in results.items()
        }
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.models, self.functions, self.feedings, self.cases = {}, {}, {}, {}
        keras.backend.clear_session()
        return rows

    def _ask(self) -> None:
        if self.process is None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("keras_alone.py"))]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=self.folder)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.folder}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "done", f"it ended with {self.process.wait(timeout=HANG)}"

    def close(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait(timeout=HANG)


def results(cases: list[Case], folder: Path, stored: int) -> dict[str, dict[str, Any]]:
    """Every case's outcomes; of those whose model is right, one of `stored` goes through both kinds of file."""
    rows: dict[str, dict[str, Any]] = {}
    passed = 0
    alone = Alone(folder)
    for case in cases:
        made, error = attempt(run, case)
        rows[case.name] = {"model": made[2] if made else error, "operators": sorted(case.operators)}
        if rows[case.name]["model"] != "ok":
            rows[case.name] |= dict.fromkeys(FILES, NOT_BUILT) if stored == 1 else {}
            continue
        passed += 1
        if passed % stored == 0:
            rows[case.name] |= {"errors": alone.add(case, *made[:2])}
        if len(alone.cases) == TOGETHER:
            _note(rows, alone)
    if alone.cases:
        _note(rows, alone)
    alone.close()
    return rows


def _note(rows: dict[str, dict[str, Any]], alone: Alone) -> None:
    for name, row in alone.outcomes().items():
        rows[name] |= row | rows[name].pop("errors")


def main(arguments: list[str]) -> None:
    stored = SAMPLED if {"--sample", "--traps", "--microsoft"} & set(arguments) else 1
    with tempfile.TemporaryDirectory() as folder:
        rows = results(selected(arguments), Path(folder), stored)
    json.dump(rows, sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
