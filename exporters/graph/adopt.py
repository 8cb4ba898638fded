"""Operators that ONNX Runtime writes into ONNX's own domain although ONNX has none of that name at that opset.

They move to ONNX Runtime's domain, where the importers look for them and ONNX's checker does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from exporters.graph.protos import all_nodes

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "com.microsoft"
# Operator -> the opset from which it is ONNX's own.
OWNED_FROM = {"LayerNormalization": 17, "SimplifiedLayerNormalization": 1 << 31}


def is_foreign(operator: str, domain: str, opset: int) -> bool:
    """Whether ONNX Runtime alone knows `operator` in ONNX's domain at `opset`."""
    return domain in ("", "ai.onnx") and opset < OWNED_FROM.get(operator, 0)


def adopted_proto(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A copy for the checker with such operators moved, without weights that lie outside the file; None if none is."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not any(is_foreign(node.op_type, node.domain, opset) for node in all_nodes(model.graph)):
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in all_nodes(copy.graph):
        if is_foreign(node.op_type, node.domain, opset):
            node.domain = DOMAIN
    if not any(entry.domain == DOMAIN for entry in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    outside = [t for t in copy.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    declared = {value.name for value in copy.graph.input}
    for tensor in outside:
        if tensor.name not in declared:
            copy.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        copy.graph.initializer.remove(tensor)
    return copy


def adopt(model: ir.Model) -> ir.Model:
    """Move such operators of `model`, in place."""
    opset = model.opset_imports.get("", 0)
    for node in model.graph.all_nodes():
        if is_foreign(node.op_type, node.domain, opset):
            node.domain = DOMAIN
            model.opset_imports.setdefault(DOMAIN, 1)
    return model
