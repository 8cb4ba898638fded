"""A Scan as one step over sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.recurrent.expression import Expression, Leaf, Sequence, of_atom
from exporters.graph.recurrent.reader import Reader
from exporters.graph.recurrent.steps import LARGEST, Output, State, Steps, element, last_size, rank_of

if TYPE_CHECKING:
    import onnx_ir as ir


def read(node: ir.Node, opset: int, *, through: bool) -> Steps | None:
    """The Scan, of opset 9 or later, as steps; None where it is something else."""
    body = node.attributes["body"].as_graph()
    scanned = node.attributes["num_scan_inputs"].as_int()
    count = len(body.inputs) - scanned
    if opset < 9 or len(body) > LARGEST or len(node.inputs) != len(body.inputs) or any(v is None for v in node.inputs):
        return None
    firsts = list(node.inputs[:count])
    rank = rank_of(firsts)
    if rank is None:
        return None
    leaves: dict[ir.Value, Expression] = {}
    axes, backwards = _listed(node, "scan_input_axes", scanned), _listed(node, "scan_input_directions", scanned)
    for value, given, axis, back in zip(body.inputs[count:], node.inputs[count:], axes, backwards, strict=True):
        if given is None or given.shape is None:
            return None
        found = element(Sequence(given, axis % len(given.shape), bool(back)), rank, through=through)
        if found is None:
            return None
        leaves[value] = found
    for index, (value, first) in enumerate(zip(body.inputs[:count], firsts, strict=True)):
        leaves[value] = of_atom(Leaf("state", index, last_size(first) if first is not None else None))
    reader = Reader(leaves.get, body, opset, rank)
    states = {
        index: State(first, reader(update), node.outputs[index])
        for index, (first, update) in enumerate(zip(firsts, body.outputs[:count], strict=True))
        if first is not None
    }
    return Steps(node, states, _outputs(node, reader, list(body.outputs[count:]), count))


def _outputs(node: ir.Node, reader: Reader, given: list[ir.Value], states: int) -> tuple[Output, ...]:
    axes, backwards = (_listed(node, f"scan_output_{name}", len(given)) for name in ("axes", "directions"))
    return tuple(
        Output(reader(each), whole, axis % (reader.rank + 1), bool(back))
        for each, whole, axis, back in zip(given, node.outputs[states:], axes, backwards, strict=True)
    )


def _listed(node: ir.Node, name: str, count: int) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else [0] * count
