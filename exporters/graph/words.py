"""Divide a graph that reads words: what looks them up goes in front, and the rest reads numbers alone.

PyTorch has no words. Tables of them are exact, so that whoever asks what a graph computes in PyTorch may have ONNX's
reference look them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from toolkit.errors import UnsupportedOperator

Array = np.ndarray[Any, Any]

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
# Operators that take words and return none; of a split only the first output holds words.
_NUMBERS = frozenset({"CategoryMapper", "Equal", "OneHotEncoder", "RegexFullMatch", "Shape", "Size", "TfIdfVectorizer"})
_SPLIT = "StringSplit"


@dataclass(frozen=True)
class Divided:
    """`rest` takes the graph's own inputs that are no words, and then what `front` makes of those that are."""

    front: ir.Model
    rest: ir.Model

    @cached_property
    def _evaluator(self) -> Any:
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(ir.to_proto(self.front))

    def look_up(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The rest's inputs that come from words, by name; of the graph's own inputs those are needed that are no
        floats.
        """
        found = self._evaluator.run(None, {name: inputs[name] for name in self._evaluator.input_names})
        return dict(zip(self._evaluator.output_names, found, strict=True))


def divide(model: ir.Model) -> Divided:
    """Raises UnsupportedOperator where words are made of floats on the way, or returned: then no front is exact."""
    graph = model.graph
    words = {value for value in graph.inputs if value.dtype == ir.DataType.STRING}
    looked_up: list[ir.Value] = []
    for node in graph:
        if not any(value in words for value in node.inputs):
            continue
        for place, value in enumerate(node.outputs):
            if _holds_words(node, place):
                words.add(value)
            else:
                looked_up.append(value)
    if any(value in words for value in graph.outputs):
        raise UnsupportedOperator("the graph returns words, which are no numbers that could be more exact")
    exact = [value for value in graph.inputs if value.dtype not in _FLOATS]
    numbers = [value for value in graph.inputs if value not in words]
    try:
        front = ir.convenience.extract(graph, exact, looked_up)
        rest = ir.convenience.extract(graph, [*numbers, *looked_up], graph.outputs)
    except ValueError as error:
        raise UnsupportedOperator(f"words and floats are computed from each other: {error}") from error
    return Divided(_model(model, front), _model(model, rest))


def _holds_words(node: ir.Node, place: int) -> bool:
    """Whether an output of an operator that is given words holds words, too."""
    if node.op_type == "LabelEncoder":
        table = node.attributes.get("values_tensor")
        return "values_strings" in node.attributes or (
            table is not None and table.as_tensor().dtype == ir.DataType.STRING
        )
    if node.op_type == "Cast":
        return node.attributes["to"].as_int() == ir.DataType.STRING
    return node.op_type not in _NUMBERS and (place == 0 or node.op_type != _SPLIT)


def _model(like: ir.Model, graph: ir.Graph) -> ir.Model:
    return ir.Model(graph, ir_version=like.ir_version, functions=tuple(like.functions.values()))
