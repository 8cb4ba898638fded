"""Turn a cleaned graph into an `fx.GraphModule` whose nodes call the functions of the operator table."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx import defs
from torch import Tensor, fx, nn

from exporters.graph import clean, contributed, expand, fold_batchnorm, fold_scaling, patterns, read, recurrent
from exporters.graph.kinds import kind_of
from exporters.graph.limits import exceeded
from exporters.graph.operator_table import Operator, node_name, node_title, used_outputs
from exporters.graph.signature import identifier
from exporters.onnx_to_torch import channels_last, convert, in_place, limits, plain, subgraphs, training
from exporters.onnx_to_torch.dtypes import NARROW, dtype_of, tensor_of
from exporters.onnx_to_torch.elementwise import as_float4, cast_like
from exporters.onnx_to_torch.integers import clamped, wrapped
from exporters.onnx_to_torch.operators import TORCH
from exporters.onnx_to_torch.packing import ANNOTATIONS, PACKED, UNPACKED, unpacked_as
from exporters.onnx_to_torch.sizes import Sizes
from exporters.onnx_to_torch.tracer import Mode, Tracer
from exporters.onnx_to_torch.weights import Weights
from toolkit.causes import described
from toolkit.errors import InvalidGraph, ToolkitError, UnsupportedOperator


def _literal(value: float) -> int:
    """TorchScript cannot read the smallest int64, with which exporters say "from the very front"."""
    return max(int(value), -(2**63 - 1))


# An input whose parameter is annotated so must be a Python value: initializers are handed over as one, what is
# computed at run time goes through the function.
PYTHON_VALUES: dict[Any, tuple[Callable[[Tensor], Any], Callable[[list[Any]], Any]]] = {
    list[int]: (convert.to_ints, lambda values: [_literal(value) for value in values]),
    list[float]: (convert.to_floats, lambda values: [float(value) for value in values]),
    int: (convert.to_int, lambda values: _literal(values[0])),
    float: (convert.to_float, lambda values: float(values[0])),
    bool: (convert.to_bool, lambda values: bool(values[0])),
}
PYTHON_VALUES |= {kind | None: row for kind, row in PYTHON_VALUES.items()}

# What makes integers of four or two bits: how it treats those that do not fit.
NARROWING: dict[str, Callable[..., Tensor]] = {"Cast": wrapped, "CastLike": wrapped, "QuantizeLinear": clamped}
_LISTS = (list[int], list[int] | None)
_COUNTS = (*_LISTS, int, int | None)
_LONGEST = 200  # characters of a library's own words
_SHORTEST = 16  # steps of a cell without a loop from which torch's own layers are faster (docs/patterns.md)
_MATRIX = 2  # dimensions of a result that no layout touches
LEGACY_ATTRIBUTES = frozenset({"consumed_inputs"})  # opset 1 told frameworks what they might overwrite


def build(
    model: str | Path | onnx.ModelProto | ir.Model, *, optimize: bool = False, share: bool = False
) -> fx.GraphModule:
    where = read.name_of(model)
    graph_model = prepare(read.read(model))
    TORCH.require(graph_model, where)
    require_covered(graph_model, where)
    if not optimize:
        return Builder(graph_model, where, share=share).build()
    fold_batchnorm.fold_batchnorm(graph_model)
    fold_scaling.fold_scaling(graph_model)
    builder = Builder(graph_model, where, share=share)
    module = builder.build()
    channels_last.store(module, _images(graph_model.graph))
    in_place.overwrite(module, {node: value for value, node in builder.values.items()})
    return module


def _images(graph: ir.Graph) -> list[int]:
    """The positions of the outputs that are tensors of more than two dimensions, or may be."""
    tensors = [i for i, value in enumerate(graph.outputs) if isinstance(value.type, ir.TensorType)]
    return [i for i in tensors if (shape := graph.outputs[i].shape) is None or len(shape) > _MATRIX]


def prepare(model: ir.Model) -> ir.Model:
    """Clean the graph, recognise spelled-out operators, and expand what the table lacks; then clean what came.

    First of all, operators of ONNX Runtime's that the table lacks become such of ONNX's.
    """
    model = clean.clean(model)
    if contributed.rewrite(model, _lacks):
        model = clean.clean(model)
    training.untie_normalizations(model)
    model = recurrent.recover(model, shortest=_SHORTEST)
    patterns.apply(model)
    if TORCH.missing(model):
        model = clean.clean(expand.expand(model, _lacks))
    return model


def _lacks(node: ir.Node, model: ir.Model) -> bool:
    return TORCH.lookup_node(node, model) is None


def require_covered(model: ir.Model, where: str) -> None:
    """Raise UnsupportedOperator for the nodes that ask of their operators what no function here does."""
    found = []
    for node in model.graph.all_nodes():
        row = TORCH.lookup_node(node, model)
        what = exceeded(node, row, limits.LIMITS) if row is not None else None
        if what:
            found.append((node, f"{node_title(node)} with {what}"))
    if found:
        more = "".join(f";\n  also {text} at '{node_name(node)}'" for node, text in found[1:])
        node, text = found[0]
        raise UnsupportedOperator(
            f"{text} has no PyTorch form{more or '.'}", where=f"{where}, node '{node_name(node)}'", hint=TORCH.advice
        )


_FOLLOWED = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


class Builder:
    """Holds the fx graph while it grows; `values` maps what is computed to the fx node that computes it."""

    def __init__(self, model: ir.Model, where: str, *, share: bool = False) -> None:
        self.model = model
        self.where = where
        self.root = nn.Module()
        self.weights = Weights(self.root, share=share)
        self.graph = fx.Graph(tracer_cls=Tracer)
        self.values: dict[ir.Value, fx.Node] = {}
        self.mode: fx.Node | None = None
        self.sizes = Sizes(self.graph, self._value)
        initializers = model.graph.initializers.values()
        # Per narrow type a weight of it, whose dtype tells a Cast to that type what the module works in after
        # `.double()`.
        floats = [v for v in initializers if v.dtype in _FOLLOWED and v.uses()]
        self.anchors = {v.dtype: v for v in reversed(floats)}

    def build(self) -> fx.GraphModule:
        source = self.model.graph
        for value in source.inputs:
            self.values[value] = self._placeholder(value)
        for node in source:
            self._add(node)
        results = [self._value(value) for value in source.outputs]
        self.graph.output(results[0] if len(results) == 1 else tuple(results))
        self.graph.eliminate_dead_code(is_impure_node=_is_input)
        return self._module(source.name or "Model")

    def _module(self, name: str) -> fx.GraphModule:
        module = fx.GraphModule(self.root, self.graph, class_name=identifier(name))
        module.meta["source_names"] = self.weights.source_names
        module.train(False)
        return module

    def _placeholder(self, value: ir.Value) -> fx.Node:
        node = self.graph.placeholder(identifier(value.name or "input"))
        node.type = ANNOTATIONS[kind_of(value)]
        return node

    def _value(self, value: ir.Value) -> fx.Node:
        if value not in self.values:
            self.values[value] = self.graph.get_attr(self.weights.path(value))
        return self.values[value]

    def _add(self, node: ir.Node) -> None:
        """Add a node; whatever a damaged one raises gets its place."""
        try:
            self._add_known(node)
        except ToolkitError:
            raise
        except Exception as error:
            raise InvalidGraph(
                f"{node_title(node)} cannot be rebuilt ({described(error, _LONGEST)})",
                where=f"{self.where}, node '{node_name(node)}'",
                hint="Are its inputs, outputs and attributes those that ONNX asks of it?",
            ) from error

    def _add_known(self, node: ir.Node) -> None:
        self.sizes.of(node.outputs[0])  # in the graph's order: a long way back is then never looked at twice
        row = TORCH.lookup_node(node, self.model)
        assert row is not None, "OperatorTable.require was not called"
        if row.layout == "subgraphs":
            self._control_flow(node, row)
            return
        call = self._module_call(node, row) if row.layout == "module" else self._call(node, row)
        if row.outputs == 1:
            self.values[node.outputs[0]] = call
            return
        for index, value in enumerate(node.outputs[: used_outputs(node)]):
            if value.uses() or value.is_graph_output():
                self.values[value] = self.graph.call_function(operator.getitem, (call, index))

    def _control_flow(self, node: ir.Node, row: Operator) -> None:
        """If, Loop and their like: the row's function makes a module of the subgraphs' modules, to be called."""
        leading = sum(parameter.annotation in (Tensor, Tensor | None) for parameter in row.parameters.values())
        listed = node.op_type != "If"
        keywords: dict[str, Any] = {}
        captured: list[list[fx.Node]] = []
        # in the order of the parameters: a file may name the else branch first
        for name in (name for name in row.parameters if name in node.attributes):
            attribute = node.attributes[name]
            if attribute.type == ir.AttributeType.GRAPH:
                inner = SubgraphBuilder(self, attribute.as_graph(), takes_inputs=listed)
                keywords[name] = inner.build(subgraphs.kinds_of_results(node, attribute.as_graph()))
                captured.append([self._packed(value, kind_of(value)) for value in inner.captured])
            else:
                keywords[name] = self._attribute(attribute, node, row.parameters[name].annotation)
        keywords |= subgraphs.keywords(node, row, leading)
        operands: list[Any] = [None if value is None else self._value(value) for value in node.inputs[:leading]]
        if listed:
            kinds = subgraphs.kinds_of_operands(node, leading)
            values = node.inputs[leading:]
            operands.append([self._packed(v, kind) for v, kind in zip(values, kinds, strict=True) if v is not None])
        place = f"{row.name.lower()}_{len(self.graph.nodes)}"
        tensors = (Tensor, Tensor | None, list[Tensor])
        inputs = [p for name, p in row.parameters.items() if p.annotation in tensors and name not in keywords]
        self.root.add_module(place, row.function(*([None] * len(inputs)), **keywords))
        call = self.graph.call_module(place, (*operands, *captured))
        for index, packed in enumerate(subgraphs.kinds_as_packed(node)):
            value = node.outputs[index]
            if value.uses() or value.is_graph_output():
                item = self.graph.call_function(operator.getitem, (call, index))
                self.values[value] = self.graph.call_function(unpacked_as(packed, kind_of(value)), (item,))

    def _module_call(self, node: ir.Node, row: Operator) -> fx.Node:
        """An operator whose attributes are tables: the row's function makes a module that holds them."""
        place = f"{row.name.lower()}_{len(self.graph.nodes)}"
        keywords = {name: _plain(attribute) for name, attribute in node.attributes.items()}
        self.root.add_module(place, row.function(*([None] * len(node.inputs)), **keywords))
        return self.graph.call_module(place, tuple(self._value(value) for value in node.inputs if value is not None))

    def _packed(self, value: ir.Value, kind: str) -> fx.Node:
        return self.graph.call_function(PACKED[kind], (self._value(value),))

    def _call(self, node: ir.Node, row: Operator) -> fx.Node:
        anchor = self.anchors.get(ir.DataType(node.attributes["to"].as_int())) if node.op_type == "Cast" else None
        if anchor is not None:
            operands = self._inputs(node, row)
            return self.graph.call_function(cast_like, (*operands, self._value(anchor)))
        if node.outputs[0].dtype == ir.DataType.FLOAT4E2M1 and node.op_type in NARROWING:
            return self._float4(node, row)
        parameters = row.parameters
        keywords = self._attributes(node, parameters)
        if "outputs" in parameters:
            keywords["outputs"] = len(node.outputs)
        if "training" in parameters and training.follows_mode(node):
            keywords["training"] = self._mode()
        operands = self._inputs(node, row)
        opset = self.model.opset_imports.get("", 0)
        given = plain.Call(node, self.graph, operands, keywords, self.sizes, opset)
        known: fx.Node | None = plain.call(given) if row.outputs == 1 or node.op_type in plain.SEVERAL else None
        if known is not None:
            return known
        result = self.graph.call_function(row.function, operands, keywords)
        kind = node.outputs[0].dtype
        if kind in NARROW and node.op_type in NARROWING:
            return self.graph.call_function(NARROWING[node.op_type], (result, *NARROW[kind]))
        return result

    def _mode(self) -> fx.Node:
        """Whether the module is trained, asked for once, before everything else."""
        if self.mode is None:
            name = "training_mode"
            while hasattr(self.root, name):
                name += "_"
            self.root.add_module(name, Mode())
            first = next((node for node in self.graph.nodes if node.op != "placeholder"), None)
            with self.graph.inserting_before(first) if first is not None else contextlib.nullcontext():
                self.mode = self.graph.call_module(name)
        return self.mode

    def _float4(self, node: ir.Node, row: Operator) -> fx.Node:
        """What makes floats of four bits: computed in float32 and rounded once, there being no dtype to round to."""
        operands = self._inputs(node, row)
        if node.op_type == "QuantizeLinear":
            keywords = self._attributes(node, row.parameters) | {"output_dtype": torch.float32}
            scaled = self.graph.call_function(row.function, (*operands[:2], None), keywords)
            return self.graph.call_function(as_float4, (scaled,))
        return self.graph.call_function(as_float4, operands[:1])

    def _inputs(self, node: ir.Node, row: Operator) -> tuple[Any, ...]:
        parameters = list(row.parameters.values())
        given = list(node.inputs)
        while given and given[-1] is None:
            given.pop()
        variadic = _variadic_position(node, self.model, row)
        head = given if variadic is None else given[:variadic]
        arguments = [self._argument(value, p.annotation) for value, p in zip(head, parameters, strict=False)]
        if variadic is not None:
            arguments.append([self._argument(value, Tensor) for value in given[variadic:]])
        return tuple(arguments)

    def _argument(self, value: ir.Value | None, annotation: Any) -> Any:
        if value is None or annotation not in PYTHON_VALUES:
            return None if value is None else self._value(value)
        at_run_time, from_constant = PYTHON_VALUES[annotation]
        if value.is_initializer() and value.const_value is not None:
            found = _as_meant(from_constant(value.const_value.numpy().reshape(-1).tolist()))
            return [self._number(item) for item in found] if isinstance(found, list) else self._number(found)
        if annotation in _COUNTS and (sizes := self.sizes.integers(value)) is not None:
            return sizes if annotation in _LISTS else sizes[0]
        return self.graph.call_function(at_run_time, (self._value(value),))

    def _attributes(self, node: ir.Node, parameters: dict[str, Any]) -> dict[str, Any]:
        wanted = {
            name: a
            for name, a in node.attributes.items()
            if name not in LEGACY_ATTRIBUTES and a.type != ir.AttributeType.TYPE_PROTO
        }
        found = {name: self._attribute(a, node, parameters[name].annotation) for name, a in wanted.items()}
        # what is the default anyway would only clutter the module's code
        return {name: value for name, value in found.items() if not _is(value, parameters[name].default)}

    def _attribute(self, attribute: ir.Attr, node: ir.Node, annotation: Any) -> Any:
        if attribute.type == ir.AttributeType.TENSOR:
            name = f"{node.outputs[0].name}.{attribute.name}"
            return self.graph.get_attr(self.weights.add(name, tensor_of(attribute.as_tensor())))
        if annotation in (torch.dtype, torch.dtype | None):
            return dtype_of(attribute.as_int(), f"{self.where}, node '{node.name}'")
        value = _as_meant(attribute.value)
        return [self._number(item) for item in value] if isinstance(value, tuple) else self._number(value)

    def _number(self, value: Any) -> Any:
        """`value`, or where it is infinite or no number, the call that gives it: TorchScript reads no such literal."""
        if not isinstance(value, float) or math.isfinite(value):
            return value
        infinite = convert.infinity if value > 0 else convert.minus_infinity
        return self.graph.call_function(convert.not_a_number if math.isnan(value) else infinite)


