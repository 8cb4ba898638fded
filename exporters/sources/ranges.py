"""How many values an integer input may take: the rows of the table that it looks up, where it is seen to do so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from exporters.sources import examples
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, to_tensor

_PASSED_ON = frozenset({"Cast", "Identity", "Reshape", "ExpandDims", "Squeeze", "Unsqueeze", "Flatten"})
_LOOKUPS = frozenset({"ResourceGather", "GatherV2", "Gather"})


def of_runner(runner: Runner) -> dict[str, int]:
    """Input -> the number of rows of the smallest table that it is an index into, as it came in; others are left out.

    A look at one run or at the graph: an input that is changed before it is looked up is not among them.
    """
    if not any(spec.dtype.startswith(("int", "uint")) for spec in runner.signature.inputs):
        return {}
    pairs = (
        _of_torch(runner) if isinstance(runner, TorchRunner)
        else _of_tensorflow(runner) if isinstance(runner, TensorFlowRunner)
        else _of_onnx(runner) if isinstance(runner, OnnxRunner)
        else iter(())
    )  # fmt: skip
    found: dict[str, int] = {}
    for name, rows in pairs:
        found[name] = min(rows, found.get(name, rows))
    return found | _tried(runner, found)


def _tried(runner: Runner, known: Mapping[str, int]) -> dict[str, int]:
    """Of the other integers that came as examples: 0 up to the largest, where the model is seen to take those."""
    largest = {
        name: array.max(initial=1)
        for name, array in runner.given.items()
        if array.dtype.kind in "iu" and array.size and array.min() >= 0 and name not in known
    }
    if not largest:
        return {}
    signature = runner.signature
    try:
        for step, extreme in enumerate((dict.fromkeys(largest, 0), largest)):
            ends = {name: np.array([value], runner.given[name].dtype) for name, value in extreme.items()}
            sizes = examples.sizes(signature, step)
            runner.run(examples.arrays(signature, sizes, like={**runner.given, **ends}))
    except Exception:  # noqa: BLE001 - whatever the framework raises: then the example's own range is all that is known
        return {}
    return {name: int(value) + 1 for name, value in largest.items()}


def _of_torch(runner: TorchRunner) -> Iterator[tuple[str, int]]:
    """Every embedding that a run looks up, told by the memory of its indices."""
    import torch

    from exporters.sources.torch_lookups import Lookups

    signature = runner.signature
    values = examples.arrays(signature, examples.sizes(signature, 0), like=runner.given)
    tensors = {name: to_tensor(torch, array, runner.ran_on) for name, array in values.items()}
    places = {tensor.data_ptr(): name for name, tensor in tensors.items() if not tensor.is_floating_point()}
    args, kwargs = arguments(signature, tensors)
    with torch.no_grad(), Lookups(places) as seen:
        runner.module(*args, **kwargs)
    yield from seen.rows


def _of_tensorflow(runner: TensorFlowRunner) -> Iterator[tuple[str, int]]:
    graph = runner.function.graph
    handles = {inside.name: id(outside) for outside, inside in graph.captures}
    rows = {id(variable.handle): int(variable.shape[0]) for variable in graph.variables if variable.shape.rank}
    for operation in graph.get_operations():
        if operation.type not in _LOOKUPS:
            continue
        index = operation.inputs[1]
        while index.op.type in (*_PASSED_ON, "SelectV2"):
            # Keras counts negative ones from the end: where(index < 0, index + size, index)
            index = index.op.inputs[-1 if index.op.type == "SelectV2" else 0]
        table = operation.inputs[0]
        table = table.op.inputs[0] if table.op.type == "ReadVariableOp" else table
        count = rows.get(handles.get(table.name, 0))
        if count is not None and index.op.type == "Placeholder" and index.op.name in runner.signature.input_names:
            yield index.op.name, count


def _of_onnx(runner: OnnxRunner) -> Iterator[tuple[str, int]]:
    import onnx_ir as ir

    for node in ir.load(runner.path).graph.all_nodes():
        if node.op_type != "Gather" or len(node.inputs) != 2 or None in node.inputs:
            continue
        table, index = node.inputs
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        while index is not None and (producer := index.producer()) is not None and producer.op_type in _PASSED_ON:
            index = producer.inputs[0]
        if axis == 0 and index is not None and index.is_graph_input() and table is not None and table.shape is not None:
            size = table.shape[0]
            if table.const_value is not None and isinstance(size, int):
                yield str(index.name), size
