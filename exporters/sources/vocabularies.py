"""Words and numbers that a model looks up in a table, so that a verification can give it some that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporters.sources import examples
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import TensorFlowRunner

_LARGEST = 4096  # keys; of a larger vocabulary as many, from all over it
_SENTENCES, _LONGEST = 64, 12  # how many, and of how many words
_PASSED_ON = frozenset({"Cast", "Identity", "Reshape", "ExpandDims", "Squeeze", "Unsqueeze", "Flatten"})
_OF_TEXT = frozenset({"StringLower", "StringUpper", "StringStrip", "StaticRegexReplace", "RegexReplace"})
_SPLIT = "StringSplitV2"


@dataclass(frozen=True)
class Vocabulary:
    """Words, sentences of words or integers that an input may be; `is_closed` where the model refuses all others."""

    values: tuple[Any, ...]
    is_closed: bool = False

    @property
    def array(self) -> np.ndarray[Any, Any]:
        return np.array(self.values, object if isinstance(self.values[0], str) else np.int64)

    def to_json(self) -> dict[str, Any]:
        return {"values": list(self.values), "is_closed": self.is_closed}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Vocabulary:
        return Vocabulary(tuple(data["values"]), data["is_closed"])


def of_runner(runner: Runner) -> dict[str, Vocabulary]:
    """The inputs that a model looks up in a table, as far as they can be followed from the input to the table."""
    if not any(spec.dtype == "string" or spec.dtype.startswith("int") for spec in runner.signature.inputs):
        return {}
    pairs = (
        _of_tensorflow(runner) if isinstance(runner, TensorFlowRunner)
        else _of_onnx(runner) if isinstance(runner, OnnxRunner)
        else iter(())
    )  # fmt: skip
    found: dict[str, list[Any]] = {}
    for name, keys in pairs:
        found.setdefault(name, []).extend(keys)
    known = {name: Vocabulary(tuple(values)) for name, values in found.items() if values}
    refused = bool(known) and not _takes(runner, {}) and _takes(runner, known)
    return {name: Vocabulary(vocabulary.values, refused) for name, vocabulary in known.items()}


def _takes(runner: Runner, known: Mapping[str, Vocabulary]) -> bool:
    """Whether the model runs on generated inputs, those that are known to it where they are given."""
    like = {name: vocabulary.array for name, vocabulary in known.items()} | dict(runner.given)
    try:
        runner.run(examples.arrays(runner.signature, examples.sizes(runner.signature, 0), like=like))
    except Exception:  # noqa: BLE001 - whatever the framework raises of a word that it does not know
        return False
    return True


def _of_tensorflow(runner: TensorFlowRunner) -> Iterator[tuple[str, list[Any]]]:
    from exporters.graph import tensorflow_graph, tensorflow_tables

    variables = {id(variable.handle) for variable in runner.function.graph.variables}
    if all(id(outside) in variables or outside.dtype.name != "resource" for outside in runner.function.captured_inputs):
        return
    frozen = tensorflow_graph.freeze(runner.function, runner.signature)
    names = {tensor.partition(":")[0]: name for name, tensor in frozen.inputs}
    nodes = {node.name: node for node in frozen.graph_def.node}
    for node in frozen.graph_def.node:
        if node.op != tensorflow_tables.FIND:
            continue
        passed, start = _upwards(nodes, node.input[1])
        table = frozen.tables.get(tensorflow_tables.holder(nodes, node.input[0]))
        if table is not None and start in names:
            keys = _some(_plain(table.keys))
            yield names[start], _sentences(keys) if _SPLIT in passed else keys


def _upwards(nodes: Mapping[str, Any], name: str) -> tuple[set[str], str]:
    """The operators that only pass a value on, or prepare a text, and the node where they begin."""
    passed: set[str] = set()
    node = nodes[name.partition(":")[0]]
    while node.op in _PASSED_ON | _OF_TEXT | {_SPLIT}:
        passed.add(node.op)
        node = nodes[node.input[0].partition(":")[0]]
    return passed, str(node.name)


def _of_onnx(runner: OnnxRunner) -> Iterator[tuple[str, list[Any]]]:
    import onnx_ir as ir

    for node in ir.load(runner.path).graph.all_nodes():
        if node.op_type != "LabelEncoder":
            continue
        value = node.inputs[0]
        while value is not None and (producer := value.producer()) is not None and producer.op_type in _PASSED_ON:
            value = producer.inputs[0]
        keys = node.attributes.get("keys_strings") or node.attributes.get("keys_int64s")
        if keys is not None and value is not None and value.is_graph_input():
            found = keys.as_strings() if keys.name == "keys_strings" else keys.as_ints()
            yield str(value.name), _some(list(found))


def _plain(keys: np.ndarray[Any, Any]) -> list[Any]:
    return [key.decode(errors="replace") if isinstance(key, bytes) else key for key in keys.tolist()]


def _some(keys: Sequence[Any]) -> list[Any]:
    step = -(-len(keys) // _LARGEST) or 1
    return list(keys[::step])


def _sentences(words: Sequence[str]) -> list[str]:
    """Texts of those words, some of them written in capitals or with marks between them, as people write."""
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(_SENTENCES):
        chosen = [str(words[index]) for index in generator.integers(0, len(words), generator.integers(1, _LONGEST + 1))]
        style = generator.integers(0, 3)
        texts.append(", ".join(chosen) + "!" if style == 0 else " ".join(chosen).upper() if style == 1
                     else " ".join(chosen))  # fmt: skip
    return texts
