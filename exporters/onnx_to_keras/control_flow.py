"""If, Loop and Scan without control flow: a branch picked while the model is built, or both and a choice between their
results; a body written out once per iteration. So the model stays one of built-in operations, as an .h5 file must be.
Where that cannot be, a model that is not to be `plain` has TensorFlow's own loops and branches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from keras import KerasTensor, ops

from exporters.onnx_to_keras import tensorflow_calls
from exporters.onnx_to_keras.operand import Constant, Operand, Sizes, Unknown, places, size_of, tensor
from exporters.onnx_to_keras.table import KERAS
from exporters.onnx_to_keras.tensorflow_calls import Part, Spec
from toolkit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from exporters.onnx_to_keras.builder import Builder

_ENDLESS = 2**31 - 1
LONGEST = 1024  # iterations written out
Turn = Callable[[Any, Any, list[Any], list[Any]], list[Any]]


@KERAS.op("If", since=1, outputs=None, layout="subgraphs")
def branch(cond: Operand, then_branch: Any, else_branch: Any, builder: Any, outputs: int = 1) -> list[Any]:
    """ONNX If: the branch that a constant picks; else both, and per element the one that is wanted."""
    if isinstance(cond, Constant):
        return run(builder, then_branch if cond.array.any() else else_branch, [])
    chosen = ops.reshape(ops.cast(tensor(cond), "bool"), ())
    results = [[tensor(value) for value in run(builder, graph, [])] for graph in (then_branch, else_branch)]
    if not builder.plain_model and any(one.shape != other.shape for one, other in zip(*results, strict=True)):
        return tensorflow_calls.branch(builder, chosen, then_branch, else_branch)
    return [_chosen(chosen, one, other, "If") for one, other in zip(*results, strict=True)]


@KERAS.op("Loop", since=1, outputs=None, layout="subgraphs")
def loop(
    M: Operand | None, cond: Operand | None, v_initial: list[Operand], body: Any, builder: Any, outputs: int = 1
) -> list[Any]:
    """ONNX Loop: what is carried, then what each iteration gave, stacked.

    Of a number of iterations that is known, it is written out; a condition that depends on tensors holds on to the
    values as they were when it became false. So is one that only a condition ends, if that does no more than count.
    """
    open_ended = _open_ended(M)
    if not open_ended:
        return _written_out(M, cond, v_initial, body, builder, outputs)
    counted = _counted(cond, v_initial, body, builder, outputs) if M is None or _is_endless(M) else None
    if counted is not None:
        return counted
    tensorflow_calls.require(builder.scope, open_ended)
    return _looped(M, cond, v_initial, body, builder, outputs)


def _written_out(
    M: Operand | None, cond: Operand | None, v_initial: list[Operand], body: Any, builder: Any, outputs: int
) -> list[Any]:
    """The Loop as so many turns as `M` says, or fewer where a condition ends it."""
    assert isinstance(M, Constant), "another number of iterations is open"
    limit = int(M.array.reshape(-1)[0])
    carried: list[Any] = list(v_initial)
    active: KerasTensor | None = None
    if isinstance(cond, Constant):
        limit = limit if cond.array.any() else 0
    elif cond is not None:
        active = ops.reshape(ops.cast(tensor(cond), "bool"), ())
    going: Any = cond if cond is not None else builder.constant(True)
    steps: list[list[Any]] = []
    counted: list[KerasTensor] = []
    for index in range(limit):
        going, *results = run(builder, body, [builder.constant(index), going, *carried])
        fresh = results[: len(carried)]
        if active is not None:
            fresh = [_chosen(active, tensor(n), tensor(o), "Loop") for n, o in zip(fresh, carried, strict=True)]
            counted.append(ops.cast(active, "int64"))
        steps.append(results[len(carried) :])
        carried = fresh
        if isinstance(going, Constant):
            if not going.array.any():
                break
        else:
            now = ops.reshape(ops.cast(tensor(going), "bool"), ())
            active = now if active is None else ops.logical_and(active, now)
    stacked = [_stacked([tensor(step[i]) for step in steps], 0) for i in range(outputs - len(carried))]
    if counted and any(value is not None for value in stacked):
        done = Unknown(lambda: _total(counted))
        stacked = [ops.take(value, places(done, builder.scope), 0) for value in stacked]
    return [*carried, *stacked]


def _is_endless(limit: Operand) -> bool:
    """Whether `M` is but the largest number, as TorchScript's `while` has it."""
    return isinstance(limit, Constant) and int(limit.array.reshape(-1)[0]) >= _ENDLESS