class SubgraphBuilder(Builder):
    """Builds a branch or a body: lists of packed inputs (a branch has none) and captured values, a list of results."""

    def __init__(self, outer: Builder, source: ir.Graph, *, takes_inputs: bool) -> None:
        super().__init__(outer.model, outer.where)
        self.source = source
        self.captured: list[ir.Value] = []
        self.inputs = self._list("inputs") if takes_inputs else None
        self.capture = self._list("captured")

    def _list(self, name: str) -> fx.Node:
        node = self.graph.placeholder(name)
        node.type = list[list[Tensor]]
        return node

    def build(self, kinds: list[str]) -> fx.GraphModule:  # type: ignore[override]  # a branch is packed
        """The module whose results are packed as values of `kinds`."""
        for index, value in enumerate(self.source.inputs):
            assert self.inputs is not None
            self.values[value] = self._unpacked(self.inputs, index, kind_of(value))
        for node in self.source:
            self._add(node)
        self.graph.output([self._packed(value, kind) for value, kind in zip(self.source.outputs, kinds, strict=True)])
        return self._module(self.source.name or "Body")

    def _value(self, value: ir.Value) -> fx.Node:
        """What is not computed here comes from outside, weights included: they live in the outermost module."""
        if value not in self.values:
            self.values[value] = self._unpacked(self.capture, len(self.captured), kind_of(value))
            self.captured.append(value)
        return self.values[value]

    def _unpacked(self, values: fx.Node, index: int, kind: str) -> fx.Node:
        item = self.graph.call_function(operator.getitem, (values, index))
        return self.graph.call_function(UNPACKED[kind], (item,))


