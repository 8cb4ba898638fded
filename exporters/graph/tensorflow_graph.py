"""A TensorFlow concrete function as one flat graph of constants: what converting it, or computing in float64, needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporters.graph import tensorflow_prune, tensorflow_tables, tensorflow_weights
from exporters.graph.tensorflow_tables import Table
from toolkit.errors import ExportFailed
from toolkit.runtime.savedmodel_runner import arguments_of
from toolkit.signature import Signature

Array = np.ndarray[Any, Any]

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# What keeps grappler from inlining a call: compiled by XLA, or kept apart by its author.
_BARRIERS = ("_XlaMustCompile", "_XlaHasReferenceVars", "_noinline", "api_implements")


@dataclass(frozen=True)
class FrozenGraph:
    """A GraphDef without variables; `inputs` and `outputs` are (our name, tensor name) in the signature's order.

    Large weights are placeholders in it; `weights` holds their values by node name. So are the handles of lookup
    tables, which no GraphDef can hold: `tables` has them by node name.
    """

    graph_def: Any
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    weights: dict[str, Array] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)

    @property
    def handles(self) -> dict[str, Any]:
        """What must be given for the placeholders of tables, by tensor name."""
        return {f"{name}:0": table.handle for name, table in self.tables.items()}


def freeze(function: Any, signature: Signature) -> FrozenGraph:
    """Inline and freeze a concrete function that takes keyword tensors and returns a dict of tensors.

    Captured variables and tensors become constants; no arithmetic is folded, so their values keep their bits.
    Raises ExportFailed where the function captures something that is neither a variable, a tensor nor a lookup table.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    captured, resources = _captured(function)
    with tensorflow_prune.while_freezing(function), tensorflow_weights.set_aside() as large:
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    outside = captured.keys() | resources.keys()
    arguments = [tensor for tensor in frozen.inputs if tensor.name not in outside]
    by_argument = dict(zip(_argument_names(function), arguments, strict=True))
    # A dict of outputs is flattened by its keys in sorted order.
    by_key = dict(zip(sorted(function.structured_outputs), frozen.outputs, strict=True))
    keywords = arguments_of(function, signature)
    inputs = tuple((name, by_argument[keywords[name]].name) for name in signature.input_names)
    outputs = tuple((name, by_key[name].name) for name in signature.output_names)
    graph_def = frozen.graph.as_graph_def(add_shapes=True)
    _embed(graph_def, captured)
    if _has_calls(graph_def):
        kept = [tensor.name for tensor in (*arguments, *frozen.outputs)] + list(resources)
        graph_def = _inlined(graph_def, kept)
    weights = tensorflow_weights.taken_out(graph_def, large)
    return FrozenGraph(graph_def, inputs, outputs, weights, _tables(graph_def, resources))


def _argument_names(function: Any) -> list[str]:
    """Keyword names in the order of the function's flat inputs (captures excluded): sorted, as nests are flattened."""
    _, keywords = function.structured_input_signature
    return sorted(keywords)


def _captured(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the function uses of its caller's beside variables, by the name inside: arrays, and handles of resources."""
    outside = list(function.captured_inputs)
    inside = function.inputs[len(function.inputs) - len(outside) :]
    variables = {id(variable.handle) for variable in function.graph.variables}
    pairs = [(tensor, value) for tensor, value in zip(inside, outside, strict=True) if id(value) not in variables]
    handles = {tensor.name: value for tensor, value in pairs if value.dtype.name == "resource"}
    return {tensor.name: value.numpy() for tensor, value in pairs if tensor.name not in handles}, handles


def _tables(graph_def: Any, resources: Mapping[str, Any]) -> dict[str, Table]:
    """The tables among the resources; one that is used in another way has no form of ours."""
    handles = {name.removesuffix(":0"): handle for name, handle in resources.items()}
    found = tensorflow_tables.of(graph_def, handles)
    others = sorted(handles.keys() - found)
    if others:
        raise ExportFailed(
            f"the model uses a resource that is neither a variable nor a table to look up in ({', '.join(others)})",
            hint="Keep it out of the model, and give the model what it computes.",
        )
    return found


def _embed(graph_def: Any, captured: dict[str, Any]) -> None:
    """Turn the placeholders of captured tensors into constants, in place: else they are inputs nobody can feed."""
    import tensorflow as tf

    values = {name.removesuffix(":0"): value for name, value in captured.items()}
    for node in graph_def.node:
        if node.op == "Placeholder" and node.name in values:
            proto = tf.make_tensor_proto(values[node.name])
            node.op = "Const"
            for key in set(node.attr) - {"dtype"}:
                del node.attr[key]
            node.attr["value"].tensor.CopyFrom(proto)


def _has_calls(graph_def: Any) -> bool:
    return any(node.op in _CALLS for node in graph_def.node)


def _inlined(graph_def: Any, kept: Sequence[str]) -> Any:
    """The graph with the bodies of called functions in the place of their calls.

    Freezing leaves calls that XLA must compile; Keras wraps grouped convolutions in one. What they compute does not
    depend on who compiles it.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    _strip_barriers(graph_def)
    graph = _imported(tf, graph_def)
    meta_graph = export_meta_graph(graph_def=graph_def, graph=graph)
    fetched = meta_graph_pb2.CollectionDef()
    fetched.node_list.value.extend(kept)
    meta_graph.collection_def["train_op"].CopyFrom(fetched)
    config = config_pb2.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.min_graph_nodes = -1  # small graphs too
    rewrites.optimizers.append("function")
    rewrites.function_optimization = rewrites.AGGRESSIVE
    return _imported(tf, tf_optimizer.OptimizeGraph(config, meta_graph)).as_graph_def(add_shapes=True)


def _imported(tf: Any, graph_def: Any) -> Any:
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    return graph


def _strip_barriers(graph_def: Any) -> None:
    bodies = [function.node_def for function in graph_def.library.function]
    calls = [node for nodes in (graph_def.node, *bodies) for node in nodes if node.op in _CALLS]
    for holder in (*graph_def.library.function, *calls):
        for name in _BARRIERS:
            if name in holder.attr:
                del holder.attr[name]
