"""Turn a cleaned graph into a functional Keras model by calling the functions of the operator table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
from keras import KerasTensor
from onnx import defs

from exporters.graph import clean, expand, read
from exporters.graph.operator_table import Operator, used_outputs
from exporters.graph.signature import DTYPES
from exporters.onnx_to_keras import sizes
from exporters.onnx_to_keras.operand import Constant, Scope, Size, Sizes, tensor
from exporters.onnx_to_keras.operators import KERAS
from toolkit.errors import InvalidGraph, ToolkitError, UnsupportedOperator

PYTHON_VALUES: dict[Any, Any] = {
    list[int]: lambda values: [int(value) for value in values],
    list[float]: lambda values: [float(value) for value in values],
    int: lambda values: int(values[0]),
    float: lambda values: float(values[0]),
    bool: lambda values: bool(values[0]),
}
PYTHON_VALUES |= {kind | None: convert for kind, convert in PYTHON_VALUES.items()}
# An input annotated so may also hold sizes that are known when the model runs.
SHAPE = list[int | Size]
LEGACY_ATTRIBUTES = frozenset({"consumed_inputs"})  # opset 1 told frameworks what they might overwrite


def build(model: str | Path | onnx.ModelProto | ir.Model, dtype: str | None = None) -> keras.Model:
    where = read.name_of(model)
    graph_model = prepare(read.read(model))
    KERAS.require(graph_model, where)
    return Builder(graph_model, where, dtype).build()


def prepare(model: ir.Model) -> ir.Model:
    """Clean the graph and expand what the table lacks; both again, since bodies bring constants of their own."""
    model = clean.clean(model)
    if KERAS.missing(model):
        model = clean.clean(expand.expand(model, lambda node, within: KERAS.lookup_node(node, within) is None))
    return model


class Builder:
    """Holds what was computed so far: `values` maps what is computed to a tensor, a constant or sizes."""

    def __init__(self, model: ir.Model, where: str, dtype: str | None) -> None:
        self.model = model
        self.where = where
        self.dtype = dtype
        self.values: dict[ir.Value, Any] = {}

    def build(self) -> keras.Model:
        source = self.model.graph
        inputs = [self._input(value) for value in source.inputs]
        self.scope = Scope(inputs[0] if inputs else None, self.dtype)
        for name in (value.name for value in inputs):
            self.scope.name(name)
        for node in source:
            try:
                self._add(node)
            except ToolkitError as error:
                raise error.at(f"{self.where}, node '{node.name or node.outputs[0].name}'") from error
        outputs = [tensor(self._value(value)) for value in source.outputs]
        # a tensor may be a model's output once, and an input of the model is no layer's output
        seen = {id(value) for value in inputs}
        for index, value in enumerate(outputs):
            if id(value) in seen:
                outputs[index] = keras.layers.Identity(dtype=value.dtype)(value)
            seen.add(id(value))
        name = self.scope.name(source.name or "model")
        # one input goes in bare, as one output comes out bare: Keras warns about a list of one
        return keras.Model(
            inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs, name=name
        )

    def _input(self, value: ir.Value) -> KerasTensor:
        if not isinstance(value.type, ir.TensorType) or value.dtype not in DTYPES or value.shape is None:
            raise InvalidGraph(f"input '{value.name}' is no tensor of a known rank", where=self.where)
        dtype = DTYPES[value.dtype]
        if self.dtype and dtype == "float32":
            dtype = self.dtype
        shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
        name = (value.name or "input").replace("/", ".")
        self.values[value] = keras.Input(batch_shape=shape, dtype=dtype, name=name)
        return self.values[value]

    def _value(self, value: ir.Value) -> Any:
        if value not in self.values:
            assert value.const_value is not None
            array = self.scope.array(np.asarray(value.const_value.numpy()))
            self.values[value] = Constant(array, value.name or "constant", self.scope)
        return self.values[value]

    def _add(self, node: ir.Node) -> None:
        operands = [None if value is None else self._value(value) for value in node.inputs]
        result = self._sizes(node, operands)
        if result is not None:
            self.values[node.outputs[0]] = result
            return
        row = KERAS.lookup_node(node, self.model)
        assert row is not None, "OperatorTable.require was not called"
        result = row.function(*self._inputs(node, row, operands), **self._attributes(node, row))
        results = [result] if row.outputs == 1 else result
        for value, item in zip(node.outputs[: used_outputs(node)], results, strict=False):
            self.values[value] = item

    def _sizes(self, node: ir.Node, operands: list[Any]) -> Any:
        if node.op_type == "Shape" and not node.domain:
            start = node.attributes["start"].as_int() if "start" in node.attributes else 0
            end = node.attributes["end"].as_int() if "end" in node.attributes else None
            found = self._shape(node.inputs[0], operands[0])[start:end]
            return sizes.wrap(np.array(found, object), node.outputs[0].name or "", self.scope)
        return sizes.evaluate(node, operands, self.scope)

    def _shape(self, value: ir.Value | None, operand: Any) -> list[int | Size]:
        """The shape of `operand`, with a Size for each dimension that may vary."""
        assert value is not None
        names = list(value.shape) if value.shape is not None else [None] * len(operand.shape)
        return [
            size if size is not None else Size(_symbol(name, value, axis), operand, axis)
            for axis, (size, name) in enumerate(zip(operand.shape, names, strict=True))
        ]

    def _inputs(self, node: ir.Node, row: Operator, operands: list[Any]) -> list[Any]:
        given = list(operands)
        while given and given[-1] is None:
            given.pop()
        variadic = _variadic_position(node, self.model)
        head = given if variadic is None else given[:variadic]
        parameters = list(row.parameters.values())
        arguments = [self._argument(value, p, node) for value, p in zip(head, parameters, strict=False)]
        return arguments if variadic is None else [*arguments, given[variadic:]]

    def _argument(self, value: Any, parameter: Any, node: ir.Node) -> Any:
        kind = parameter.annotation
        if value is None:
            return None
        if kind == SHAPE and isinstance(value, Constant | Sizes):
            return value.array.reshape(-1).tolist()
        if kind in PYTHON_VALUES or kind == SHAPE:
            if not isinstance(value, Constant):
                raise UnsupportedOperator(
                    f"{node.op_type} with '{parameter.name}' computed when the model runs has no Keras form",
                    hint=KERAS.advice,
                )
            return PYTHON_VALUES[kind](value.array.reshape(-1).tolist())
        return tensor(value) if kind is KerasTensor or kind == KerasTensor | None else value

    def _attributes(self, node: ir.Node, row: Operator) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, attribute in node.attributes.items():
            if name in LEGACY_ATTRIBUTES:
                continue
            value: Any = attribute.value
            if attribute.type == ir.AttributeType.TENSOR:
                array = self.scope.array(np.asarray(attribute.as_tensor().numpy()))
                value = Constant(array, f"{node.outputs[0].name}.{name}", self.scope)
            elif name in ("to", "dtype"):
                value = self._dtype(attribute.as_int())
            found[name] = list(value) if isinstance(value, tuple) else value
        if "outputs" in row.parameters:
            found["outputs"] = len(node.outputs)
        if "source_shape" in row.parameters:
            found["source_shape"] = self._shape(node.inputs[0], self._value(node.inputs[0]))
        return found

    def _dtype(self, number: int) -> str:
        kind = ir.DataType(number)
        if kind not in DTYPES or kind == ir.DataType.STRING:
            raise UnsupportedOperator(f"tensors of type {kind.name} have no Keras form", hint=KERAS.advice)
        return self.scope.float_dtype(DTYPES[kind])


def _symbol(name: Any, value: ir.Value, axis: int) -> str:
    symbol = getattr(name, "value", None)
    return symbol or f"{value.name}[{axis}]"


def _variadic_position(node: ir.Node, model: ir.Model) -> int | None:
    """Where a node's variadic inputs start, if its operator has any."""
    try:
        schema = defs.get_schema(node.op_type, model.opset_imports[node.domain], node.domain)
    except defs.SchemaError:
        return None
    kinds = [formal.option for formal in schema.inputs]
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return kinds.index(variadic) if variadic in kinds else None
