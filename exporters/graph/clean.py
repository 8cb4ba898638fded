"""Bring a graph into the one form that the importers read.

1. Functions of the model are inlined, so that every node is an operator.
2. `Constant` nodes become initializers (marked, so that no importer takes them for trained weights).
3. Shapes and dtypes are inferred from the inputs; what the file says of its own is believed where it fits them.
4. What only moves integers about is computed now, sizes that are fixed although others are free too (see `sizes`).
5. `Identity` nodes and nodes whose result nobody uses are removed.

Weights keep their bits and their names: nothing here rounds, fuses or transposes a trained tensor.
"""

from __future__ import annotations

import logging

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph import identities, sizes
from exporters.graph.values import CONSTANT

# A graph that ONNX cannot infer keeps what it declares; the log of that would be a stack trace on the user's terminal.
logging.getLogger("onnx_ir.passes.common.shape_inference").setLevel(logging.CRITICAL)
# Behind operators that ONNX does not know, it may find a shape without a type: no word of that either.
logging.getLogger("onnx_ir.serde").setLevel(logging.ERROR)


def clean(model: ir.Model) -> ir.Model:
    """Clean `model` in place and return it."""
    for step in (
        common.InlinePass(),
        common.RemoveInitializersFromInputsPass(),
        common.LiftSubgraphInitializersToMainGraphPass(),
    ):
        model = step(model).model
    model = lift_constants(model)
    model.functions.clear()  # all inlined by now
    identities.remove(model)
    model = _infer_anew(common.RemoveUnusedNodesPass()(model).model)
    if sizes.carry(model):
        model = common.RemoveUnusedNodesPass()(model).model
    return model


def lift_constants(model: ir.Model) -> ir.Model:
    """Turn `Constant` nodes into initializers and mark them as constants; unused ones may not even have a name."""
    model = common.RemoveUnusedNodesPass()(model).model
    names = {
        node.outputs[0].name for node in model.graph.all_nodes() if node.op_type == "Constant" and node.domain == ""
    }
    for step in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
    ):
        model = step(model).model
    names |= {
        str(value.name) for node in model.graph.all_nodes() if node.op_type == "Range" for value in node.inputs if value
    }  # from where to where one counts, nobody trains
    for name, value in model.graph.initializers.items():
        if name in names:
            value.meta[CONSTANT] = True
    return model


def _infer_anew(model: ir.Model) -> ir.Model:
    """Infer shapes from the inputs alone, then fill in what the file says of the rest.

    A file may say what is no longer true: whoever frees the batch of an exported model edits its input, and the shapes
    within still tell the example's. Where one of them cannot be, no size among them is believed, only how many there
    are.
    """
    declared = forget_shapes(model)
    model = infer_shapes(model)
    free = {
        size.value for value in model.graph.inputs for size in value.shape or () if isinstance(size, ir.SymbolicDim)
    }
    believed = not any(_contradicts(shape, value.shape, free) for value, shape in declared.items())
    for value, shape in declared.items():
        sizes.fill(value, list(shape) if believed else [None] * len(shape))
    return model


def forget_shapes(model: ir.Model) -> dict[ir.Value, ir.Shape]:
    """Take away what the graph notes of shapes between its inputs and its outputs, and return it."""
    values = [value for node in model.graph.all_nodes() for value in node.outputs if not value.is_graph_output()]
    declared = {value: value.shape for value in values if value.shape is not None}
    for value in declared:
        value.shape = None
    return declared


def _contradicts(declared: ir.Shape, inferred: ir.Shape | None, free: set[str | None]) -> bool:
    """Whether a size that was declared fixed is another one, or one of the inputs' free ones."""
    if inferred is None:
        return False
    return len(declared) != len(inferred) or any(
        isinstance(said, int) and said != found and (isinstance(found, int) or found.value in free - {None})
        for said, found in zip(declared, inferred, strict=True)
    )


def infer_shapes(model: ir.Model) -> ir.Model:
    """Fill in shapes and dtypes; a graph that ONNX cannot infer keeps what it declares itself."""
    marked = {name: dict(value.meta) for name, value in model.graph.initializers.items() if value.meta}
    try:
        model = common.ShapeInferencePass(data_prop=True, strict_mode=False)(model).model
    except (onnx.shape_inference.InferenceError, ir.passes.PassError):
        return model
    for name, marks in marked.items():
        if name in model.graph.initializers:
            model.graph.initializers[name].meta.update(marks)
    return model
