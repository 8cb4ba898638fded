"""Turn a cleaned graph into a functional Keras model by calling the functions of the operator table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
from keras import KerasTensor, ops
from onnx import defs

from exporters.graph import clean, contributed, expand, fold_batchnorm, layout, patterns, read, recurrent
from exporters.graph.layout import Order
from exporters.graph.operator_table import Operator, used_outputs
from exporters.graph.signature import DTYPES
from exporters.graph.values import CONSTANT
from exporters.onnx_to_keras import bias, constants, naming, nesting, recurrent_weights, regrouping, sharing, sizes
from exporters.onnx_to_keras.operand import Constant, Length, Scope, Size, Sizes, Unknown, tensor
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
SHAPE = list[Length]
SHAPES = (SHAPE, SHAPE | None)
# Spelled-out operators that Keras has as one: all but those that it would spell out again.
RECOGNISED = frozenset(patterns.PATTERNS) - {"Places", "RotateHalves", "RotatePairs", "ScaledDotProductAttention"}
NAMELESS_AXES = frozenset({"Slice", "Pad"})  # without `axes` they mean the first ones, or all
LEGACY_ATTRIBUTES = frozenset({"consumed_inputs"})  # opset 1 told frameworks what they might overwrite


def build(
    model: str | Path | onnx.ModelProto | ir.Model,
    dtype: str | None = None,
    *,
    optimize: bool = False,
    plain: bool = True,
) -> keras.Model:
    where = read.name_of(model)
    graph_model = prepare(read.read(model), optimize=optimize)
    KERAS.require(graph_model, where)
    return Builder(graph_model, where, dtype, plain=plain).build()


def prepare(model: ir.Model, *, optimize: bool = False) -> ir.Model:
    """Clean the graph and expand what the table lacks; both again, since bodies bring constants of their own.

    First of all, operators of ONNX Runtime's become such of ONNX's.

    Before, operators that are spelled out come back where Keras has them as one. Last, with `optimize` normalisations
    are folded away, and weights are put where layers have them.
    """
    model = clean.clean(model)
    if contributed.rewrite(model, _lacks):
        model = clean.clean(model)
    model = recurrent.recover(model)
    patterns.apply(model, which=RECOGNISED)
    if KERAS.missing(model):
        model = clean.clean(expand.expand(model, _lacks))
    if optimize:
        fold_batchnorm.fold_batchnorm(model)
    model = recurrent_weights.compute(model)
    return bias.absorb(sharing.tie(model))


def _lacks(node: ir.Node, model: ir.Model) -> bool:
    return KERAS.lookup_node(node, model) is None


class Builder:
    """Holds what was computed so far: `values` maps what is computed to a tensor, a constant or sizes."""

    def __init__(self, model: ir.Model, where: str, dtype: str | None, *, plain: bool = True) -> None:
        self.model = model
        self.plain_model = plain
        self.where = where
        self.dtype = dtype
        self.values: dict[ir.Value, Any] = {}
        self.orders: dict[ir.Value, Order] = {}  # of values held in another order than ONNX's
        self.turned: dict[tuple[ir.Value, Order], KerasTensor] = {}
        self.uses: dict[ir.Value, int] = {}  # how many more nodes use a constant

    def build(self) -> keras.Model:
        source = self.model.graph
        inputs = [self._input(value) for value in source.inputs]
        self.scope = Scope(inputs[0] if inputs else None, self.dtype, plain=self.plain_model)
        for value in inputs:
            self.scope.name(value.name)
            self.scope.named.add(naming.operation_of(value))
        self.add_nodes(source)
        return self.model_of(inputs, list(source.outputs), self.scope.name(source.name or "model"))

    def within(self, scope: Scope) -> Builder:
        """A builder for a graph inside this one, whose model is another."""
        inner = Builder(self.model, self.where, self.dtype, plain=self.plain_model)
        inner.scope = scope
        return inner

    def model_of(self, inputs: list[KerasTensor], values: list[ir.Value], name: str) -> keras.Model:
        """The model from `inputs` to what was computed for `values`."""
        outputs = [tensor(self.plain(value)) for value in values]
        # a tensor may be a model's output once, and an input of the model is no layer's output
        seen = {id(value) for value in inputs}
        for index, value in enumerate(outputs):
            if id(value) in seen:
                # a policy of the name "int8" would be a quantised layer's
                outputs[index] = keras.layers.Identity(dtype=value.dtype if "float" in value.dtype else "float32")(
                    value
                )
            seen.add(id(value))
        naming.rename(outputs, self.scope)
        return nesting.model(inputs, outputs, name)

    def add_nodes(self, graph: ir.Graph) -> None:
        for node in graph:
            try:
                self._add(node)
            except ToolkitError as error:
                within = graph is not self.model.graph  # then the node around it is named as well
                raise (error if within else error.at(f"{self.where}, node '{_title(node)}'")) from error
            if graph is self.model.graph:  # what a body uses it may use again
                self._let_go(node)

    def _let_go(self, node: ir.Node) -> None:
        """Forget the weights that `node` was the last to use: their arrays would stay in memory beside the layers'."""
        for value in node.inputs:
            if value is not None and isinstance(self.values.get(value), Constant):
                self.uses[value] = self.uses.get(value, len(value.uses())) - 1
                if not self.uses[value] and value.const_value is not None:
                    del self.values[value]

    def plain(self, value: ir.Value) -> Any:
        """What was computed for `value`, in ONNX's order."""
        return self.held(value, None)

    def forget(self, value: ir.Value) -> None:
        """`value` is about to be computed again: the body of a loop is."""
        self.values.pop(value, None)
        self.orders.pop(value, None)
        self.turned = {key: turned for key, turned in self.turned.items() if key[0] is not value}

    def constant(self, item: bool | int) -> Constant:
        """A scalar of the dtype that ONNX has for it."""
        return Constant(np.array(item, np.bool_ if isinstance(item, bool) else np.int64), "constant", self.scope)

    def _input(self, value: ir.Value) -> KerasTensor:
        if not isinstance(value.type, ir.TensorType) or value.shape is None:
            raise InvalidGraph(f"input '{value.name}' is no tensor of a known rank", where=self.where)
        if value.dtype not in DTYPES or value.dtype == ir.DataType.STRING:
            kind = "no type" if value.dtype is None else value.dtype.name
            raise UnsupportedOperator(
                f"input '{value.name}' holds {kind}, of which Keras has no tensors", where=self.where, hint=KERAS.advice
            )
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
            array = self.scope.array(widened(np.asarray(value.const_value.numpy())))
            trained = array.dtype.kind == "f" and not value.meta.get(CONSTANT)
            way = sharing.shared(value, constants.MOVES) if trained and array.size > 1 else sharing.SAME
            self.values[value] = Constant(array, value.name or "constant", self.scope, trained, value, way)
        return self.values[value]

    def _add(self, node: ir.Node) -> None:
        operands = [None if value is None else self._value(value) for value in node.inputs]
        results = self._known(node, operands)
        if results is not None:
            self.values |= dict(zip(node.outputs, results, strict=False))
            return
        row = KERAS.lookup_node(node, self.model)
        assert row is not None, "OperatorTable.require was not called"
        if row.layout == layout.TRANSPOSE and isinstance(operands[0], KerasTensor):
            self._relabel(node, operands[0])
            return
        regrouped = regrouping.regrouped(self, node, operands)
        if regrouped is not None:
            self.values[node.outputs[0]], self.orders[node.outputs[0]] = regrouped
            return
        order = self._common_order(node, row, operands)
        operands = [self._laid(value, order, row, i) for i, value in enumerate(node.inputs)]
        keywords = self._attributes(node, row)
        arguments = self._inputs(node, row, operands)
        axes = _map_axes(row, arguments, keywords, order) if row.layout in (layout.AXIS, layout.PICK) else []
        result = row.function(*arguments, **keywords)
        results = [result] if row.outputs == 1 else result
        if row.outputs is None and len(results) < used_outputs(node):
            raise InvalidGraph(f"{node.op_type} has {used_outputs(node)} outputs, of which {len(results)} are defined")
        for value, item in zip(node.outputs[: used_outputs(node)], results, strict=False):
            held = self._in_dtype(value, item, node)
            self.values[value] = held
            if order is not None and isinstance(held, KerasTensor):
                if len(held.shape) == order.rank:
                    self.orders[value] = order
                elif row.layout in (layout.AXIS, layout.PICK):
                    self.orders[value] = order.without(axes)

    def _in_dtype(self, value: ir.Value, held: Any, node: ir.Node) -> Any:
        """A result in the dtype that the graph says. Keras promotes some types on its own: a wider integer is made
        narrow again, which gives the same bits; of anything else (uint64 to uint32) better no model than other numbers.

        Sizes are held as int64 whatever integers they are in the graph.
        """
        if isinstance(held, Sizes) or value.dtype not in DTYPES:
            return held
        wanted = self.scope.float_dtype(DTYPES[value.dtype])
        if held.dtype == "int64" and wanted == "int32" and isinstance(held, KerasTensor):
            return ops.cast(held, wanted)
        if held.dtype != wanted:
            raise UnsupportedOperator(
                f"{node.op_type} of {DTYPES[value.dtype]}, which Keras makes {held.dtype}, has no Keras form",
                hint=KERAS.advice,
            )
        return held

    def _relabel(self, node: ir.Node, held: KerasTensor) -> None:
        """A Transpose moves nothing: the same tensor is its result, held in another order."""
        assert node.inputs[0] is not None
        perm = node.attributes["perm"].as_ints() if "perm" in node.attributes else range(len(held.shape))[::-1]
        self.values[node.outputs[0]] = held
        self.orders[node.outputs[0]] = self.order_of(node.inputs[0]).transposed(perm)

    def order_of(self, value: ir.Value) -> Order:
        return self.orders.get(value) or layout.source(len(self._value(value).shape))

    def _common_order(self, node: ir.Node, row: Operator, operands: list[Any]) -> Order | None:
        """The order in which `row` is to work, None for ONNX's own."""
        if row.layout == layout.PICK:
            return self._order_to_pick_in(node, operands)
        pairs = zip(node.inputs, operands, strict=True)
        tensors = [value for value, held in pairs if value is not None and isinstance(held, KerasTensor)]
        if row.layout in (layout.SOURCE, layout.SUBGRAPHS) or not tensors:
            return None
        if row.layout == layout.CHANNELS:
            return layout.channels_last(len(operands[0].shape))
        order = layout.agreed([self.order_of(value) for value in tensors])
        rank = max(len(held.shape) for held in operands if held is not None)
        return order if order is not None and order.rank == rank and not order.is_source else None

    def _order_to_pick_in(self, node: ir.Node, operands: list[Any]) -> Order | None:
        """Picking by no more than a list takes away one axis, or keeps it."""
        data, indices = operands[0], operands[1]
        if not isinstance(data, KerasTensor) or indices is None or len(indices.shape) > 1:
            return None
        assert node.inputs[0] is not None
        order = self.order_of(node.inputs[0])
        return None if order.is_source else order

    def _laid(self, value: ir.Value | None, order: Order | None, row: Operator, index: int) -> Any:
        """An operand as `row` wants it."""
        if value is None:
            return None
        if order is None or (row.layout in (layout.CHANNELS, layout.PICK) and index > 0):
            return self.held(value, None)
        return self.held(value, order)

    def held(self, value: ir.Value, order: Order | None) -> Any:
        """`value` in `order`, of whose rank it becomes; None is ONNX's own order and the value's own rank."""
        held = self._value(value)
        if isinstance(held, Constant):
            if order is None or held.is_scalar:
                return held
            return _laid_tensor(held, order) if held.shared == sharing.OPEN else _laid_constant(held, order)
        if not isinstance(held, KerasTensor):
            return held
        own = self.order_of(value)
        wanted = order or layout.source(own.rank)
        if own == wanted:
            return held
        key = (value, wanted)
        if key not in self.turned:
            self.turned[key] = _turned(held, own, wanted)
        return self.turned[key]

    def _known(self, node: ir.Node, operands: list[Any]) -> list[Any] | None:
        """What `node` gives where that takes no tensor: constants and sizes."""
        if node.op_type == "Shape" and not node.domain:
            start = node.attributes["start"].as_int() if "start" in node.attributes else 0
            end = node.attributes["end"].as_int() if "end" in node.attributes else None
            found = self.shape_of(node.inputs[0], operands[0])[start:end]
            return [sizes.wrap(np.array(found, object), node.outputs[0].name or "", self.scope)]
        if node.op_type == "Size" and not node.domain and None not in operands[0].shape:
            count = np.array(int(np.prod(operands[0].shape)))
            return [Constant(count, node.outputs[0].name or "size", self.scope)]
        if node.op_type == "CastLike" and not node.domain:
            cast = constants.cast_like(operands[0], operands[1], node.outputs[0].name or "")
            if cast is not None:
                return [cast]
        constant = constants.evaluate(node, operands, self.model.opset_imports.get(node.domain, 1), self.scope)
        if constant is not None:
            return constant
        size = sizes.evaluate(node, operands, self.scope)
        return None if size is None else [size]

    def shape_of(self, value: ir.Value | None, operand: Any) -> list[Length]:
        """The shape of `operand`, with a Size for each dimension that may vary."""
        assert value is not None
        rank = len(operand.shape)
        names = list(value.shape) if value.shape is not None else [None] * rank
        places = [self.order_of(value).place(axis) for axis in range(rank)]
        return [
            operand.shape[place]
            if operand.shape[place] is not None
            else Size(_symbol(names[axis], value, axis), operand, place)
            for axis, place in enumerate(places)
        ]

    def _inputs(self, node: ir.Node, row: Operator, operands: list[Any]) -> list[Any]:
        given = list(operands)
        while given and given[-1] is None:
            given.pop()
        variadic = _variadic_position(node, self.model)
        head = given if variadic is None else (given + [None] * variadic)[:variadic]
        parameters = list(row.parameters.values())
        arguments = [
            self._argument(value, p, node, i) for i, (value, p) in enumerate(zip(head, parameters, strict=False))
        ]
        return arguments if variadic is None else [*arguments, given[variadic:]]

    def _argument(self, value: Any, parameter: Any, node: ir.Node, index: int) -> Any:
        kind = parameter.annotation
        if value is None:
            return None
        if kind in SHAPES and isinstance(value, Constant | Sizes):
            return value.array.reshape(-1).tolist()
        if kind in SHAPES and None not in value.shape:
            items = ops.reshape(value, (-1,))
            return [Unknown(partial(items.__getitem__, (i,))) for i in range(int(np.prod(value.shape)))]
        if kind in PYTHON_VALUES or kind in SHAPES:
            if not isinstance(value, Constant):
                raise UnsupportedOperator(
                    f"{node.op_type} with '{parameter.name}' computed when the model runs has no Keras form",
                    hint=KERAS.advice,
                )
            return PYTHON_VALUES[kind](value.array.reshape(-1).tolist())
        open_to_all = isinstance(value, Constant) and value.shared == sharing.OPEN and sharing.takes_tensor(node, index)
        return tensor(value) if kind is KerasTensor or kind == KerasTensor | None or open_to_all else value

    def _attributes(self, node: ir.Node, row: Operator) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, attribute in node.attributes.items():
            if name in LEGACY_ATTRIBUTES:
                continue
            value: Any = attribute.value
            if attribute.type == ir.AttributeType.TENSOR:
                array = self.scope.array(np.asarray(attribute.as_tensor().numpy()))
                value = Constant(array, f"{node.outputs[0].name}.{name}", self.scope)
            elif name in ("to", "dtype", "output_dtype", "output_datatype"):
                value = self._dtype(attribute.as_int()) if attribute.as_int() else None
            found[name] = list(value) if isinstance(value, tuple) else value
        if "outputs" in row.parameters:
            found["outputs"] = len(node.outputs)
        if "scope" in row.parameters:
            found["scope"] = self.scope
        if "builder" in row.parameters:
            found["builder"] = self
        if "result_names" in row.parameters:
            shape = node.outputs[0].shape
            found["result_names"] = None if shape is None else [getattr(dim, "value", dim) for dim in shape]
        if "source_shape" in row.parameters:
            first = node.inputs[0]
            assert first is not None, "a shape is reshaped: there is an input"
            found["source_shape"] = self.shape_of(first, self._value(first))
        return found

    def _dtype(self, number: int) -> str:
        kind = ir.DataType(number)
        if kind not in DTYPES or kind == ir.DataType.STRING:
            raise UnsupportedOperator(f"tensors of type {kind.name} have no Keras form", hint=KERAS.advice)
        return self.scope.float_dtype(DTYPES[kind])


