"""Drive something that a graph computes by gradient: a margin across zero, or a difference to its largest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Inputs = Mapping[str, Tensor]
Objective = Callable[[Inputs], Tensor]  # by sample; what is above 0 is reached

_STEPS = 40
_LEAST_STEPS = 8  # on a busy machine, too
_FURTHEST = 1e8
_ENOUGH = 4  # rows that arrived, after which the others need not
_OVERSHOOT = (0.05, 0.5, 2.0)


@dataclass
class Climb:
    """Rows on their way up, with the height that each has reached and how far it may step."""

    inputs: dict[str, Tensor]
    names: list[str]  # of the inputs that move
    height: Tensor
    slope: dict[str, Tensor]
    radius: Tensor


def climb(objective: Objective, inputs: Inputs, deadline: float, seed: int, *, newton: bool = True) -> list[Inputs]:
    """Step by step uphill until what is wanted is reached, time is up, or nothing moves. Returns where the rows are in
    the end, and points a little further on for those that arrived. A step goes as far as the slope says that it takes,
    or without `newton` as far as it may; what does not climb is tried again nearer, and rows on flat ground jump.
    """
    generator = torch.Generator().manual_seed(seed)
    names = [name for name, tensor in inputs.items() if tensor.is_floating_point()]
    if not names:
        return []
    now = {name: tensor.double() if name in names else tensor for name, tensor in inputs.items()}
    size = len(now[names[0]]) if now[names[0]].dim() else 1
    height, slope = _measured(objective, now, names, size)
    spread = torch.sqrt(sum((_flat(now[n], size) ** 2).sum(1) for n in names) + 1e-6)  # type: ignore[arg-type]  # no sum of none
    state = Climb(now, names, height, slope, 0.5 * spread)
    found: list[Inputs] = []
    for step in range(_STEPS):
        if step >= _LEAST_STEPS and time.monotonic() > deadline:
            break
        arrived = state.height > 0
        if newton and int(arrived.sum()) >= min(_ENOUGH, size):
            break
        before = state.inputs
        _step(state, objective, generator, size, newton=newton)
        came = (state.height > 0) & ~arrived
        if newton and bool(came.any()):
            found += [_further(before, state.inputs, names, share) for share in _OVERSHOOT]
    return [state.inputs, *found]


def _further(before: Inputs, now: Inputs, names: list[str], share: float) -> Inputs:
    return {name: t + share * (t - before[name]) if name in names else t for name, t in now.items()}


def _measured(
    objective: Objective, inputs: Inputs, names: list[str], size: int
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    leaves = {n: t.detach().clone().requires_grad_() if n in names else t for n, t in inputs.items()}
    with torch.enable_grad():
        height = objective(leaves)
        if not height.requires_grad:
            return height.detach().expand(size).clone(), {name: torch.zeros_like(inputs[name]) for name in names}
        slopes = torch.autograd.grad(height.sum(), [leaves[name] for name in names], allow_unused=True)
    found = {
        name: torch.zeros_like(inputs[name]) if slope is None else torch.nan_to_num(slope, 0.0, 0.0, 0.0)
        for name, slope in zip(names, slopes, strict=True)
    }
    return torch.nan_to_num(height.detach(), -1e30).expand(size).clone(), found


def _step(state: Climb, objective: Objective, generator: torch.Generator, size: int, *, newton: bool) -> None:
    """One step of every row; what climbs is kept and may step further next, what does not is taken back."""
    steepness = torch.sqrt(sum((_flat(s, size) ** 2).sum(1) for s in state.slope.values()))  # type: ignore[arg-type]  # no sum of none
    flat = ~(steepness > 1e-300)
    divisor = torch.where(flat, torch.ones_like(steepness), steepness)
    length = state.radius
    if newton:
        wanted = (state.height.abs() * 1.02 + 1e-9) / divisor
        length = torch.minimum(wanted, state.radius)
    moved = dict(state.inputs)
    for name in state.names:
        here = state.inputs[name]
        uphill = here + _shaped(length / divisor, here) * state.slope[name]
        reach = 10.0 ** (4 * torch.rand(size, generator=generator, dtype=torch.float64) - 2)
        jump = here + _shaped(reach, here) * torch.randn(here.shape, generator=generator, dtype=torch.float64)
        moved[name] = torch.where(_shaped(flat, here), jump, uphill).clamp(-_FURTHEST, _FURTHEST)
    height, slope = _measured(objective, moved, state.names, size)
    better = (height > state.height) | (flat & (height >= state.height))
    for name in state.names:
        keep = _shaped(better, moved[name])
        state.inputs = {**state.inputs, name: torch.where(keep, moved[name], state.inputs[name])}
        state.slope[name] = torch.where(keep, slope[name], state.slope[name])
    state.height = torch.where(better, height, state.height)
    state.radius = torch.where(better, state.radius * 3, state.radius * 0.3)


def _flat(tensor: Tensor, size: int) -> Tensor:
    return tensor.reshape(size, -1) if tensor.dim() and tensor.shape[0] == size else tensor.reshape(1, -1)


def _shaped(factor: Tensor, like: Tensor) -> Tensor:
    """A number for each row, to be multiplied with the row's tensor."""
    if like.dim() and like.shape[0] == len(factor):
        return factor.reshape(-1, *[1] * (like.dim() - 1))
    return factor[:1].reshape([1] * like.dim())
