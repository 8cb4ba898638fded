"""Control flow that only TensorFlow has: a SavedModel holds it, an .h5 or .keras file of Keras' own operations cannot.

A subgraph becomes a functional model of its own; what it uses of the graph around it comes in as further inputs. A
layer then calls TensorFlow with that model as the body of a loop, or as a branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import onnx_ir as ir
import tensorflow as tf
from keras import KerasTensor

from exporters.onnx_to_keras.operand import Constant, Scope, tensor
from toolkit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from exporters.onnx_to_keras.builder import Builder

ADVICE = "A SavedModel can hold it: toolkit export model.onnx --to savedmodel"

Spec = tuple[tuple[int | None, ...], str]  # shape and dtype


class TensorFlowCall(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """One call of a function on a list of tensors. `parts` are the models that it calls, whose weights are the layer's.

    It has no configuration, on purpose: no file of Keras can hold it.
    """

    def __init__(self, function: Callable[[list[Any]], Any], parts: list[keras.Model], name: str) -> None:
        super().__init__(name=name, autocast=False)
        self.function, self.parts = function, parts
        self.built = True

    def call(self, tensors: list[Any]) -> Any:
        return self.function(tensors)


def require(scope: Scope, what: str) -> None:
    """Raise UnsupportedOperator where the model is to be one of Keras' own operations."""
    if scope.plain:
        raise UnsupportedOperator(f"{what} has no Keras form", hint=ADVICE)


@dataclass(frozen=True)
class Part:
    """A subgraph as a model: its own inputs first, then those for `captured`, tensors of the graph around it."""

    model: keras.Model
    captured: list[KerasTensor]
    outputs: list[Spec]

    def __call__(self, own: list[Any], captured: list[Any]) -> list[Any]:
        given = [*own, *captured]
        results = self.model(given[0] if len(given) == 1 else given, training=False)
        return list(results) if isinstance(results, list | tuple) else [results]


def part(builder: Builder, graph: ir.Graph, own: list[Spec], what: str) -> Part:
    """`graph` as a model whose first inputs are of the kinds `own`: one for each input of the graph, or more."""
    name = builder.scope.name(graph.name or what)
    outer = [value for value in _used_from_outside(graph) if value in builder.values]
    held = [value for value in outer if not isinstance(builder.values[value], Constant)]
    captured = [tensor(builder.plain(value)) for value in held]
    specs = [*own, *((tuple(value.shape), value.dtype) for value in captured)]
    inputs = [
        keras.Input(batch_shape=shape, dtype=dtype, name=f"{name}.input{i}") for i, (shape, dtype) in enumerate(specs)
    ]
    inner = builder.within(Scope(inputs[0], builder.dtype, plain=False, around=builder.scope))
    inner.values = dict(zip(graph.inputs, inputs, strict=False))
    inner.values |= dict(zip(held, inputs[len(own) :], strict=True))
    for value in outer:
        if isinstance(builder.values[value], Constant):
            inner.values[value] = replace(builder.values[value], scope=inner.scope)
    inner.add_nodes(graph)
    model = inner.model_of(inputs, list(graph.outputs), name)
    return Part(model, captured, [(tuple(value.shape), value.dtype) for value in model.outputs])


def _used_from_outside(graph: ir.Graph) -> list[ir.Value]:
    """What a graph, with the graphs in it, uses and does not make, each once."""
    own: set[ir.Value] = set()
    used: dict[ir.Value, None] = {}
    for inside in _graphs(graph):
        own |= {*inside.inputs, *inside.initializers.values(), *(value for node in inside for value in node.outputs)}
        for node in inside:
            used |= dict.fromkeys(value for value in node.inputs if value is not None)
        used |= dict.fromkeys(inside.outputs)
    return [value for value in used if value not in own]


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    yield graph
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _graphs(attribute.as_graph())