def _is_input(node: fx.Node) -> bool:
    return node.op in {"placeholder", "output"}


def _as_meant(value: Any) -> Any:
    """A float32 number as the shortest decimal that it stands for: 1e-05, where double shows 9.99999974737875e-06.

    In float32 that is the same number; a module in float64 comes closer to the source that it was exported from.
    """
    if isinstance(value, tuple | list):
        return type(value)(_as_meant(item) for item in value)
    if not isinstance(value, float) or not math.isfinite(value) or float(np.float32(value)) != value:
        return value
    return float(str(np.float32(value)))


def _plain(attribute: ir.Attr) -> Any:
    if attribute.type == ir.AttributeType.TENSOR:
        return tensor_of(attribute.as_tensor())
    return list(attribute.value) if isinstance(attribute.value, tuple) else attribute.value


def _is(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def _variadic_position(node: ir.Node, model: ir.Model, row: Operator) -> int | None:
    """Where a node's variadic inputs start, if its operator has any; beside ONNX's domains the function tells."""
    try:
        schema = defs.get_schema(node.op_type, model.opset_imports[node.domain], node.domain)
    except defs.SchemaError:
        annotations = [parameter.annotation for parameter in row.parameters.values()]
        return annotations.index(list[Tensor]) if list[Tensor] in annotations else None
    kinds = [formal.option for formal in schema.inputs]
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return kinds.index(variadic) if variadic in kinds else None
