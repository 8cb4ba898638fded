"""If, Loop and Scan without control flow: a branch picked while the model is built, or both and a choice between their
results; a body written out once per iteration. So the model stays one of built-in operations, as an .h5 file must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from keras import KerasTensor, ops

from exporters.onnx_to_keras.operand import Constant, Operand, Unknown, places, tensor
from exporters.onnx_to_keras.table import KERAS
from toolkit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from exporters.onnx_to_keras.builder import Builder

LONGEST = 1024  # iterations written out


@KERAS.op("If", since=1, outputs=None, layout="subgraphs")
def branch(cond: Operand, then_branch: Any, else_branch: Any, builder: Any, outputs: int = 1) -> list[Any]:
    """ONNX If: the branch that a constant picks; else both, and per element the one that is wanted."""
    if isinstance(cond, Constant):
        return run(builder, then_branch if cond.array.any() else else_branch, [])
    chosen = ops.reshape(ops.cast(tensor(cond), "bool"), ())
    pairs = zip(run(builder, then_branch, []), run(builder, else_branch, []), strict=True)
    return [_chosen(chosen, tensor(one), tensor(other), "If") for one, other in pairs]


@KERAS.op("Loop", since=1, outputs=None, layout="subgraphs")
def loop(
    M: int | None, cond: Operand | None, v_initial: list[Operand], body: Any, builder: Any, outputs: int = 1
) -> list[Any]:
    """ONNX Loop of a number of iterations that is known: what is carried, then what each iteration gave, stacked.

    A condition that depends on tensors holds on to the values as they were when it became false.
    """
    limit = _trip_count(M)
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


def _trip_count(limit: int | None) -> int:
    if limit is None:
        raise UnsupportedOperator("a Loop that only its condition ends has no Keras form")
    if limit > LONGEST:
        raise UnsupportedOperator(f"a Loop of {limit} iterations, more than {LONGEST}, has no Keras form")
    return limit


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
        raise UnsupportedOperator(f"a Scan {known} has no Keras form")
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
            " has no Keras form"
        )
    pick: Callable[[Any, Any], Any] = lambda x, y: ops.where(condition, x, y)  # noqa: E731
    return pick(one, other)
