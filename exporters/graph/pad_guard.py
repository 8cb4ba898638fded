"""Keep ONNX Runtime from folding a Pad of zeros into the MaxPool behind it.

Its optimization Pad_Fusion (1.31 and before) forgets that the padding was zero, and pads with minus infinity. It looks
for a zero bit by bit, so that minus zero, which is the same number, stays out of its reach.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_SAFE = "pad_guard.minus_zero"


def guard(model: ir.Model) -> None:
    """Give every Pad of zeros before a MaxPool the constant -0.0, in place."""
    for node in list(model.graph.all_nodes()):
        pad = node.inputs[0].producer() if node.op_type == "MaxPool" and node.inputs[0] is not None else None
        if pad is not None and pad.op_type == "Pad" and _pads_zeros(pad):
            _pad_with_minus_zero(model, pad)


def _pads_zeros(pad: ir.Node) -> bool:
    """A constant Pad of nothing else than zeros, as an operator of opset 11 or newer has it."""
    mode = pad.attributes.get_string("mode", "constant")
    if mode != "constant" or len(pad.inputs) < 2:
        return False
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    if value is None:
        return True
    constant = ir.convenience.get_const_tensor(value)
    return constant is not None and not np.any(constant.numpy())


def _pad_with_minus_zero(model: ir.Model, pad: ir.Node) -> None:
    dtype = pad.outputs[0].dtype or (pad.inputs[0].dtype if pad.inputs[0] is not None else None)
    if dtype is None or not dtype.is_floating_point():
        return  # the fusion needs to know that it is a float, too
    name = f"{_SAFE}.{dtype.name.lower()}"
    value = model.graph.initializers.get(name)
    if value is None:
        tensor = ir.tensor(np.array(-0.0, dtype.numpy()), name=name)
        value = ir.Value(name=name, shape=ir.Shape([]), type=ir.TensorType(dtype), const_value=tensor)
        model.graph.register_initializer(value)
    if len(pad.inputs) < 3:
        pad.resize_inputs(3)
    pad.replace_input_with(2, value)