def _counted(cond: Operand | None, v_initial: list[Operand], body: Any, builder: Any, outputs: int) -> list[Any] | None:
    """The Loop written out, if its condition is a constant in every turn and ends it; else None."""
    carried: list[Any] = list(v_initial)
    going: Any = cond if cond is not None else builder.constant(True)
    if not isinstance(going, Constant):
        return None
    steps: list[list[Any]] = []
    while going.array.any():
        if len(steps) == LONGEST:
            return None
        going, *results = run(builder, body, [builder.constant(len(steps)), going, *carried])
        if not isinstance(going, Constant):
            return None
        steps.append(results[len(carried) :])
        carried = results[: len(carried)]
    stacked = [_stacked([tensor(step[i]) for step in steps], 0) for i in range(outputs - len(carried))]
    return [*carried, *stacked]


def _open_ended(limit: Operand | None) -> str | None:
    """What a Loop is called whose iterations cannot be written out."""
    if limit is None:
        return "a Loop that only its condition ends"
    if not isinstance(limit, Constant):
        return "a Loop with 'M' computed when the model runs"
    count = int(limit.array.reshape(-1)[0])
    return f"a Loop of {count} iterations, more than {LONGEST}," if count > LONGEST else None


def _looped(
    limit: Operand | None, cond: Operand | None, v_initial: list[Operand], body: Any, builder: Any, outputs: int
) -> list[Any]:
    """The Loop as TensorFlow's own."""
    most = builder.constant(np.iinfo(np.int64).max) if limit is None else limit
    going = builder.constant(True) if cond is None else cond
    state = [tensor(value) for value in v_initial]

    def make(specs: list[Spec]) -> tuple[Part, Turn]:
        part = tensorflow_calls.part(builder, body, [((), "int64"), ((), "bool"), *specs], "loop")

        def turn(index: Any, onwards: Any, values: list[Any], others: list[Any]) -> list[Any]:
            return part([index, onwards, *values], others)

        return part, turn

    last, first = (ops.reshape(tensor(value), ()) for value in (most, going))
    return tensorflow_calls.loop(
        builder, ops.cast(last, "int64"), ops.cast(first, "bool"), state, make, [], outputs - len(state)
    )


def _total(flags: list[KerasTensor]) -> KerasTensor:
    return ops.sum(ops.stack(flags, 0))


@KERAS.op("Scan", since=9, outputs=None, layout="subgraphs")
def scan(
    initial_state_and_scan_inputs: list[Operand],
    body: Any,
    num_scan_inputs: int,
    builder: Any,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
    outputs: int = 1,
) -> list[Any]:
    """ONNX Scan along axes of known sizes: the states after the last step, then what each step gave, stacked."""
    states = len(initial_state_and_scan_inputs) - num_scan_inputs
    carried: list[Any] = list(initial_state_and_scan_inputs[:states])
    scanned = [tensor(value) for value in initial_state_and_scan_inputs[states:]]
    axes = scan_input_axes or [0] * num_scan_inputs
    backward = scan_input_directions or [0] * num_scan_inputs
    count = scanned[0].shape[axes[0]]
    if count is None or count > LONGEST:
        known = "of a length known only when the model runs" if count is None else f"of more than {LONGEST} steps"
        tensorflow_calls.require(builder.scope, f"a Scan {known}")
        results = _scanned([tensor(value) for value in carried], scanned, axes, backward, body, builder, outputs)
        return results[:states] + [
            _placed(value, bool(scan_output_directions and scan_output_directions[i]),
                    scan_output_axes[i] if scan_output_axes else 0)
            for i, value in enumerate(results[states:])
        ]  # fmt: skip
    steps: list[list[Any]] = []
    for index in range(count):
        slices = [
            _at(x, axis, count - 1 - index if back else index)
            for x, axis, back in zip(scanned, axes, backward, strict=True)
        ]
        results = run(builder, body, [*carried, *slices])
        carried = results[:states]
        steps.append(results[states:])
    stacked = []
    for i in range(outputs - states):
        parts = [tensor(step[i]) for step in steps]
        back = bool(scan_output_directions and scan_output_directions[i])
        stacked.append(_stacked(parts[::-1] if back else parts, scan_output_axes[i] if scan_output_axes else 0))
    return [*carried, *stacked]


