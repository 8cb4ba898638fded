"""Which operators compute the same in another axis order, and what of them changes with it.

`movable(node, rank)` gives a Movable, or None. Its `inputs` and `outputs` are the positions of the tensors that must
all be in one order; `turn(perm)` rewrites the node for inputs transposed by `perm`. Tensors of another rank, and
constants, are the node's own business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

Perm = tuple[int, ...]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Movable:
    """How a node takes part: tensors in one order, and what to do for another."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    turn: Callable[[Perm], None]
    allows: Callable[[Perm], bool] = lambda _: True


def movable(node: ir.Node, rank: int) -> Movable | None:
    """How `node` can work on tensors of `rank` in another order; None where it cannot."""
    form = _FORMS.get(node.op_type) if node.domain == "" else None
    found = form(node, rank) if form else None
    if found is None or any(node.inputs[index].is_initializer() for index in found.inputs):  # type: ignore[union-attr]  # forms name inputs that are there
        return None
    return found


def rank_of(value: ir.Value | None) -> int | None:
    return len(value.shape) if value is not None and value.shape is not None else None


def constant(value: ir.Value | None) -> Array | None:
    """The value of an initializer; None where it is not known."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return value.const_value.numpy()


def keeps_order(shape: ir.Shape, perm: Perm) -> bool:
    """Whether transposing by `perm` moves no element: the axes that are longer than 1 stay in their order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def _pointwise(node: ir.Node, rank: int) -> Movable | None:
    """One tensor; whatever else it takes is a scalar."""
    if rank_of(node.inputs[0]) != rank or not all(_is_scalar(value) for value in node.inputs[1:]):
        return None
    return Movable((0,), (0,), _nothing)


def _is_scalar(value: ir.Value | None) -> bool:
    return value is None or (value.shape is not None and all(size == 1 for size in value.shape))


def _nothing(_: Perm) -> None:
    """The node is the same in every order."""


def _broadcast(node: ir.Node, rank: int) -> Movable | None:
    """Several tensors, broadcast: constants are transposed, all others must have the full rank or be scalars."""
    if rank_of(node.outputs[0]) != rank:
        return None
    tensors, constants = [], []
    for index, value in enumerate(node.inputs):
        array = constant(value)
        if array is not None:
            constants += [index] if array.size > 1 else []
        elif rank_of(value) == rank:
            tensors.append(index)
        elif not _is_scalar(value):
            return None
    if not tensors:
        return None

    def turn(perm: Perm) -> None:
        for index in constants:
            array = constant(node.inputs[index])
            assert array is not None
            _set_constant(node, index, array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(perm))

    return Movable(tuple(tensors), (0,), turn)


def _set_constant(node: ir.Node, index: int, array: Array) -> None:
    """Give the node's input a new initializer, the old one being somebody else's too."""
    old, graph = node.inputs[index], node.graph
    assert old is not None
    assert isinstance(graph, ir.Graph)
    name = f"{old.name}__{'x'.join(map(str, array.shape))}__{node.name or node.outputs[0].name}_{index}"
    while name in graph.initializers:
        name += "_"
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=old.type)
    value.const_value = ir.tensor(np.ascontiguousarray(array), name=name)
    node.replace_input_with(index, value)
    graph.register_initializer(value)


def _softmax(node: ir.Node, rank: int) -> Movable | None:
    """Before opset 13 it is one over all axes from the one that is named on, which another order would part."""
    assert node.graph is not None
    return _along(node, rank) if node.graph.opset_imports.get("", 0) >= _OF_ONE_AXIS else None


_OF_ONE_AXIS = 13


def _along(node: ir.Node, rank: int) -> Movable | None:
    """One tensor, along one axis that is given as an attribute."""
    if rank_of(node.inputs[0]) != rank or "axis" not in node.attributes:
        return None
    axis = node.attributes["axis"].as_int() % rank
    return Movable((0,), tuple(range(len(node.outputs))), lambda perm: _set_axis(node, perm.index(axis)))


def _set_axis(node: ir.Node, axis: int) -> None:
    node.attributes["axis"] = ir.AttrInt64("axis", axis)


