"""The float tensors of an opened model, whatever it is: name and values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from toolkit.runtime.litert_runner import LitertRunner
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner, to_array
from toolkit.worker.wire import is_float

Array = np.ndarray[Any, Any]

_SMALLEST = 2  # lone numbers are epsilons and scales; exporters write them as they like


def of_runner(runner: Runner) -> Iterator[tuple[str, Array]]:
    """Every float tensor of an opened model with more than one element, by its name there."""
    found = (
        _of_torch(runner) if isinstance(runner, TorchRunner)
        else _of_tensorflow(runner) if isinstance(runner, TensorFlowRunner)
        else _of_onnx(runner) if isinstance(runner, OnnxRunner)
        else runner.weights().items() if isinstance(runner, LitertRunner)
        else ()
    )  # fmt: skip
    for name, array in found:
        if is_float(array.dtype) and array.size >= _SMALLEST:
            yield name, array


def _of_torch(runner: TorchRunner) -> Iterator[tuple[str, Array]]:
    module = runner.module
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        yield name, to_array(tensor)


def _of_tensorflow(runner: TensorFlowRunner) -> Iterator[tuple[str, Array]]:
    owner: Any = getattr(runner, "model", None)
    variables = getattr(owner, "variables", None) or runner.function.graph.variables
    for variable in variables:
        yield getattr(variable, "path", variable.name.removesuffix(":0")), np.asarray(variable)


def _of_onnx(runner: OnnxRunner) -> Iterator[tuple[str, Array]]:
    import onnx_ir as ir

    for name, value in ir.load(runner.path).graph.initializers.items():
        if value.const_value is not None and value.const_value.dtype.is_floating_point():
            yield name, value.const_value.numpy()