def branch(builder: Builder, condition: KerasTensor, then_branch: ir.Graph, else_branch: ir.Graph) -> list[Any]:
    """tf.cond: results of one rank, whose sizes may differ."""
    scalar: list[Spec] = [((), "bool")]
    parts = [part(builder, graph, scalar, "branch") for graph in (then_branch, else_branch)]
    for one, other in zip(*(each.outputs for each in parts), strict=True):
        if len(one[0]) != len(other[0]) or one[1] != other[1]:
            raise UnsupportedOperator(
                f"If between a tensor of {one[1]} and rank {len(one[0])} and one of {other[1]} and rank {len(other[0])}"
                " has no TensorFlow form"
            )
    then, other = parts
    middle = 1 + len(then.captured)

    def choose(tensors: list[Any]) -> Any:
        chosen = tensors[0]
        return tf.cond(
            chosen, lambda: then([chosen], tensors[1:middle]), lambda: other([chosen], tensors[middle:])
        )  # fmt: skip

    layer = TensorFlowCall(choose, [each.model for each in parts], builder.scope.name("if"))
    return _as_list(layer([condition, *then.captured, *other.captured]))


def loop(
    builder: Builder,
    limit: KerasTensor,
    going: KerasTensor,
    state: list[KerasTensor],
    make: Callable[[list[Spec]], tuple[Part, Callable[[Any, Any, list[Any], list[Any]], list[Any]]]],
    fixed: list[KerasTensor],
    stacked: int,
) -> list[KerasTensor]:
    """tf.while_loop: the state after it, then what `stacked` results of each turn gave, along a new first axis.

    `make` gives, for the kinds that the state may be of, the body as a model and how one turn calls it: on the turn's
    number, whether it goes on, the state and `fixed` with what the body captured; whether to go on comes back first.
    """
    count = len(state)
    specs: list[Spec] = [(tuple(value.shape), value.dtype) for value in state]
    body, turn = make(specs)
    wider = [_widened(one, other) for one, other in zip(specs, body.outputs[1 : 1 + count], strict=True)]
    while wider != specs:
        specs = wider
        body, turn = make(specs)
        wider = [_widened(one, other) for one, other in zip(specs, body.outputs[1 : 1 + count], strict=True)]
    gathered = body.outputs[1 + count :]
    shapes = [tf.TensorShape(shape) for shape, _ in specs]

    def run(tensors: list[Any]) -> Any:
        most, first, *values = tensors
        others = values[count:]
        arrays = [
            tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=tf.TensorShape(shape))
            for shape, dtype in gathered
        ]

        def once(index: Any, onwards: Any, *held: Any) -> Any:
            on, *results = turn(index, onwards, list(held[:count]), others)
            kept = [tf.ensure_shape(value, shape) for value, shape in zip(results[:count], shapes, strict=True)]
            places = zip(held[count:], results[count:], strict=True)
            written = [array.write(tf.cast(index, tf.int32), value) for array, value in places]
            return (index + 1, tf.reshape(on, ()), *kept, *written)

        start = (tf.constant(0, tf.int64), first, *values[:count], *arrays)
        scalar = tf.TensorShape(())
        invariants = (scalar, scalar, *shapes, *(tf.TensorShape(None) for _ in arrays))
        _, _, *ended = tf.while_loop(
            lambda index, onwards, *_: tf.logical_and(index < most, onwards), once, start, shape_invariants=invariants
        )
        return [*ended[:count], *(array.stack() for array in ended[count:])]

    assert len(gathered) == stacked, "the body gives as many results as the node"
    layer = TensorFlowCall(run, [body.model], builder.scope.name("loop"))
    return _as_list(layer([limit, going, *state, *fixed, *body.captured]))


def _widened(one: Spec, other: Spec) -> Spec:
    """A kind that holds both; sizes that differ are free."""
    if len(one[0]) != len(other[0]) or one[1] != other[1]:
        raise UnsupportedOperator("a Loop whose state changes its rank or its type has no TensorFlow form")
    return tuple(a if a == b else None for a, b in zip(one[0], other[0], strict=True)), one[1]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
