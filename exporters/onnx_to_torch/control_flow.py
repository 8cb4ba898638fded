"""If, Loop, Scan and SequenceMap: modules that TorchScript compiles to real control flow.

A subgraph becomes an `fx.GraphModule` of its own. Values go in and come out packed as lists of tensors (see
`packing`), and what a subgraph uses from outside comes in as one more list, so that every branch and body has one
signature, whatever it computes; the builder knows which list belongs to which.

No postponed annotations here: TorchScript reads those of a class as they are.
"""

import torch
from torch import Tensor, nn

from exporters.onnx_to_torch.table import TORCH


class If(nn.Module):
    """ONNX If: the outputs of the branch that the condition picks."""

    def __init__(self, then_branch: nn.Module, else_branch: nn.Module) -> None:
        super().__init__()
        self.then_branch = then_branch
        self.else_branch = else_branch

    def forward(
        self, cond: Tensor, then_captured: list[list[Tensor]], else_captured: list[list[Tensor]]
    ) -> list[list[Tensor]]:
        if bool(cond.item()):
            picked: list[list[Tensor]] = self.then_branch(then_captured)
        else:
            picked = self.else_branch(else_captured)
        return picked


class Loop(nn.Module):
    """ONNX Loop: the carried values after the last iteration, then what each iteration gave, stacked.

    Args:
        body: takes the iteration, the condition, the carried values and the captured ones; gives the next condition,
            the next carried values and the values to stack.
        carried: how many values are carried.
        nothing: per value to stack, what there is without any iteration.
    """

    nothing: list[Tensor]

    def __init__(self, body: nn.Module, carried: int, nothing: list[Tensor]) -> None:
        super().__init__()
        self.body = body
        self.carried = carried
        self.nothing = nothing

    def forward(
        self,
        trip_count: Tensor | None,
        condition: Tensor | None,
        state: list[list[Tensor]],
        captured: list[list[Tensor]],
    ) -> list[list[Tensor]]:
        going = condition if condition is not None else torch.ones([1], dtype=torch.bool)
        limit = 9223372036854775807 if trip_count is None else int(trip_count.item())
        steps: list[list[list[Tensor]]] = []
        iteration = 0
        while iteration < limit and bool(going.item()):
            count = torch.tensor(iteration, device=going.device)
            given: list[list[Tensor]] = self.body([[count], [going]] + state, captured)  # noqa: RUF005 - TorchScript
            going = given[0][0]
            state = given[1 : self.carried + 1]
            steps.append(given[self.carried + 1 :])
            iteration += 1
        results = list(state)
        for i, empty in enumerate(self.nothing):
            column = [step[i][0] for step in steps]
            results.append([torch.stack(column) if len(column) > 0 else empty])
        return results


class Scan(nn.Module):
    """ONNX Scan: a body run over slices of its inputs.

    Args:
        body: takes the state and one slice of each scanned input; gives the next state and slices of the outputs.
        states: how many state values there are.
        nothing: per output to stack, what there is without any slice.
        input_axes, input_directions: per scanned input, the axis and whether it is read backwards (1).
        output_axes, output_directions: the same for the outputs.
    """

    nothing: list[Tensor]

    def __init__(
        self,
        body: nn.Module,
        states: int,
        nothing: list[Tensor],
        input_axes: list[int],
        input_directions: list[int],
        output_axes: list[int],
        output_directions: list[int],
    ) -> None:
        super().__init__()
        self.body = body
        self.states = states
        self.nothing = nothing
        self.input_axes = input_axes
        self.input_directions = input_directions
        self.output_axes = output_axes
        self.output_directions = output_directions

    def forward(self, inputs: list[list[Tensor]], captured: list[list[Tensor]]) -> list[list[Tensor]]:
        state = inputs[: self.states]
        scanned: list[Tensor] = []
        for i, value in enumerate(inputs[self.states :]):
            moved = value[0].movedim(self.input_axes[i], 0)
            scanned.append(moved.flip([0]) if self.input_directions[i] == 1 else moved)
        steps: list[list[list[Tensor]]] = []
        for t in range(scanned[0].shape[0]):
            given: list[list[Tensor]] = self.body(state + [[value[t]] for value in scanned], captured)
            state = given[: self.states]
            steps.append(given[self.states :])
        results = list(state)
        for i, empty in enumerate(self.nothing):
            column = [step[i][0] for step in steps]
            if self.output_directions[i] == 1:
                column.reverse()
            results.append([torch.stack(column).movedim(0, self.output_axes[i]) if len(column) > 0 else empty])
        return results


