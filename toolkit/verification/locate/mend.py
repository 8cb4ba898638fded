"""Prove a cause: give the file's operators what the source's have, and see whether the outputs agree then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ToolkitError
from toolkit.verification.locate import trace
from toolkit.verification.locate.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

Mending = tuple[str, "ir.Node", Trace]  # the output of the file's operator; its counterpart, and the run that it is of


def run(path: Path, mendings: Sequence[Mending], inputs: Mapping[str, np.ndarray[Any, Any]]) -> Trace | None:
    """The file's graph with those operators mended; None where the counterparts do not fit into their places."""
    opened = trace.opened(path, inputs)
    model = opened.model
    for output, theirs, source in mendings:
        ours = next(node for node in model.graph if node.outputs[0].name == output)
        if len(ours.outputs) != len(theirs.outputs):
            return None
        _become(model, ours, theirs, source)
    try:
        return opened.run()
    except ToolkitError:
        return None


def _become(model: ir.Model, ours: ir.Node, theirs: ir.Node, source: Trace) -> None:
    """Take over kind, attributes and weights; what the operator reads of other operators stays as it is."""
    import onnx

    from exporters.graph.operator_table import FUSED

    fixed = trace.Trace(model, {}).fixed
    moving = [value for value in ours.inputs if value is not None and str(value.name) not in fixed]
    ours.op_type, ours.domain = theirs.op_type, theirs.domain
    if theirs.domain == "" and model.opset_imports[""] < source.model.opset_imports[""]:
        ours.domain = FUSED  # the newest meaning of an operator that the file's opset may not have
    model.opset_imports.setdefault(ours.domain, onnx.defs.onnx_opset_version())
    ours.attributes.clear()
    for attribute in theirs.attributes.values():
        ours.attributes.add(attribute)
    ours.resize_inputs(len(theirs.inputs))
    for index, wanted in enumerate(theirs.inputs):
        array = None if wanted is None else source.constant(wanted)
        if wanted is None:
            ours.replace_input_with(index, None)
        elif array is not None:
            ours.replace_input_with(index, _constant(model, f"{ours.outputs[0].name}.mended.{index}", array, wanted))
        elif moving:
            ours.replace_input_with(index, moving.pop(0))


def _constant(model: ir.Model, name: str, array: np.ndarray[Any, Any], wanted: ir.Value) -> ir.Value:
    """The source's weight or constant, as an initializer of its own."""
    import onnx_ir as ir

    dtype = wanted.dtype
    numbers = array if dtype is None else array.astype(dtype.numpy())
    tensor = ir.tensor(numbers, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    value.meta.update(wanted.meta)
    model.graph.register_initializer(value)
    return value
