"""How far every branch of a graph is from being taken: a number for each comparison, limit and divisor, by element.

A comparison of a and b has the margin a - b, a Clip the distance to either limit, a divisor, a logarithm and a root
what they are given. What is made of comparisons carries a margin on: And the smaller of two, Or the larger, Not the
opposite; where both of an And are missed, what they miss adds up. All of it is differentiable, so that a margin can be
driven across zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor, fx

SIDES, ZERO = "sides", "zero"

# What a target is for, and how soon it is tried: conditions first, then limits, divisors, ends of functions.
_CONDITION, _LIMIT, _DIVISOR, _TAIL, KNEE = range(5)

_COMPARISONS = {"Greater": 1.0, "GreaterOrEqual": 1.0, "Less": -1.0, "LessOrEqual": -1.0}
_CARRIED = frozenset({
    "Reshape", "Squeeze", "Unsqueeze", "Slice", "Gather", "Transpose", "Expand", "Flatten", "Identity", "Concat",
    "Split", "Tile",
})  # fmt: skip
_KNEES = {"Relu": (0.0,), "LeakyRelu": (0.0,), "PRelu": (0.0,), "Abs": (0.0,), "Sign": (0.0,), "Elu": (0.0,),
          "HardSigmoid": (-2.5, 2.5), "HardSwish": (-3.0, 3.0), "ThresholdedRelu": (1.0,)}  # fmt: skip
_TAILS = {"Sigmoid": 25.0, "Tanh": 25.0, "Erf": 8.0, "Gelu": 25.0, "Softplus": 25.0, "Swish": 25.0, "Mish": 25.0,
          "Exp": 25.0, "Sin": 100.0, "Cos": 100.0, "Selu": 25.0}  # fmt: skip
_MOST_ENTRIES = 256  # of a table whose entries are aimed at one by one


@dataclass(frozen=True)
class Target:
    """A margin of one node; `want` says whether both signs are wanted, or zero itself. Lower `order` comes first."""

    name: str
    want: str
    order: int


@dataclass
class Values:
    """One run: tensors and fx nodes by the name of their value, and the margins of what is true or false (`soft`)."""

    arrays: Mapping[str, Tensor]
    nodes: Mapping[str, fx.Node]
    calls: Callable[[str, Mapping[str, Tensor]], Tensor]
    soft: dict[str, Tensor]

    def number(self, value: ir.Value | None) -> Tensor:
        """A value as numbers that keep their gradient; of a truth value, its margin."""
        name = str(value.name) if value is not None else ""
        if name in self.soft:
            return self.soft[name]
        return self.arrays[name].to(_float())


def _float() -> Any:
    import torch

    return torch.float64


def of(model: ir.Model, values: Values) -> dict[Target, Tensor]:
    """The margin of every target, by element. A node that cannot be followed has none."""
    found: dict[Target, Tensor] = {}
    for node in model.graph:
        # What is followed here are hints for a search: a shape that does not fit costs a hint, not a verdict.
        with contextlib.suppress(RuntimeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
            _follow(node, values, found)
    return found


@dataclass(frozen=True)
class At:
    """A node that is being followed: its inputs that are there, and where its targets go."""

    node: ir.Node
    values: Values
    found: dict[Target, Tensor]

    @property
    def name(self) -> str:
        return str(self.node.outputs[0].name)

    @property
    def given(self) -> list[ir.Value]:
        return [value for value in self.node.inputs if value is not None]

    def number(self, index: int) -> Tensor:
        return self.values.number(self.given[index])

    def is_soft(self, index: int) -> bool:
        return str(self.given[index].name) in self.values.soft

    def carry(self, margin: Tensor) -> Tensor:
        self.values.soft[self.name] = margin
        return margin

    def target(self, margin: Tensor, order: int, want: str = SIDES, what: str = "") -> None:
        if margin.numel():
            self.found[Target(f"{self.node.op_type} {self.name}{what}", want, order)] = margin


def _follow(node: ir.Node, values: Values, found: dict[Target, Tensor]) -> None:
    follow = _FOLLOWED.get(node.op_type)
    if follow is not None:
        follow(At(node, values, found))


def _ordering(sign: float) -> Callable[[At], None]:
    def follow(at: At) -> None:
        at.target(at.carry(sign * (at.number(0) - at.number(1))), _CONDITION)

    return follow


def _equal(at: At) -> None:
    apart = at.number(0) - at.number(1)
    at.carry(1e-30 - apart.abs())
    at.target(apart, _CONDITION, ZERO)
    at.target(apart, _DIVISOR)


def _logic(at: At) -> None:
    import torch

    a, b = at.number(0), at.number(1)
    at.target(at.carry(_both(a, b) if at.node.op_type == "And" else torch.maximum(a, b)), _CONDITION)


def _both(a: Tensor, b: Tensor) -> Tensor:
    """Above 0 where both are. Below, what both miss adds up, so that coming nearer to either one shows."""
    import torch

    missed = a.clamp(max=0.0) + b.clamp(max=0.0)
    return torch.where(missed < 0, missed, torch.minimum(a, b))


def _not(at: At) -> None:
    if at.is_soft(0):
        at.carry(-at.number(0))


def _not_finite(at: At) -> None:
    at.carry(at.number(0).abs() - 1e7)


def _rounded(at: At) -> None:
    at.carry(at.number(0))


def _product(at: At) -> None:
    if at.is_soft(0) and at.is_soft(1):
        at.carry(_both(at.number(0), at.number(1)))


def _clip(at: At) -> None:
    for index, what in ((1, " low"), (2, " high")):
        if index < len(at.node.inputs) and at.node.inputs[index] is not None:
            at.target(at.number(0) - at.values.number(at.node.inputs[index]), _LIMIT, what=what)


def _larger(at: At) -> None:
    if len(at.given) == 2:
        at.target(at.number(0) - at.number(1), _LIMIT)


def _divisor(index: int) -> Callable[[At], None]:
    def follow(at: At) -> None:
        at.target(at.number(index), _DIVISOR)
        at.target(at.number(index), _DIVISOR, ZERO, " zero")

    return follow


def _tail(at: At) -> None:
    x, end = at.number(0), _TAILS[at.node.op_type]
    at.target(x - end, _TAIL, what=" above")
    at.target(x + end, _TAIL, what=" below")


def _knee(at: At) -> None:
    for knee in _KNEES[at.node.op_type]:
        at.target(at.number(0) - knee, KNEE, what=f" at {knee:g}")


def _carried(at: At) -> None:
    """Sizes and places change, truth values do not: the same operator on the margins."""
    import torch

    if at.node.op_type == "Gather" and at.is_soft(1):
        _entries(at.node, at.values, at.target)
        return
    soft = {str(value.name): at.number(i) for i, value in enumerate(at.given) if at.is_soft(i)}
    if soft and at.values.arrays[at.name].dtype == torch.bool:
        at.carry(at.values.calls(at.name, soft))


def _cast(at: At) -> None:
    """From a truth value its margin goes on; a number that becomes an integer is taken as it was before."""
    source, result = at.values.arrays[str(at.given[0].name)], at.values.arrays[at.name]
    if at.is_soft(0) or (source.is_floating_point() and not result.is_floating_point()):
        at.carry(at.number(0))


def _reduced(at: At) -> None:
    """All or any of truth values, in the shape of the real result."""
    import torch

    if not at.is_soft(0):
        return
    node, margin, result = at.node, at.number(0), at.values.arrays[at.name]
    axes: list[int] = []
    if "axes" in node.attributes:
        axes = list(node.attributes["axes"].as_ints())
    elif len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = at.values.arrays[str(node.inputs[1].name)].tolist()
    axes = axes or list(range(margin.dim()))
    smallest = node.op_type in {"ReduceMin", "ReduceProd"}
    missed = margin.clamp(max=0.0).sum(axes)
    every = torch.where(missed < 0, missed, margin.amin(axes))
    at.carry((every if smallest else margin.amax(axes)).reshape(result.shape))


def _where(at: At) -> None:
    import torch

    if not at.is_soft(0):
        return
    condition = at.number(0)
    if at.values.arrays[at.name].dtype != torch.bool:
        at.target(condition, _CONDITION)
        return
    # a constant truth value counts as certain
    ours, theirs = (at.number(i) if at.is_soft(i) else (2 * at.number(i) - 1) * 1e6 for i in (1, 2))
    margin = torch.maximum(torch.minimum(condition, ours), torch.minimum(-condition, theirs))
    at.target(at.carry(margin), _CONDITION)


def _entries(node: ir.Node, values: Values, target: Callable[..., None]) -> None:
    """The entries of a table that is looked up by a computed number: each is a target of its own."""
    table = node.inputs[0]
    if table is None or table.const_value is None:
        return
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    count = values.arrays[str(table.name)].shape[axis]
    place = values.number(node.inputs[1])
    for entry in range(min(count, _MOST_ENTRIES)):
        target(0.49 - (place - entry - 0.5).abs(), _LIMIT, what=f" entry {entry}")


_FOLLOWED: dict[str, Callable[[At], None]] = {
    **{kind: _ordering(sign) for kind, sign in _COMPARISONS.items()},
    **dict.fromkeys(("And", "Or"), _logic),
    **dict.fromkeys(("IsNaN", "IsInf"), _not_finite),
    **dict.fromkeys(("Floor", "Ceil", "Round"), _rounded),
    **dict.fromkeys(("ReduceMin", "ReduceMax", "ReduceSum", "ReduceMean", "ReduceProd"), _reduced),
    **dict.fromkeys(("Min", "Max"), _larger),
    **dict.fromkeys(("Log", "Sqrt", "Reciprocal", "Pow", "Mod"), _divisor(0)),
    **dict.fromkeys(_TAILS, _tail),
    **dict.fromkeys(_KNEES, _knee),
    **dict.fromkeys(_CARRIED, _carried),
    "Div": _divisor(1),
    "Equal": _equal,
    "Not": _not,
    "Cast": _cast,
    "Mul": _product,
    "Where": _where,
    "Clip": _clip,
}