class BatchScan(nn.Module):
    """ONNX Scan of opset 8: a Scan of its own for each entry of the batch, over the first of its steps alone.

    Args:
        scan: what is run for one entry.
        count: how many results it gives, the state first.
    """

    def __init__(self, scan: Scan, count: int) -> None:
        super().__init__()
        self.scan = scan
        self.count = count
        self.states = scan.states

    def forward(
        self, sequence_lens: Tensor | None, inputs: list[list[Tensor]], captured: list[list[Tensor]]
    ) -> list[list[Tensor]]:
        longest = inputs[self.states][0].shape[1]
        entries: list[list[list[Tensor]]] = []
        for b in range(inputs[self.states][0].shape[0]):
            length = longest if sequence_lens is None else int(sequence_lens[b].item())
            own = [[value[0][b]] for value in inputs[: self.states]]
            own = own + [[value[0][b][:length]] for value in inputs[self.states :]]
            entries.append(self.scan(own, captured))
        results: list[list[Tensor]] = []
        for i in range(self.count):
            column: list[Tensor] = []
            for entry in entries:
                value = entry[i][0]
                if i >= self.states:  # what lies beyond a sequence's own length is undefined: zeros
                    room = torch.zeros([longest] + list(value.shape[1:]), dtype=value.dtype, device=value.device)  # noqa: RUF005 - TorchScript
                    room[: value.shape[0]] = value
                    value = room
                column.append(value)
            results.append([torch.stack(column)])
        return results


class SequenceMap(nn.Module):
    """ONNX SequenceMap: a body run for each place of its sequences, with the same tensors each time.

    Args:
        body: takes one element of each sequence, and the tensors; gives one element of each resulting sequence.
        sequences: per input, whether it is a sequence.
        count: how many sequences result.
    """

    def __init__(self, body: nn.Module, sequences: list[bool], count: int) -> None:
        super().__init__()
        self.body = body
        self.sequences = sequences
        self.count = count

    def forward(self, inputs: list[list[Tensor]], captured: list[list[Tensor]]) -> list[list[Tensor]]:
        results: list[list[Tensor]] = []
        for _ in range(self.count):
            empty: list[Tensor] = []
            results.append(empty)
        for place in range(len(inputs[0])):
            own: list[list[Tensor]] = []
            for i, value in enumerate(inputs):
                own.append([value[place]] if self.sequences[i] else value)
            given: list[list[Tensor]] = self.body(own, captured)
            for i in range(self.count):
                results[i].append(given[i][0])
        return results


@TORCH.op("If", since=1, outputs=None, layout="subgraphs")
def if_then_else(cond: Tensor, then_branch: nn.Module, else_branch: nn.Module) -> nn.Module:
    return If(then_branch, else_branch)


@TORCH.op("Loop", since=1, outputs=None, layout="subgraphs")
def loop(
    M: Tensor | None,
    cond: Tensor | None,
    v_initial: list[Tensor],
    body: nn.Module,
    carried: int = 0,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    nothing: list[Tensor] = (),  # type: ignore[assignment]
) -> nn.Module:
    return Loop(body, carried, nothing)


@TORCH.op("Scan", since=9, outputs=None, layout="subgraphs")
def scan(
    initial_state_and_scan_inputs: list[Tensor],
    body: nn.Module,
    num_scan_inputs: int,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
    carried: int = 0,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    nothing: list[Tensor] = (),  # type: ignore[assignment]
) -> nn.Module:
    return Scan(
        body,
        carried - num_scan_inputs,
        nothing,
        scan_input_axes or [0] * num_scan_inputs,
        scan_input_directions or [0] * num_scan_inputs,
        scan_output_axes or [0] * len(nothing),
        scan_output_directions or [0] * len(nothing),
    )


@TORCH.op("Scan", since=8, outputs=None, layout="subgraphs")
def scan_8(
    sequence_lens: Tensor | None,
    initial_state_and_scan_inputs: list[Tensor],
    body: nn.Module,
    num_scan_inputs: int,
    directions: list[int] | None = None,
    carried: int = 0,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    nothing: list[Tensor] = (),  # type: ignore[assignment]
) -> nn.Module:
    """ONNX Scan of opset 8, whose values have a batch as their first axis and the steps as their second."""
    inner = scan([], body, num_scan_inputs, scan_input_directions=directions, carried=carried, nothing=nothing)
    assert isinstance(inner, Scan)
    return BatchScan(inner, inner.states + len(nothing))


@TORCH.op("SequenceMap", since=17, outputs=None, layout="subgraphs")
def sequence_map(
    input_sequence: list[Tensor],
    additional_inputs: list[Tensor],
    body: nn.Module,
    outputs: int = 1,
    # TorchScript takes a list whose default is a tuple, and no words after the exception to types.
    sequences: list[bool] = (),  # type: ignore[assignment]
) -> nn.Module:
    return SequenceMap(body, sequences, outputs)
