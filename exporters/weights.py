"""The float tensors of an opened model, whatever it is: name and values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exporters.sources.preprocessed import PreprocessedRunner
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
        of_runner(runner.inner) if isinstance(runner, PreprocessedRunner)
        else _of_torch(runner) if isinstance(runner, TorchRunner)
        else _of_tensorflow(runner) if isinstance(runner, TensorFlowRunner)
        else _of_onnx(runner) if isinstance(runner, OnnxRunner)
        else runner.weights().items() if isinstance(runner, LitertRunner)
        else ()
    )  # fmt: skip
    for name, array in found:
        if is_float(array.dtype) and array.size >= _SMALLEST:
            yield name, array


def quantised(runner: Runner) -> Iterator[tuple[str, Array, Array]]:
    """Every weight that is stored in 8 bits: its name, its values as float32, and its step, shaped to broadcast."""
    if isinstance(runner, OnnxRunner):
        yield from _quantised_onnx(runner)
    elif isinstance(runner, TorchRunner):
        yield from _quantised_torch(runner)
    elif isinstance(runner, LitertRunner):
        yield from runner.quantised()


def _quantised_onnx(runner: OnnxRunner) -> Iterator[tuple[str, Array, Array]]:
    import onnx_ir as ir

    graph = ir.load(runner.path).graph
    for node in graph.all_nodes():
        if node.op_type != "DequantizeLinear" or node.inputs[0] is None or node.inputs[0].const_value is None:
            continue
        operands = [value.const_value for value in node.inputs if value is not None]
        if any(operand is None for operand in operands):
            continue
        stored, scale, *point = (operand.numpy() for operand in operands if operand is not None)
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
        yield str(node.inputs[0].name), *dequantised(stored, scale, point[0] if point else None, axis)


def dequantised(stored: Array, scale: Array, point: Array | None, axis: int) -> tuple[Array, Array]:
    """Values and step of a quantised tensor, with one scale or one for each place on `axis`."""
    shape = [1] * stored.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    step = scale.astype(np.float32).reshape(shape)
    zero = 0 if point is None else point.astype(np.int64).reshape(shape if point.size > 1 else [1] * stored.ndim)
    return ((stored.astype(np.int64) - zero) * step).astype(np.float32), step


def _quantised_torch(runner: TorchRunner) -> Iterator[tuple[str, Array, Array]]:
    """By the names that our importer keeps of ONNX Runtime's quantiser: "w_quantized" beside "w_scale"."""
    tensors = {name: to_array(tensor) for name, tensor in runner.module.state_dict().items()}
    for name, stored in tensors.items():
        scale = tensors.get(f"{name.removesuffix('_quantized')}_scale")
        if not name.endswith("_quantized") or scale is None or stored.dtype.kind not in "iu":
            continue
        for axis in (axis for axis in range(stored.ndim) if scale.size in (1, stored.shape[axis])):
            yield name, *dequantised(stored, scale, None, axis)
            break


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
    import onnx
    from onnx import numpy_helper

    # Not by onnx-ir: all that it imports for its arithmetic of sizes takes longer than small files do.
    for tensor in onnx.load(runner.path, load_external_data=False).graph.initializer:
        array = numpy_helper.to_array(tensor, str(Path(runner.path).parent))
        if is_float(array.dtype):
            yield tensor.name, array
