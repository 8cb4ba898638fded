"""Models of any depth: what is too deep to be opened again becomes models within a model, one behind the other.

Keras orders the operations of a functional model by a function that calls itself for each operator behind another, and
so a chain of a thousand cannot be opened by plain `load_model`: Python allows no more calls within calls.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras
from keras import KerasTensor

from exporters.onnx_to_keras import naming

DEEPEST = 600  # operations behind one another in one model; Python's limit is 1,000 calls, some of them the user's own


def model(inputs: list[KerasTensor], outputs: list[KerasTensor], name: str) -> keras.Model:
    """The functional model from `inputs` to `outputs`; nested where more than DEEPEST operations follow one another."""
    levels = _levels(outputs)
    if max(levels.values(), default=0) <= DEEPEST:
        return keras.Model(_bare(inputs), _bare(outputs), name=name)
    parts: dict[int, list[Any]] = defaultdict(list)
    for node, level in levels.items():
        if not node.is_input:
            parts[(level - 1) // DEEPEST].append(node)
    wanted = _wanted(parts, outputs)
    found = {id(value): value for value in inputs}
    held: dict[int, Any] = {}  # layers with weights, by their ids, which a part before has
    for number, nodes in sorted(parts.items()):
        made = {id(value) for node in nodes for value in node.outputs}
        taken = {id(value): value for node in nodes for value in node.input_tensors if id(value) not in made}
        given = [value for node in nodes for value in node.outputs if id(value) in wanted[number]]
        part = _again(nodes, taken, given, f"{name}.part{number}", held)
        results = part(_bare([found[key] for key in taken]))
        results = results if isinstance(results, list | tuple) else [results]
        found |= {id(value): result for value, result in zip(given, results, strict=True)}
    return keras.Model(_bare(inputs), _bare([found[id(value)] for value in outputs]), name=name)


def _again(
    nodes: list[Any], taken: dict[int, KerasTensor], given: list[KerasTensor], name: str, held: dict[int, Any]
) -> keras.Model:
    """The same calls as a model of its own, from `taken` to `given`.

    A layer of an earlier part gets a twin of the same weights: files of Keras hold no layer that two models share.
    """
    inputs = [
        keras.Input(batch_shape=value.shape, dtype=value.dtype, name=f"{name}.input{i}")
        for i, value in enumerate(taken.values())
    ]
    values = dict(zip(taken, inputs, strict=True))
    mine: dict[int, Any] = {}
    for node in nodes:
        arguments, options = node.arguments.fill_in(values)
        layer = node.operation
        if id(layer) in held and id(layer) not in mine:
            mine[id(layer)] = _twin(layer, name, arguments, options)
        results = mine.get(id(layer), layer)(*arguments, **options)
        values |= {id(was): now for was, now in zip(node.outputs, keras.tree.flatten(results), strict=True)}
    held |= {id(node.operation): node.operation for node in nodes if getattr(node.operation, "weights", [])}
    return keras.Model(_bare(inputs), _bare([values[id(value)] for value in given]), name=name)


def _twin(layer: Any, part: str, arguments: Any, options: Any) -> Any:
    twin = type(layer).from_config({**layer.get_config(), "name": f"{layer.name}.{part}"})
    twin(*arguments, **options)  # which makes its weights
    twin.set_weights(layer.get_weights())
    return twin


def _bare(values: list[Any]) -> Any:
    """One value goes in and comes out bare: Keras warns about a list of one."""
    return values[0] if len(values) == 1 else values


def _wanted(parts: dict[int, list[Any]], outputs: list[KerasTensor]) -> dict[int, set[int]]:
    """For each part, which of its tensors are used outside it."""
    home = {id(value): number for number, nodes in parts.items() for node in nodes for value in node.outputs}
    found: dict[int, set[int]] = {number: set() for number in parts}
    uses = [(number, value) for number, nodes in parts.items() for node in nodes for value in node.input_tensors]
    for number, value in [*uses, *((None, value) for value in outputs)]:
        if id(value) in home and home[id(value)] != number:
            found[home[id(value)]].add(id(value))
    return found


def _levels(outputs: list[KerasTensor]) -> dict[Any, int]:
    """Every call behind `outputs`, after those that it needs: how many follow one another up to it, inputs being 0."""
    levels: dict[Any, int] = {}
    waiting = [naming.call_of(value) for value in reversed(outputs)]
    while waiting:
        node = waiting[-1]
        before = [naming.call_of(value) for value in node.input_tensors]
        missing = [other for other in before if other not in levels]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        levels[node] = 0 if node.is_input else 1 + max((levels[other] for other in before), default=0)
    return levels