def _concat(node: ir.Node, rank: int) -> Movable | None:
    """Along one axis; constants among its inputs are transposed."""
    if any(rank_of(value) != rank for value in node.inputs):
        return None
    axis = node.attributes["axis"].as_int() % rank
    constants = [index for index, value in enumerate(node.inputs) if constant(value) is not None]
    tensors = tuple(index for index in range(len(node.inputs)) if index not in constants)

    def turn(perm: Perm) -> None:
        _set_axis(node, perm.index(axis))
        for index in constants:
            array = constant(node.inputs[index])
            assert array is not None
            _set_constant(node, index, array.transpose(perm))

    return Movable(tensors, (0,), turn) if tensors else None


def _reduction(node: ir.Node, rank: int) -> Movable | None:
    """Over axes that are known; where they vanish, those that are left must stay in their order."""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if rank_of(node.inputs[0]) != rank or axes is None or axes.size == 0:
        return None
    reduced = [int(axis) % rank for axis in axes]
    keeps = _attribute(node, "keepdims", 1)

    def turn(perm: Perm) -> None:
        _set_constant(node, 1, np.array(sorted(perm.index(axis) for axis in reduced), np.int64))

    def allows(perm: Perm) -> bool:
        return bool(keeps) or _stay_in_order(perm, reduced)

    return Movable((0,), (0,) if keeps else (), turn, allows)


def _stay_in_order(perm: Perm, removed: Sequence[int]) -> bool:
    left = [axis for axis in perm if axis not in removed]
    return left == sorted(left)


def _squeeze(node: ir.Node, rank: int) -> Movable | None:
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if rank_of(node.inputs[0]) != rank or axes is None:
        return None
    removed = [int(axis) % rank for axis in axes]

    def turn(perm: Perm) -> None:
        _set_constant(node, 1, np.array(sorted(perm.index(axis) for axis in removed), np.int64))

    return Movable((0,), (), turn, lambda perm: _stay_in_order(perm, removed))


def _pad(node: ir.Node, rank: int) -> Movable | None:
    if len(node.inputs) == 1:  # opset 10 and older
        return None
    pads, axes = constant(node.inputs[1]), (constant(node.inputs[3]) if len(node.inputs) > 3 else None)
    if rank_of(node.inputs[0]) != rank or pads is None or (len(node.inputs) > 3 and axes is None):
        return None
    if len(node.inputs) > 2 and not _is_scalar(node.inputs[2]) and node.inputs[2] is not None:
        return None
    given = [int(axis) % rank for axis in axes] if axes is not None else list(range(rank))

    def turn(perm: Perm) -> None:
        assert pads is not None
        if axes is not None:
            _set_constant(node, 3, np.array([perm.index(axis) for axis in given], np.int64))
        else:
            _set_constant(node, 1, pads.reshape(2, rank)[:, list(perm)].reshape(-1))

    return Movable((0,), (0,), turn)


def _slice(node: ir.Node, rank: int) -> Movable | None:
    if rank_of(node.inputs[0]) != rank or len(node.inputs) < 4 or (axes := constant(node.inputs[3])) is None:
        return None
    given = [int(axis) % rank for axis in axes]

    def turn(perm: Perm) -> None:
        _set_constant(node, 3, np.array([perm.index(axis) for axis in given], axes.dtype))

    return Movable((0,), (0,), turn)


def _tile(node: ir.Node, rank: int) -> Movable | None:
    repeats = constant(node.inputs[1])
    if rank_of(node.inputs[0]) != rank or repeats is None:
        return None
    return Movable((0,), (0,), lambda perm: _set_constant(node, 1, repeats[list(perm)]))


def _reshape(node: ir.Node, rank: int) -> Movable | None:
    """Where no element moves, the same elements are in the same places for it."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    target = constant(node.inputs[1])
    if shape is None or len(shape) != rank or target is None or (target == 0).any():
        return None
    return Movable((0,), (), _nothing, lambda perm: keeps_order(shape, perm))


def _attribute(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


_POINTWISE = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu",
    "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish",
    "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
_BROADCAST = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod",
    "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip
_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip

_FORMS: dict[str, Callable[[ir.Node, int], Movable | None]] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _softmax),
    "Split": _along,
    "Concat": _concat,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": _tile,
}
