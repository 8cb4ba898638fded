"""Reshape, Flatten, Squeeze and Unsqueeze of tensors held in another order than ONNX's: in that order, where it can be.

Channels of an image are split and merged while they stay last; a transpose is put in only where axes that are merged do
not lie side by side, and then towards the order that the operators behind ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras import KerasTensor, ops

from exporters.graph import layout, regroup
from exporters.graph.layout import Order
from exporters.graph.sizes.extent import REST, Extent
from exporters.onnx_to_keras import reshape, shape
from exporters.onnx_to_keras.operand import Constant, Length, Size, Sizes
from exporters.onnx_to_keras.operators import KERAS

if TYPE_CHECKING:
    import onnx_ir as ir

    from exporters.onnx_to_keras.builder import Builder

_FAR = 12  # operators that are looked past for one that asks for an order


def regrouped(builder: Builder, node: ir.Node, operands: list[Any]) -> tuple[KerasTensor, Order] | None:
    """The result of `node` and the order it is held in; None where it is to be computed in ONNX's order."""
    value, held = node.inputs[0], operands[0]
    if node.domain or value is None or not isinstance(held, KerasTensor) or builder.order_of(value).is_source:
        return None
    if node.op_type in ("Unsqueeze", "Squeeze"):
        axes = _axes(node, operands)
        return None if axes is None else _ONES[node.op_type](held, builder.order_of(value), axes)
    given = builder.shape_of(value, held)
    wanted = _WANTED[node.op_type](node, operands, given) if node.op_type in _WANTED else None
    if wanted is None:
        return None
    plan = regroup.regroup(
        builder.order_of(value), _extents(given), _extents(wanted), wish(builder, node.outputs[0], _FAR)
    )
    if plan is None or plan.before.is_source:
        return None
    before, after = plan.before, plan.after
    sizes = _settled(wanted, given)
    x = builder.held(value, before)
    held, shape = list(before.held(given)), list(after.held(sizes))
    result = reshape.reshaped(x, shape, held, False, builder.scope)  # type: ignore[arg-type]  # settled: none is unknown
    return result, after


def wish(builder: Builder, value: ir.Value, left: int) -> Order | None:
    """The order that the first operators behind `value` that are not indifferent work in."""
    rank = len(value.shape) if value.shape is not None else None
    if rank is None or left == 0:
        return None
    for node, index in value.uses():
        row = KERAS.lookup_node(node, builder.model)
        if row is None or (index > 0 and row.layout not in (layout.ELEMENTWISE, layout.AXIS)):
            continue
        if row.layout == layout.CHANNELS:
            return layout.channels_last(rank)
        if row.layout in (layout.ELEMENTWISE, layout.AXIS) and node.outputs[0].shape is not None:
            found = wish(builder, node.outputs[0], left - 1) if len(node.outputs[0].shape) == rank else None
            if found is not None:
                return found
    return None


def _extents(sizes: Sequence[Length]) -> list[Extent]:
    return [_extent(size) for size in sizes]


def _extent(size: Length) -> Extent:
    if isinstance(size, int):
        return REST if size == -1 else Extent(size)
    if isinstance(size, Size):
        return Extent(size.factor, (size.symbol,))
    return Extent(1, (f"#{id(size)}",))


def _settled(wanted: list[Length], given: list[Length]) -> list[Length]:
    """`wanted` with sizes of one name being one object: the source's."""
    own = {size: size for size in given if isinstance(size, Size)}
    return [own.get(size, size) if isinstance(size, Size) else size for size in wanted]


def _reshape(node: ir.Node, operands: list[Any], given: list[Length]) -> list[Length] | None:
    if len(operands) < 2 or not isinstance(operands[1], Constant | Sizes):
        return None
    allowzero = "allowzero" in node.attributes and bool(node.attributes["allowzero"].as_int())
    names = [getattr(dim, "value", dim) for dim in node.outputs[0].shape or []]
    return reshape.wanted_shape(operands[1].array.reshape(-1).tolist(), given, names, allowzero=allowzero)


def _flatten(node: ir.Node, _: list[Any], given: list[Length]) -> list[Length] | None:
    """(batch, all the rest): the usual one; other splits stay in ONNX's order."""
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    return [given[0], -1] if axis % len(given) == 1 else None


def _axes(node: ir.Node, operands: list[Any]) -> list[int] | None:
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    known = len(operands) > 1 and isinstance(operands[1], Constant)
    return [int(axis) for axis in operands[1].array.reshape(-1)] if known else None


def _unsqueeze(x: KerasTensor, order: Order, axes: list[int]) -> tuple[KerasTensor, Order]:
    """Each new axis right before the one that follows it in ONNX's order, or last."""
    rank = order.rank + len(axes)
    new = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in new]
    held = [kept[axis] for axis in order.axes]
    for axis in sorted(new, reverse=True):
        place = held.index(axis + 1) if axis + 1 in held else len(held)
        held.insert(place, axis)
        x = ops.expand_dims(x, place)
    return x, Order(tuple(held))


def _squeeze(x: KerasTensor, order: Order, axes: list[int]) -> tuple[KerasTensor, Order]:
    return shape.squeeze(x, [order.place(axis) for axis in axes]), order.without(axes)


_WANTED = {"Reshape": _reshape, "Flatten": _flatten}
_ONES = {"Unsqueeze": _unsqueeze, "Squeeze": _squeeze}
