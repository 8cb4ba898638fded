"""What a value of a graph is: a tensor, a sequence of tensors, or either of them if it is there at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable

TENSOR = "tensor"
SEQUENCE = "sequence"
OPTIONAL = "optional"
OPTIONAL_SEQUENCE = "optional sequence"


# What gives a sequence, whatever its inputs
_SEQUENCES = frozenset(
    {"SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap", "SplitToSequence"}
)


def kind_of(value: ir.Value | None) -> str:
    """The kind of `value`: what its operator makes it, or else its declared type; a tensor where neither tells.

    The operator comes first, since onnx-ir reads the declared sequences of subgraphs as tensors.
    """
    producer = None if value is None else value.producer()
    told = None if value is None or producer is None else _kind_of_result(producer, value)
    if value is None or told is not None:
        return told or TENSOR
    declared = value.type
    if isinstance(declared, ir.OptionalType):
        return OPTIONAL_SEQUENCE if isinstance(declared.elem_type, ir.SequenceType) else OPTIONAL
    return SEQUENCE if isinstance(declared, ir.SequenceType) else TENSOR


# What hands on what it is given; only these ask for their input's kind, so that no walk goes through a whole graph
_HANDS_ON = frozenset({"Identity", "Optional", "OptionalGetElement"})


def _kind_of_result(producer: ir.Node, value: ir.Value) -> str | None:
    if producer.op_type in _SEQUENCES:
        return SEQUENCE
    if producer.op_type in _HANDS_ON:
        given = kind_of(producer.inputs[0]) if producer.inputs else None
        if producer.op_type == "Identity":
            return given
        if producer.op_type == "OptionalGetElement":
            return SEQUENCE if given in (SEQUENCE, OPTIONAL_SEQUENCE) else TENSOR
        if given is not None:
            return OPTIONAL_SEQUENCE if given == SEQUENCE else OPTIONAL
    for attribute in producer.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            results = attribute.as_graph().outputs  # a Loop's body gives its condition first
            place = [output is value for output in producer.outputs].index(True)
            return kind_of(results[len(results) - len(producer.outputs) + place])
    return None


def kinds_of(values: Iterable[ir.Value | None]) -> list[str]:
    return [kind_of(value) for value in values]


def kind_of_node(node: ir.Node) -> str:
    """What a node's function is chosen by: the kind of its first input, or of its first output if it has none."""
    first = node.inputs[0] if node.inputs else None
    return kind_of(first if first is not None else node.outputs[0])
