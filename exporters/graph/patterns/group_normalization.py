"""Group normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporters.graph.patterns.polynomial import Polynomial, equals, expand, monomial
from exporters.graph.patterns.registry import Step, pattern
from exporters.graph.patterns.statistics import affine, per_axis, statistics
from exporters.graph.values import bare, constant, is_filled_with, producer, rank, same_size, search

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Groups:
    """`x` normalised in groups, before scale and bias."""

    x: ir.Value
    count: int
    epsilon: float
    normal: ir.Value


@pattern("GroupNormalization", roots=("Add", "Mul", "Reshape"), since=21)
def group_normalization(node: ir.Node) -> Step | None:
    """`Reshape(normalise(Reshape(x, [batch, groups, ...])), Shape(x)) * scale + bias`, scale and bias per channel.

    What normalises is InstanceNormalization with scale 1 and bias 0, or layer normalisation's form over all axes
    behind the groups. Not where the second reshaping is not known to restore the shape of x, nor where the first one
    may move samples.
    """
    out = node.outputs[0]
    if node.op_type == "Reshape":
        groups = _groups(node)
        return _step(groups, (), ()) if groups is not None else None
    for reshaping in search(out, ("Reshape",), ("Add", "Mul"), 3):
        groups = _groups(reshaping)
        terms = expand(out, [groups.normal]) if groups is not None else None
        if groups is None or terms is None:
            continue
        main = [variable for term in terms for variable, _ in term if (groups.normal, 1) in term]
        scale = tuple(variable for variable in main if variable is not groups.normal)
        bias = tuple(variable for term in terms for variable, _ in term if (groups.normal, 1) not in term)
        wanted: Polynomial = {monomial(groups.normal, *scale): 1.0} | ({monomial(*bias): 1.0} if bias else {})
        if len(scale) < 2 and len(bias) < 2 and equals(terms, wanted, groups.x):
            return _step(groups, scale, bias)
    return None


def _step(groups: Groups, scale: tuple[ir.Value, ...], bias: tuple[ir.Value, ...]) -> Step | None:
    factor, summand = per_axis(scale, groups.x, (1,), 1.0), per_axis(bias, groups.x, (1,), 0.0)
    if factor is None or summand is None:
        return None
    attributes = {"num_groups": groups.count, "epsilon": groups.epsilon}
    return Step("GroupNormalization", (groups.x, factor, summand), attributes, fused=True)


def _groups(back: ir.Node) -> Groups | None:
    flat = back.inputs[0]
    while (before := producer(flat, "Reshape")) is not None:  # only the last shape counts
        flat = before.inputs[0]
    if flat is None:
        return None
    for grouped, epsilon in _normalised(bare(flat)):
        there = producer(bare(grouped), "Reshape")
        x = there.inputs[0] if there is not None else None
        if there is None or x is None or x.shape is None or grouped.shape is None or len(x.shape) < 3:
            continue
        count, channels = grouped.shape[1], x.shape[1]
        if not (isinstance(count, int) and isinstance(channels, int) and channels % count == 0):
            continue
        if _keeps_samples(there, grouped, x) and _restores(back, x):
            return Groups(x, count, epsilon, back.outputs[0])
    return None


def _normalised(value: ir.Value) -> Iterator[tuple[ir.Value, float]]:
    node = producer(value, "InstanceNormalization")
    if node is not None and node.inputs[0] is not None:
        if is_filled_with(node.inputs[1], 1.0) and is_filled_with(node.inputs[2], 0.0):
            yield node.inputs[0], node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
        return
    for found in statistics(value):
        count = rank(found.x)
        around = affine(value, found)
        plain = around is not None and not around.scale and not around.bias and found.mean is not None
        if plain and count is not None and count > 2 and found.axes == tuple(range(2, count)):
            yield found.x, found.epsilon


def _keeps_samples(there: ir.Node, grouped: ir.Value, x: ir.Value) -> bool:
    asked = constant(there.inputs[1])
    copied = asked is not None and asked[0] == 0 and "allowzero" not in there.attributes
    assert grouped.shape is not None
    assert x.shape is not None
    return copied or same_size(grouped.shape[0], x.shape[0])


def _restores(back: ir.Node, x: ir.Value) -> bool:
    asked = producer(back.inputs[1], "Shape")
    if asked is not None and asked.inputs[0] is x and not asked.attributes:
        return True
    shape = back.outputs[0].shape
    assert x.shape is not None
    return shape is not None and len(shape) == len(x.shape) and all(map(same_size, shape, x.shape))
