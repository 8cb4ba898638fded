"""Fold what scales and shifts channels into the convolution before it: faster, but the weights are new ones.

    Conv -> BatchNormalization        Conv -> Mul, Add or Sub by one number per channel, in any order and number

Convolutions, transposed ones, and Gemm with trained weights. The new weights are computed in float64 and rounded once.
Never done unless it is asked for: folded weights are no longer the source's own bits, nor can a folded normalisation
be trained. What follows a convolution that others read too, or that is an output of the model, stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph.values import Array, constant, integer

_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}  # where the output's channels lie in the weight


@dataclass(frozen=True)
class Affine:
    """`factor * x + shift`, per channel, in float64."""

    factor: Array
    shift: Array


def fold_batchnorm(model: ir.Model) -> int:
    """Fold in place, and return how many operators were folded away."""
    count = 0
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            while (
                node.op_type in _AXIS
                and node.domain == ""
                and (after := _only_reader(node))
                and _fold(model.graph, node, after)
            ):
                count += 1
    common.RemoveUnusedNodesPass()(model)
    return count


def _only_reader(node: ir.Node) -> ir.Node | None:
    out = node.outputs[0]
    readers = list(out.uses())
    if len(readers) != 1 or out.is_graph_output() or readers[0].node.graph is not node.graph:
        return None
    return readers[0].node


def _fold(weights: ir.Graph, node: ir.Node, after: ir.Node) -> bool:
    weight, bias = constant(node.inputs[1]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if weight is None or weight.dtype.kind != "f" or (bias is None and len(node.inputs) > 2 and node.inputs[2]):
        return False
    channels = _channels(node, weight)
    affine = _affine(node, after, channels) if channels is not None else None
    if affine is None or channels is None or (bias is not None and bias.shape != (channels,)):
        return False
    bare = np.zeros(channels) if bias is None else bias.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        new_weight = _scaled(node, weight, affine.factor)
        new_bias = (bare * affine.factor + affine.shift).astype(weight.dtype)
    if not (np.isfinite(new_weight).all() and np.isfinite(new_bias).all()):
        return False
    operands = [node.inputs[0], store(weights, node, 1, new_weight, after)]
    operands.append(store(weights, node, 2, new_bias, after))
    _rewire(node, operands, after)
    return True


def _channels(node: ir.Node, weight: Array) -> int | None:
    if node.op_type == "Gemm":
        plain = all(
            name not in node.attributes or node.attributes[name].as_float() == 1.0 for name in ("alpha", "beta")
        )
        return int(weight.shape[0 if integer(node, "transB", 0) else 1]) if plain else None
    if node.op_type == "ConvTranspose":
        return int(weight.shape[1]) * integer(node, "group", 1)
    return int(weight.shape[0])


def _scaled(node: ir.Node, weight: Array, factor: Array) -> Array:
    if node.op_type == "ConvTranspose":
        groups = integer(node, "group", 1)
        split = weight.reshape(groups, -1, *weight.shape[1:])
        return scaled(split, factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
    axis = 0 if node.op_type == "Conv" or integer(node, "transB", 0) else 1
    shape = [1] * weight.ndim
    shape[axis] = -1
    return scaled(weight, factor.reshape(shape))


def scaled(weight: Array, factor: Array) -> Array:
    """The product in float64, rounded to the weight's dtype piece by piece: a whole one would take twice its memory."""
    product = np.empty_like(weight, order="C")
    np.multiply(weight, factor, out=product, casting="same_kind")
    return product


def _affine(node: ir.Node, after: ir.Node, channels: int) -> Affine | None:
    if after.domain != "":
        return None
    if after.op_type == "BatchNormalization":
        return _normalization(after, channels)
    if after.op_type not in {"Mul", "Add", "Sub"} or (
        after.op_type == "Sub" and after.inputs[0] is not node.outputs[0]
    ):
        return None
    out = node.outputs[0]
    other = after.inputs[1] if after.inputs[0] is out else after.inputs[0]
    numbers = _per_channel(constant(other), node, channels)
    if numbers is None:
        return None
    if after.op_type == "Mul":
        return Affine(numbers, np.zeros(channels))
    return Affine(np.ones(channels), numbers if after.op_type == "Add" else -numbers)


def _normalization(after: ir.Node, channels: int) -> Affine | None:
    used = [value for value in after.outputs[1:] if value.uses() or value.is_graph_output()]
    learned = [constant(value) for value in after.inputs[1:5]]
    if used or integer(after, "training_mode", 0) or integer(after, "spatial", 1) != 1:
        return None
    known = [array.astype(np.float64) for array in learned if array is not None]
    if len(known) != 4 or any(array.shape != (channels,) for array in known):
        return None
    scale, shift, mean, variance = known
    epsilon = after.attributes["epsilon"].as_float() if "epsilon" in after.attributes else 1e-5
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is not folded
        factor = scale / np.sqrt(variance + epsilon)
    return Affine(factor, shift - mean * factor)


def _per_channel(numbers: Array | None, node: ir.Node, channels: int) -> Array | None:
    """One number per channel, if that is how `numbers` is broadcast to the convolution's result."""
    shape = node.outputs[0].shape
    rank = 2 if node.op_type == "Gemm" else None if shape is None else len(shape)
    if numbers is None or rank is None or numbers.ndim > rank or numbers.dtype.kind != "f":
        return None
    full = numbers.reshape([1] * (rank - numbers.ndim) + list(numbers.shape))
    if full.size == 1:
        return np.full(channels, float(full.reshape(-1)[0]))
    if full.shape != tuple(channels if axis == 1 else 1 for axis in range(rank)):
        return None
    return full.reshape(-1).astype(np.float64)


def store(weights: ir.Graph, node: ir.Node, position: int, array: Array, after: ir.Node) -> ir.Value:
    """The new weight, under the old one's name where nobody else uses that."""
    old = node.inputs[position] if position < len(node.inputs) else None
    if old is not None and len(old.uses()) == 1 and old.name in weights.initializers and not old.is_graph_output():
        old.const_value = ir.tensor(array, name=old.name)
        return old
    name = _new_name(node, position, after)
    while name in weights.initializers:
        name += "_"
    tensor: Any = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    weights.register_initializer(value)
    return value


def _new_name(node: ir.Node, position: int, after: ir.Node) -> str:
    """A bias is called after the weight beside it, `conv1.bias` for `conv1.weight`; all else after what it gives."""
    weight = node.inputs[1].name if node.inputs[1] is not None else None
    if position == 2 and weight and weight.endswith(".weight"):
        return f"{weight.removesuffix('weight')}bias"
    return f"{after.outputs[0].name}.{'weight' if position == 1 else 'bias'}"


def _rewire(node: ir.Node, operands: list[ir.Value | None], after: ir.Node) -> None:
    graph, old, result = node.graph, node.outputs[0], after.outputs[0]
    assert graph is not None
    node.resize_inputs(len(operands))
    for index, value in enumerate(operands):
        node.replace_input_with(index, value)
    name = result.name
    ir.convenience.replace_all_uses_with(result, old, replace_graph_outputs=True)
    old.shape, old.type = result.shape, result.type
    graph.remove(after, safe=True)
    old.name = name
