"""Bring a graph into the one form that the importers read.

1. Functions of the model are inlined, so that every node is an operator.
2. `Constant` nodes become initializers (marked, so that no importer takes them for trained weights).
3. What only moves integers about is computed now (see `fold`).
4. `Identity` nodes and nodes whose result nobody uses are removed.
5. Shapes and dtypes are inferred, and sizes that are fixed although others are free are computed now (see `sizes`).

Weights keep their bits and their names: nothing here rounds, fuses or transposes a trained tensor.
"""

from __future__ import annotations

import logging

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph import fold, sizes
from exporters.graph.values import CONSTANT

# A graph that ONNX cannot infer keeps what it declares; the log of that would be a stack trace on the user's terminal.
logging.getLogger("onnx_ir.passes.common.shape_inference").setLevel(logging.CRITICAL)


def clean(model: ir.Model) -> ir.Model:
    """Clean `model` in place and return it."""
    for step in (
        common.InlinePass(),
        common.RemoveInitializersFromInputsPass(),
        common.LiftSubgraphInitializersToMainGraphPass(),
    ):
        model = step(model).model
    model = lift_constants(model)
    fold.fold(model)
    model.functions.clear()  # all inlined by now
    model = common.IdentityEliminationPass()(model).model
    model = infer_shapes(common.RemoveUnusedNodesPass()(model).model)
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
    for name, value in model.graph.initializers.items():
        if name in names:
            value.meta[CONSTANT] = True
    return model


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
