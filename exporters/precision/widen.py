"""Compute an ONNX graph of float16 or bfloat16 in float32: the same weights, and none of the rounding in between.

ONNX Runtime has hardly an operator in bfloat16 on the CPU, and Keras none that is worth it: a file made of such a model
computes in float32. It is also the truth of a model of few bits, once it is run in float64.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph import clean
from exporters.precision.kinds import FULL

NARROW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_WIDE = ir.DataType.FLOAT
_DTYPES = frozenset({"to", "dtype", "output_dtype"})  # attributes that say what comes out
_CASTS = frozenset({"Cast", "CastLike", "Identity"})
_STORED = 2  # elements of what counts as a weight; a lone number is not worth a Cast


def mentions(model: ir.Model) -> bool:
    """Whether few bits come up at all: in a weight, an input or an attribute. Quick, and without shape inference."""
    ends = (*model.graph.inputs, *model.graph.initializers.values())
    if any(value.dtype in NARROW for value in ends):
        return True
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    nodes = (node for graph in graphs for node in graph.all_nodes())
    return any(_is_narrow(name, attribute) for node in nodes for name, attribute in node.attributes.items())


def _is_narrow(name: str, attribute: ir.Attr) -> bool:
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().dtype in NARROW
    return name in _DTYPES and attribute.type == ir.AttributeType.INT and attribute.as_int() in NARROW


def dtypes_within(model: ir.Model) -> frozenset[ir.DataType]:
    """In which dtypes of few bits a graph computes; what is only stored so, and cast before it is used, is not."""
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    nodes = (node for graph in graphs for node in graph.all_nodes() if node.op_type not in _CASTS)
    values = (value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None)
    found = {value.dtype for value in values if value.dtype is not None}
    return NARROW & found


def declares(model: ir.Model) -> bool:
    """Whether weights, inputs or outputs are in few bits, and not only what is computed between them."""
    ends = (*model.graph.inputs, *model.graph.outputs)
    weights = (value.const_value for value in model.graph.initializers.values() if value.const_value is not None)
    return any(value.dtype in NARROW for value in ends) or any(
        tensor.dtype in NARROW and tensor.size >= _STORED for tensor in weights
    )


def precision_of(model: ir.Model) -> str:
    """In how many bits a graph computes at the least: "fp32", "fp16" or "bf16"."""
    if not mentions(model):
        return FULL
    found = dtypes_within(clean.infer_shapes(model))
    return "bf16" if ir.DataType.BFLOAT16 in found else "fp16" if ir.DataType.FLOAT16 in found else FULL


def widened(model: ir.Model) -> ir.Model:
    """A graph that computes in few bits in float32, any other as it is."""
    return model if precision_of(model) == FULL else widen(model)


def widen(model: ir.Model, narrow: Iterable[ir.DataType] = NARROW, *, store: bool = False) -> ir.Model:
    """`model` with float32 wherever it has one of the dtypes `narrow`, inputs and outputs too, in place.

    With `store` weights keep their dtype, each with a Cast that a runtime does once, when it opens the file.
    """
    model = common.InlinePass()(model).model
    model = clean.infer_shapes(clean.lift_constants(model))
    widening = _Widening(frozenset(narrow))
    if store:
        widening.store(model.graph)
    for graph in (model.graph, *model.graph.subgraphs()):
        widening.graph(graph)
    return model


class _Widening:
    def __init__(self, narrow: frozenset[ir.DataType]) -> None:
        self.narrow = narrow
        self.kept: set[ir.Value] = set()  # values that keep their dtype
        self.casts: set[ir.Node] = set()  # nodes that were put in between

    def store(self, graph: ir.Graph) -> None:
        for value in list(graph.initializers.values()):
            tensor = value.const_value
            if tensor is not None and tensor.dtype in self.narrow and tensor.size >= _STORED:
                self._read_through_cast(graph, value)

    def _read_through_cast(self, graph: ir.Graph, value: ir.Value) -> None:
        uses = list(value.uses())
        if not uses and not value.is_graph_output():
            return
        node = ir.node("Cast", [value], {"to": _WIDE})
        wide = node.outputs[0]
        wide.name, wide.shape, wide.type = f"{value.name}__float", value.shape, ir.TensorType(_WIDE)
        for use in uses:
            use.node.replace_input_with(use.idx, wide)
        if len(graph):
            graph.insert_before(graph[0], node)
        else:
            graph.append(node)
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = wide
        self.kept.add(value)
        self.casts.add(node)

    def graph(self, graph: ir.Graph) -> None:
        for value in (*graph.inputs, *graph.initializers.values()):
            self._value(value)
        for node in graph:
            if node in self.casts:
                continue
            self._attributes(node)
            for value in node.outputs:
                self._value(value)

    def _value(self, value: ir.Value) -> None:
        if value in self.kept:
            return
        tensor = value.const_value
        if tensor is not None and tensor.dtype in self.narrow:
            value.const_value = ir.tensor(tensor.numpy().astype(_WIDE.numpy()), name=value.name)
        if value.type is not None and value.dtype in self.narrow:
            value.dtype = _WIDE

    def _attributes(self, node: ir.Node) -> None:
        """`to` of a Cast, `dtype` of what makes numbers, and tensors as attributes."""
        for name, attribute in list(node.attributes.items()):
            if name in _DTYPES and attribute.type == ir.AttributeType.INT:
                if attribute.as_int() in self.narrow:
                    node.attributes[name] = ir.AttrInt64(name, _WIDE)
            elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in self.narrow:
                wide = ir.tensor(attribute.as_tensor().numpy().astype(_WIDE.numpy()))
                node.attributes[name] = ir.AttrTensor(name, wide)