def widened(array: Any) -> Any:
    """Numbers of four bits and the like, which Keras does not have, in the next type that holds them all."""
    name = array.dtype.name
    if name.startswith(("int", "uint")) and name.strip("uint") in ("2", "4"):
        return array.astype("int8" if name.startswith("int") else "uint8")
    return array.astype(np.float32) if name.startswith(("float4e", "float6e", "float8e")) else array


def _turned(held: KerasTensor, own: Order, wanted: Order) -> KerasTensor:
    """`held` in the order `wanted`; a tensor of lower rank first gets ONNX's leading axes of size 1."""
    if own.rank == wanted.rank:
        return ops.transpose(held, own.to(wanted))
    plain = held if own.is_source else ops.transpose(held, own.to(layout.source(own.rank)))
    while len(plain.shape) < wanted.rank:
        plain = ops.expand_dims(plain, 0)
    return ops.transpose(plain, wanted.axes)


def _laid_tensor(constant: Constant, order: Order) -> KerasTensor:
    """The same of a weight that others read in other orders."""
    rank = len(constant.shape)
    if rank > order.rank:
        return constant.tensor
    return ops.transpose(ops.reshape(constant.tensor, (1,) * (order.rank - rank) + constant.shape), order.axes)


def _laid_constant(constant: Constant, order: Order) -> Constant:
    if len(constant.shape) > order.rank:
        return constant
    full = constant.array.reshape((1,) * (order.rank - constant.array.ndim) + constant.array.shape)
    return Constant(full.transpose(order.axes), constant.name, constant.scope)


