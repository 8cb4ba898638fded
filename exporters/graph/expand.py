"""Rewrite operators that a target lacks by means of the function bodies that ONNX itself defines for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs
from onnx_ir.passes import common

from exporters.graph.clean import infer_shapes

DEEPEST = 8  # bodies may hold operators that are themselves expanded; ONNX nests them three deep


def expand(model: ir.Model, lacks: Callable[[ir.Node, ir.Model], bool]) -> ir.Model:
    """Inline ONNX's body of every operator for which `lacks(node, model)`; those without a body stay as they are."""
    for _ in range(DEEPEST):
        nodes = [node for node in model.graph.all_nodes() if lacks(node, model)]
        bodies = [(node, body) for node in nodes if (body := _body(node, model)) is not None]
        if not bodies:
            return model
        for index, (node, body) in enumerate(bodies):
            _call(model, node, body, index)
        # bodies that depend on types need those of the values that other bodies brought
        model = infer_shapes(common.InlinePass()(model).model)
    return model


def _call(model: ir.Model, node: ir.Node, body: onnx.FunctionProto, index: int) -> None:
    """Make `node` a call of its own copy of `body`: bodies may depend on the types of a node's inputs."""
    del body.output[len(node.outputs) :]
    _define_outputs(body)
    body.domain = "toolkit.expanded"
    body.name = f"{node.op_type}_{index}"
    for entry in body.opset_import:
        if entry.domain == "":
            entry.version = model.opset_imports[""]
    function = ir.serde.deserialize_function(body)
    model.functions[function.identifier()] = function
    model.opset_imports["toolkit.expanded"] = 1
    _write_defaults(node, model)
    for name in [a.name for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]:
        del node.attributes[name]
    node.domain, node.op_type = body.domain, body.name


def _write_defaults(node: ir.Node, model: ir.Model) -> None:
    """A body refers to attributes that its caller may have left to their defaults."""
    schema = defs.get_schema(node.op_type, model.opset_imports[node.domain], node.domain)
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.type:
            node.attributes[name] = ir.serde.deserialize_attribute(attribute.default_value)


def _define_outputs(body: onnx.FunctionProto) -> None:
    """ONNX declares optional outputs even in bodies that do not compute them; nobody reads those."""
    computed = {name for inner in body.node for name in inner.output}
    for name in body.output:
        if name not in computed:
            body.node.append(onnx.helper.make_node("Constant", [], [name], value_int=0))


def _body(node: ir.Node, model: ir.Model) -> onnx.FunctionProto | None:
    subgraphs = [a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]
    opset = model.opset_imports.get(node.domain, 0)
    try:
        schema: Any = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return None
    if schema.has_context_dependent_function:
        # such a body has the subgraphs' own nodes in it, which cannot see what lies around the call
        return _context_dependent_body(schema, node, opset) if all(map(_stands_alone, subgraphs)) else None
    if schema.has_function and not subgraphs:
        body = onnx.FunctionProto()
        body.CopyFrom(_newest_body(schema, opset))
        return body
    return None


def _captured(graph: ir.Graph) -> list[ir.Value]:
    """The values of the graphs around it that a subgraph uses."""
    inside = {id(value) for value in graph.inputs}
    for node in graph.all_nodes():
        inside |= {id(value) for value in node.outputs}
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                inside |= {id(value) for value in attribute.as_graph().inputs}
    used = [value for node in graph.all_nodes() for value in node.inputs if value is not None]
    return list({id(value): value for value in (*used, *graph.outputs) if id(value) not in inside}.values())


def _stands_alone(graph: ir.Graph) -> bool:
    """Give a subgraph its own copies of the constants that it uses; False where it uses anything else from outside."""
    outside = _captured(graph)
    if any(value.const_value is None for value in outside):
        return False
    nodes = list(graph.all_nodes())
    for value in outside:
        constant = ir.node("Constant", [], {"value": value.const_value})
        constant.outputs[0].name = f"{value.name}__own"
        graph.insert_before(graph[0], constant)
        for node in nodes:
            for index, given in enumerate(node.inputs):
                if given is value:
                    node.replace_input_with(index, constant.outputs[0])
    return True


def _newest_body(schema: Any, opset: int) -> onnx.FunctionProto:
    versions = [version for version in schema.function_opset_versions if version <= opset]
    if versions:
        body = onnx.FunctionProto()
        body.ParseFromString(schema.get_function_with_opset_version(max(versions)))
        return body
    body_proto: onnx.FunctionProto = schema.function_body
    return body_proto


def _context_dependent_body(schema: Any, node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    proto = ir.to_proto(node)
    types = [_type(value) for value in node.inputs]
    if any(kind is None for kind in types):
        return None
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    if not versions:
        return None
    body = onnx.FunctionProto()
    encoded = [kind for kind in types if kind is not None]
    body.ParseFromString(
        schema.get_context_dependent_function_with_opset_version(max(versions), proto.SerializeToString(), encoded)
    )
    return body if body.node else None  # ONNX gives an empty one where it misses a size


def _type(value: ir.Value | None) -> bytes | None:
    if value is None:
        return bytes(onnx.TypeProto().SerializeToString())
    if value.type is None:
        return None
    return bytes(ir.serde.serialize_value(value).type.SerializeToString())
