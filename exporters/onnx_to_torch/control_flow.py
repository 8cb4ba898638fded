"""If, Loop and Scan: modules that TorchScript compiles to real control flow.

A subgraph becomes an `fx.GraphModule` of its own. What it uses from outside comes in as a list of tensors, so that
every branch and body has one signature, whatever it captures; the builder knows which list belongs to which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exporters.onnx_to_torch.table import TORCH


class If(nn.Module):
    """ONNX If: the outputs of the branch that the condition picks."""

    def __init__(self, then_branch: nn.Module, else_branch: nn.Module) -> None:
        super().__init__()
        self.then_branch = then_branch
        self.else_branch = else_branch

    def forward(self, cond: Tensor, then_captured: list[Tensor], else_captured: list[Tensor]) -> list[Tensor]:
        if bool(cond.item()):
            picked: list[Tensor] = self.then_branch(then_captured)
        else:
            picked = self.else_branch(else_captured)
        return picked


class Loop(nn.Module):
    """ONNX Loop: the carried values after the last iteration, then what each iteration gave, stacked.

    Args:
        body: takes the iteration, the condition, the carried values and the captured ones; gives the next condition,
            the next carried values and the values to stack.
        carried: how many values are carried.
        stacked: how many values are stacked.
    """

    def __init__(self, body: nn.Module, carried: int, stacked: int) -> None:
        super().__init__()
        self.body = body
        self.carried = carried
        self.stacked = stacked

    def forward(
        self, trip_count: Tensor | None, condition: Tensor | None, state: list[Tensor], captured: list[Tensor]
    ) -> list[Tensor]:
        going = condition if condition is not None else torch.ones([1], dtype=torch.bool)
        limit = 9223372036854775807 if trip_count is None else int(trip_count.item())
        steps: list[list[Tensor]] = []
        iteration = 0
        while iteration < limit and bool(going.item()):
            given: list[Tensor] = self.body([torch.tensor(iteration), going] + state, captured)  # noqa: RUF005 - TorchScript
            going = given[0]
            state = given[1 : self.carried + 1]
            steps.append(given[self.carried + 1 :])
            iteration += 1
        results = list(state)
        for i in range(self.stacked):
            column = [step[i] for step in steps]
            results.append(torch.stack(column) if len(column) > 0 else torch.empty([0]))
        return results


class Scan(nn.Module):
    """ONNX Scan: a body run over slices of its inputs.

    Args:
        body: takes the state and one slice of each scanned input; gives the next state and slices of the outputs.
        states: how many state values there are.
        stacked: how many outputs are stacked.
        input_axes, input_directions: per scanned input, the axis and whether it is read backwards (1).
        output_axes, output_directions: the same for the outputs.
    """

    def __init__(
        self,
        body: nn.Module,
        states: int,
        stacked: int,
        input_axes: list[int],
        input_directions: list[int],
        output_axes: list[int],
        output_directions: list[int],
    ) -> None:
        super().__init__()
        self.body = body
        self.states = states
        self.stacked = stacked
        self.input_axes = input_axes
        self.input_directions = input_directions
        self.output_axes = output_axes
        self.output_directions = output_directions

    def forward(self, inputs: list[Tensor], captured: list[Tensor]) -> list[Tensor]:
        state = inputs[: self.states]
        scanned: list[Tensor] = []
        for i, value in enumerate(inputs[self.states :]):
            moved = value.movedim(self.input_axes[i], 0)
            scanned.append(moved.flip([0]) if self.input_directions[i] == 1 else moved)
        steps: list[list[Tensor]] = []
        for t in range(scanned[0].shape[0]):
            given: list[Tensor] = self.body(state + [value[t] for value in scanned], captured)
            state = given[: self.states]
            steps.append(given[self.states :])
        results = list(state)
        for i in range(self.stacked):
            column = [step[i] for step in steps]
            if self.output_directions[i] == 1:
                column.reverse()
            results.append(torch.stack(column).movedim(0, self.output_axes[i]))
        return results


@TORCH.op("If", since=1, outputs=None, layout="subgraphs")
def if_then_else(cond: Tensor, then_branch: nn.Module, else_branch: nn.Module) -> nn.Module:
    return If(then_branch, else_branch)


@TORCH.op("Loop", since=1, outputs=None, layout="subgraphs")
def loop(
    M: Tensor | None, cond: Tensor | None, v_initial: list[Tensor], body: nn.Module, outputs: int = 0, carried: int = 0
) -> nn.Module:
    return Loop(body, carried, outputs - carried)


@TORCH.op("Scan", since=9, outputs=None, layout="subgraphs")
def scan(
    initial_state_and_scan_inputs: list[Tensor],
    body: nn.Module,
    num_scan_inputs: int,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
    outputs: int = 0,
    carried: int = 0,
) -> nn.Module:
    states = carried - num_scan_inputs
    stacked = outputs - states
    return Scan(
        body,
        states,
        stacked,
        scan_input_axes or [0] * num_scan_inputs,
        scan_input_directions or [0] * num_scan_inputs,
        scan_output_axes or [0] * stacked,
        scan_output_directions or [0] * stacked,
    )
