"""Put a constant that is added to a product into the layer that the product becomes.

1. `Add(MatMul(x, W), b)`, W a constant matrix and b a constant with one number per column: the MatMul gets b as a third
   input, which ONNX's operator does not have and this target's function takes: one Dense layer with its own bias.
2. `Add(Conv(x, W), b)`, b a constant with one number per channel: b becomes the Conv's bias.

Either order of the Add's operands is taken; a product that anything else reads stays as it is.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir


def absorb(model: ir.Model) -> ir.Model:
    """Rewrite `model` in place and return it."""
    for node in list(model.graph):
        if node.op_type == "Add" and not node.domain and not node.attributes:
            _absorb(node, model.graph)
    return model


def _absorb(add: ir.Node, graph: ir.Graph) -> None:
    for value, bias in (add.inputs, add.inputs[::-1]):
        product = value.producer() if value is not None else None
        if product is None or value is None or bias is None or len(value.uses()) != 1 or value.is_graph_output():
            continue
        vector = _bias(product, bias)
        if vector is not None:
            product.resize_inputs(3)
            product.replace_input_with(2, vector)
            ir.convenience.replace_all_uses_with(add.outputs[0], value, replace_graph_outputs=True)
            graph.remove(add, safe=True)
            return


def _bias(product: ir.Node, bias: ir.Value) -> ir.Value | None:
    """`bias` as the vector that `product` can take, if it is one number per column or channel."""
    rule = {"MatMul": _per_column, "Conv": _per_channel}.get(product.op_type)
    weight = _array(product.inputs[1]) if rule is not None and not product.domain else None
    array = _array(bias)
    if rule is None or weight is None or array is None or weight.dtype != array.dtype:
        return None
    if not rule(product, weight, array):
        return None
    if array.ndim == 1:
        return bias
    tensor = ir.tensor(array.reshape(-1), name=bias.name)
    shape = ir.Shape([array.size])
    return ir.Value(name=bias.name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)


def _array(value: ir.Value | None) -> Any:
    """The floating-point array of an initializer."""
    if value is None or not value.is_initializer() or value.const_value is None:
        return None
    return value.const_value.numpy() if value.const_value.dtype.is_floating_point() else None


def _per_column(product: ir.Node, weight: Any, bias: Any) -> bool:
    x = product.inputs[0]
    rank = len(x.shape) if x is not None and x.shape is not None else 0
    alone = bool(bias.ndim) and bias.size == bias.shape[-1] == weight.shape[-1]
    return weight.ndim == 2 and alone and bias.ndim <= rank and rank >= 2


def _per_channel(product: ir.Node, weight: Any, bias: Any) -> bool:
    """Channels lie on axis 1 of the product, so that many sizes of 1 follow them in the bias."""
    spatial = weight.ndim - 2
    channels = bias.shape[-spatial - 1] if bias.ndim in (spatial + 1, spatial + 2) else 0
    bare = len(product.inputs) < 3 or product.inputs[2] is None
    return bare and channels == weight.shape[0] == bias.size
