"""A graph in a newer opset. There is no lossless way to an older one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

_OURS_FROM = 18  # ONNX Script converts from here on; up to here only ONNX's own converter knows every operator
# The converters say on the log, with a stack trace, what they do not do; whoever asked sees it by the opset.
logging.getLogger("onnxscript.version_converter").setLevel(logging.CRITICAL)


def opset_of(model: ir.Model, default: int) -> int:
    """The version of ONNX's own operators that a graph uses; `default` where it uses none."""
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", default))


def raised(model: ir.Model, opset: int) -> ir.Model:
    """The graph in `opset`, or as near to it as the converters bring it; one that is newer stays as it is."""
    from onnxscript.version_converter import ConvertVersionPass

    for step in (min(opset, _OURS_FROM), opset):
        if opset_of(model, opset) < step:
            names = {name: value.const_value for name, value in model.graph.initializers.items()}
            old = opset_of(model, opset) < _OURS_FROM
            model = ConvertVersionPass(target_version=step, fallback=old)(model).model
            _keep_weights(model, names)
    return model


def _keep_weights(model: ir.Model, before: dict[str, ir.TensorProtocol | None]) -> None:
    """ONNX's converter is not shown large weights; they come back as they were."""
    for name, tensor in before.items():
        value = model.graph.initializers.get(name)
        if value is not None and value.const_value is None:
            value.const_value = tensor
