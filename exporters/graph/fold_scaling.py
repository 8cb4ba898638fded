"""Fold what scales channels into the convolution after it: the preprocessing that a model brings along.

    x -> Mul, Div, Add or Sub by one number per channel, in any order and number -> Conv

becomes `Conv(x + shift)`, with the scales in the weights, or `Conv(x)` where nothing is shifted. In between there may
be transposes, and padding with zeros, which stay zeros when they are scaled; that is why the shift stays where it was.
So does the precision: an image is centred before its pixels are multiplied, as it was.

The new weights are computed in float64 and rounded once. As in `fold_batchnorm`, never done unless it is asked for, and
not where others read what lies between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph.fold_batchnorm import scaled, store
from exporters.graph.values import CONSTANT, Array, constant, integer, ints, permutation, producer, rank, scalar

_PRECISE = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})
_AFFINE = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True)
class Chain:
    """`factor * x + shift` of what the convolution reads: of `x` and its `axis` of channels, through `steps`."""

    x: ir.Value
    axis: int
    factor: Array
    shift: Array
    steps: tuple[ir.Node, ...] = ()


def fold_scaling(model: ir.Model) -> int:
    """Fold in place, and return how many operators were folded away."""
    before = sum(1 for _ in model.graph.all_nodes())
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "Conv" and node.domain == "":
                _fold(model.graph, node)
    common.RemoveUnusedNodesPass()(model)
    return before - sum(1 for _ in model.graph.all_nodes())


def _fold(weights: ir.Graph, node: ir.Node) -> None:
    x, kernel = node.inputs[:2]
    depth = kernel.const_value.shape[1] if kernel is not None and kernel.const_value is not None else None
    if x is None or kernel is None or not isinstance(depth, int) or kernel.dtype not in _PRECISE:
        return
    groups = integer(node, "group", 1)
    chain = _chain(x, depth * groups, node)
    weight = constant(kernel) if chain is not None else None
    if chain is None or weight is None:
        return
    with np.errstate(all="ignore"):  # what is not finite is not folded
        split = weight.reshape(groups, -1, *weight.shape[1:])
        factor = chain.factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
        new_weight = scaled(split, factor).reshape(weight.shape)
        shift = (chain.shift / chain.factor).astype(weight.dtype)
    if np.isfinite(new_weight).all() and np.isfinite(shift).all() and (chain.factor != 0).all():
        node.replace_input_with(1, store(weights, node, 1, new_weight, node))
        _rewire(weights, chain, shift)


def _chain(x: ir.Value, channels: int, reader: ir.Node) -> Chain | None:
    """The longest chain before `reader` that ends in an operator that scales; None where there is none."""
    found: Chain | None = None
    here = Chain(x, 1, np.ones(channels), np.zeros(channels))
    while (node := producer(here.x, *_AFFINE, "Transpose", "Pad")) is not None and _is_only_for(here.x, reader):
        if node.graph is not reader.graph or node.inputs[0] is None:
            break
        longer = _moved(node, here) if node.op_type in {"Transpose", "Pad"} else _scaled(node, here)
        if longer is None:
            break
        here, reader = longer, node
        if node.op_type in {"Mul", "Div"} or (found is not None and node.op_type in _AFFINE):
            found = here
    return found


def _is_only_for(value: ir.Value, reader: ir.Node) -> bool:
    return not value.is_graph_output() and [use.node for use in value.uses()] == [reader]


def _moved(node: ir.Node, chain: Chain) -> Chain | None:
    """Before a transpose the channels lie elsewhere; padding with zeros may not come behind a shift."""
    x = node.inputs[0]
    assert x is not None
    if node.op_type == "Transpose":
        order = permutation(node)
        return None if order is None else replace(chain, x=x, axis=order[chain.axis], steps=(*chain.steps, node))
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    value = scalar(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else 0.0
    amounts = ints(node, "pads", 1)
    if mode != "constant" or value != 0.0 or "value" in node.attributes or not amounts or chain.shift.any():
        return None
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return None  # pads of some axes only: rare enough
    if amounts[chain.axis] or amounts[chain.axis + len(amounts) // 2]:
        return None
    return replace(chain, x=x, steps=(*chain.steps, node))


def _scaled(node: ir.Node, chain: Chain) -> Chain | None:
    left, right = node.inputs
    inner, other = (left, right) if _known(right) is not None else (right, left)
    if inner is None or inner.shape is None or rank(inner) != rank(node.outputs[0]):
        return None
    if inner.shape[chain.axis] != len(chain.factor):
        return None
    if node.op_type in {"Sub", "Div"} and inner is not left:
        return None
    numbers = _per_channel(_known(other), chain, len(inner.shape))
    if numbers is None:
        return None
    with np.errstate(all="ignore"):
        if node.op_type in {"Mul", "Div"}:
            factor = chain.factor * (numbers if node.op_type == "Mul" else 1.0 / numbers)
            return replace(chain, x=inner, factor=factor, steps=(*chain.steps, node))
        moved = chain.factor * (numbers if node.op_type == "Add" else -numbers)
    return replace(chain, x=inner, shift=chain.shift + moved, steps=(*chain.steps, node))


def _known(value: ir.Value | None) -> Array | None:
    """A constant, or the larger of two: so Keras keeps from dividing by nothing."""
    larger = producer(value, "Max")
    if larger is not None and len(larger.inputs) == 2:
        one, other = (constant(given) for given in larger.inputs)
        return None if one is None or other is None else np.maximum(one, other)
    return constant(value)


def _per_channel(numbers: Array | None, chain: Chain, count: int) -> Array | None:
    """One number per channel, if that is how `numbers` is broadcast."""
    if numbers is None or numbers.dtype.kind != "f" or numbers.ndim > count:
        return None
    full = numbers.reshape([1] * (count - numbers.ndim) + list(numbers.shape)).astype(np.float64)
    channels = len(chain.factor)
    if full.size == 1:
        return np.full(channels, full.item())
    return full.reshape(-1) if full.shape == tuple(channels if i == chain.axis else 1 for i in range(count)) else None


def _rewire(weights: ir.Graph, chain: Chain, shift: Array) -> None:
    """Leave out every step that scales or shifts; the sum, if there is one, comes where the first of them was."""
    steps = [step for step in chain.steps if step.op_type in _AFFINE]
    first = steps[-1] if shift.any() else None
    for step in steps:
        result = _shifted(weights, step, chain, shift) if step is first else _given(step, chain)
        ir.convenience.replace_all_uses_with(step.outputs[0], result)


def _given(step: ir.Node, chain: Chain) -> ir.Value:
    """Which input of a step the chain comes from."""
    return next(
        value for value in step.inputs if value is not None and (value is chain.x or value.producer() in chain.steps)
    )


def _shifted(weights: ir.Graph, first: ir.Node, chain: Chain, shift: Array) -> ir.Value:
    """What the chain reads, shifted, by one number where that does for all channels."""
    shape = [1] * len(chain.x.shape or ())
    shape[chain.axis] = len(shift)
    number = np.asarray(shift[0]) if bool((shift == shift[0]).all()) else shift.reshape(shape)
    old, graph = first.outputs[0], first.graph
    tensor = ir.tensor(number, name=f"{old.name}.shift")
    value = ir.Value(
        name=tensor.name, shape=ir.Shape(number.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    value.meta[CONSTANT] = True
    weights.register_initializer(value)
    added = ir.Node("", "Add", [chain.x, value], num_outputs=1)
    result = added.outputs[0]
    result.name, result.shape, result.type = f"{old.name}.shifted", chain.x.shape, chain.x.type
    assert graph is not None
    graph.insert_before(first, added)
    return result