def _scanned(
    state: list[KerasTensor],
    scanned: list[KerasTensor],
    axes: list[int],
    backward: list[int],
    body: Any,
    builder: Any,
    outputs: int,
) -> list[KerasTensor]:
    """The Scan as TensorFlow's own loop: the states, then what each step gave, along a new first axis."""
    axes = [axis % len(x.shape) for x, axis in zip(scanned, axes, strict=True)]
    slices: list[Spec] = [
        ((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype) for x, axis in zip(scanned, axes, strict=True)
    ]
    length = ops.cast(tensor(Sizes(np.array([size_of(scanned[0], axes[0])], object), builder.scope)), "int64")

    def make(specs: list[Spec]) -> tuple[Part, Turn]:
        part = tensorflow_calls.part(builder, body, [*specs, *slices], "scan")

        def turn(index: Any, onwards: Any, values: list[Any], others: list[Any]) -> list[Any]:
            mine = [
                ops.take(x, ops.shape(x)[axis] - 1 - ops.cast(index, "int32") if back else index, axis)
                for x, axis, back in zip(others, axes, backward, strict=False)
            ]
            return [onwards, *part([*values, *mine], others[len(axes) :])]

        return replace(part, outputs=[((), "bool"), *part.outputs]), turn

    going = ops.cast(tensor(builder.constant(True)), "bool")
    return tensorflow_calls.loop(
        builder, ops.reshape(length, ()), going, state, make, scanned, outputs - len(state)
    )  # fmt: skip


def _placed(value: KerasTensor, backward: bool, axis: int) -> KerasTensor:
    """What was stacked along the first axis, along another one, and the last step first if so."""
    value = ops.flip(value, 0) if backward else value
    return ops.moveaxis(value, 0, axis) if axis else value


@KERAS.op("Scan", since=8, outputs=None, layout="subgraphs")
def scan_8(
    sequence_lens: Operand | None,
    initial_state_and_scan_inputs: list[Operand],
    body: Any,
    num_scan_inputs: int,
    builder: Any,
    directions: list[int] | None = None,
    outputs: int = 1,
) -> list[Any]:
    """ONNX Scan of opset 8: once for each row of a batch of known size."""
    values = [tensor(value) for value in initial_state_and_scan_inputs]
    batch = values[0].shape[0]
    if sequence_lens is not None or batch is None:
        raise UnsupportedOperator("a Scan of opset 8 over sequences of several lengths has no Keras form")
    rows = []
    for row in range(batch):
        mine: list[Any] = [_at(value, 0, row) for value in values]
        rows.append(scan(mine, body, num_scan_inputs, builder, None, directions, outputs=outputs))
    return [_stacked([tensor(row[i]) for row in rows], 0) for i in range(outputs)]


def run(builder: Builder, graph: ir.Graph, given: list[Any]) -> list[Any]:
    """The outputs of a subgraph; it may use the values around it, and nothing is left over from an earlier run."""
    for value in _own(graph):
        builder.forget(value)
    for value, item in zip(graph.inputs, given, strict=True):
        builder.values[value] = item
    builder.add_nodes(graph)
    return [builder.plain(value) for value in graph.outputs]


def _own(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _own(attribute.as_graph())


def _at(x: KerasTensor, axis: int, index: int) -> KerasTensor:
    key: list[Any] = [slice(None)] * len(x.shape)
    key[axis] = index
    return x[tuple(key)]


def _stacked(parts: list[KerasTensor], axis: int) -> KerasTensor:
    if not parts:
        raise UnsupportedOperator("a Loop or Scan without any iteration, whose results are stacked, has no Keras form")
    return ops.stack(parts, axis)


def _chosen(condition: KerasTensor, one: KerasTensor, other: KerasTensor, what: str) -> KerasTensor:
    if tuple(one.shape) != tuple(other.shape):
        raise UnsupportedOperator(
            f"{what} between tensors of shapes {tuple(one.shape)} and {tuple(other.shape)}, picked when the model runs,"
            " has no Keras form",
            hint=tensorflow_calls.ADVICE if len(one.shape) == len(other.shape) else KERAS.advice,
        )
    return ops.where(condition, one, other)