def _map_axes(row: Operator, arguments: list[Any], keywords: dict[str, Any], order: Order | None) -> list[int]:
    """Turn ONNX's `axis` and `axes` into the places where they are held; returns ONNX's."""
    found: list[int] = []
    names = list(row.parameters)
    given = dict(zip(names, arguments, strict=False)) | keywords
    for name in ("axis", "axes"):
        if name not in row.parameters or order is None:
            continue
        value = given.get(name, row.parameters[name].default)
        if value is None and row.name in NAMELESS_AXES:
            # Slice and Pad move their axes, so they need them by name
            value = list(range(len(given["starts"]) if row.name == "Slice" else order.rank))
        if value is None:
            found = list(range(order.rank))
            continue
        axes = [value] if isinstance(value, int) else list(value)
        found = [axis % order.rank for axis in axes]
        held = [order.place(axis) for axis in axes]
        mapped = held[0] if isinstance(value, int) else held
        if names.index(name) < len(arguments):
            arguments[names.index(name)] = mapped
        else:
            keywords[name] = mapped
    return found


def _title(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or node.op_type


def _symbol(name: Any, value: ir.Value, axis: int) -> str:
    return getattr(name, "value", None) or f"{value.name}[{axis}]"


def _variadic_position(node: ir.Node, model: ir.Model) -> int | None:
    """Where a node's variadic inputs start, if its operator has any."""
    try:
        schema = defs.get_schema(node.op_type, model.opset_imports[node.domain], node.domain)
    except defs.SchemaError:
        return None
    kinds = [formal.option for formal in schema.inputs]
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return kinds.index(variadic) if variadic in kinds else None
