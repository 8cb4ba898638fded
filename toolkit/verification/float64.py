"""The same model in float64, on the same float32 weights: the truth of a source, and the second lens on an export.

PyTorch modules and TorchScript are converted as they are; TensorFlow and Keras models as rewritten graphs; ONNX files
are rebuilt by our importer in PyTorch. Where a part stays in float32, that is not the truth, and an error says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import Inconclusive
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, fetch_outputs, to_tensor
from toolkit.signature import Signature

Array = np.ndarray[Any, Any]


class Float64Model:
    """A model that computes in float64. `how` says how it was made, for the report."""

    def __init__(self, signature: Signature, how: str, call: Any) -> None:
        self.signature = signature
        self.how = how
        self._call = call

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Float inputs are widened; float outputs come back as float64. Raises Inconclusive where one does not."""
        outputs: dict[str, Array] = self._call({name: _widened(array) for name, array in inputs.items()})
        for name, array in outputs.items():
            if array.dtype.kind == "f" and array.dtype != np.float64:
                raise Inconclusive(f"output '{name}' came back as {array.dtype}: a part of the model stays in float32")
        return outputs


def _widened(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else array


def of_runner(runner: Runner) -> Float64Model:
    """An opened model in float64, in the process that holds it. Raises Inconclusive where there is no way."""
    if isinstance(runner, TorchRunner):
        return _of_torch(runner)
    if isinstance(runner, TensorFlowRunner):
        return _of_tensorflow(runner)
    if isinstance(runner, OnnxRunner):
        return of_onnx(runner.path, runner.signature)
    raise Inconclusive(f"a {type(runner).__name__} has no float64 form")


def _of_torch(runner: TorchRunner) -> Float64Model:
    import torch

    module = _scalars_as_float32(copy.deepcopy(runner.module)).double()

    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors = {name: to_tensor(torch, array, runner.ran_on) for name, array in inputs.items()}
        args, kwargs = arguments(runner.signature, tensors)
        with torch.inference_mode():
            return fetch_outputs(runner.signature, module(*args, **kwargs))

    return Float64Model(runner.signature, f"the {runner.runtime} model in float64", call)


def _scalars_as_float32(module: Any) -> Any:
    """Round the modules' own scalars (epsilon, slope, ...) to float32, as its float32 kernels and every file do.

    Left in Python's float64 they would differ from the export's by 1e-8 of themselves, and hide smaller mistakes.
    """
    if "ScriptModule" in type(module).__name__:
        return module
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, float):
                setattr(part, name, float(np.float32(value)))
    return module


def _of_tensorflow(runner: TensorFlowRunner) -> Float64Model:
    from exporters.graph import tensorflow_graph
    from toolkit.verification import tensorflow_float64

    frozen = tensorflow_graph.freeze(runner.function, runner.signature)
    call = tensorflow_float64.callable_of(frozen)
    return Float64Model(runner.signature, f"the {runner.runtime} graph rewritten in float64", call)


def of_onnx(path: Path, signature: Signature) -> Float64Model:
    """An ONNX file, rebuilt in PyTorch by our importer; belongs into the torch worker."""
    import torch

    from exporters import onnx_to_torch

    module = onnx_to_torch.build(path).eval().double()
    flat = Signature(signature.inputs, signature.outputs)

    def call(inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors = [to_tensor(torch, inputs[name], "cpu") for name in signature.input_names]
        with torch.inference_mode():
            return fetch_outputs(flat, module(*tensors))

    return Float64Model(signature, "the ONNX graph rebuilt in PyTorch in float64", call)
