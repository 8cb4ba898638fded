"""Store and compute an ONNX graph in float16 or bfloat16, between inputs and outputs that stay float32.

An operator is computed in the narrow type where its schema allows that and nothing in it would overflow or lose its
meaning: sums over many elements, exponentials, normalisations and recurrent cells stay in float32, with a Cast before
and behind (`KEPT`); so does one with a constant that the narrow type cannot hold, the square of a value, and all that
stands in a branch or a loop. Weights are rounded once, to the nearest, wherever they are multiplied or convolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from exporters.graph import clean

_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
_NAMES = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}
_LARGEST = {"fp16": 65504.0, "bf16": float(np.finfo(np.float32).max)}

_TINY = 6.1e-5  # below this float16 loses bits

# Operators that sum, raise or divide what a narrow type would overflow with, and those whose result is a place.
KEPT = frozenset({
    "BatchNormalization", "Cast", "CastLike", "ConstantOfShape", "CumSum", "Exp", "GRU", "GroupNormalization",
    "GridSample", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "Log", "LogSoftmax", "LpNormalization",
    "LpPool", "GlobalLpPool", "MeanVarianceNormalization", "NonMaxSuppression", "Pow", "RMSNormalization", "RNN",
    "RandomNormal", "RandomUniform", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Resize", "RoiAlign", "Softmax",
    "Softplus", "Sqrt", "TopK",
})  # fmt: skip
# Operators that move elements about stay in the type of what they move. (A Transpose in float16 just before a MatMul
# with a weight also crashes ONNX Runtime 1.31 when it fuses the two.)
MOVING = frozenset({"Expand", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose",
                    "Unsqueeze"})  # fmt: skip
# Kept ones whose weights are large: stored in the narrow type all the same, and widened when the model is loaded.
_STORED = frozenset({"GRU", "LSTM", "RNN"})
_SMALLEST = 2  # elements of what counts as a weight; a lone number costs nothing


def narrow(model: ir.Model, precision: str, *, compute: bool, recurrent: bool = True) -> ir.Model:
    """`model` in "fp16" or "bf16", in place. Without `compute` only its weights are stored so, each with a Cast.

    Without `recurrent` the weights of recurrent cells stay as they are: Keras' layers want them bare.
    """
    model = clean.infer_shapes(clean.lift_constants(model))
    if compute:
        _Narrowing(model, precision, _STORED if recurrent else frozenset()).run()
    else:
        _store(model, precision)
    return common.RemoveUnusedNodesPass()(model).model


def _store(model: ir.Model, precision: str) -> None:
    narrowing = _Narrowing(model, precision)
    for value in list(model.graph.initializers.values()):
        if _is_weight(value) and value.uses():
            narrowing.store(value)


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and tensor.dtype == ir.DataType.FLOAT and tensor.size >= _SMALLEST


class _Narrowing:
    """The narrow form of every value that has one, made when it is first asked for."""

    def __init__(self, model: ir.Model, precision: str, stored: frozenset[str] = frozenset()) -> None:
        self.model = model
        self.graph = model.graph
        self.precision = precision
        self.stored = stored
        self.dtype = _TYPES[precision]
        self.narrowed: dict[ir.Value, ir.Value] = {}  # float32 value -> its narrow form
        self.widened: dict[ir.Value, ir.Value] = {}  # narrow value -> its float32 form
        self.constant = set(model.graph.initializers.values())  # what depends on no more than the inputs' sizes

    def run(self) -> None:
        outputs = list(self.graph.outputs)
        for node in list(self.graph):
            if self._stays(node):
                self._keep(node)
            else:
                self._convert(node)
        for index, value in enumerate(outputs):
            self.graph.outputs[index] = self._wide(value)

    def store(self, value: ir.Value) -> None:
        """Store a weight narrow, widened by a Cast that all its readers now read."""
        readers = list(value.uses())
        wide = self._cast(self._narrow_weight(value), ir.DataType.FLOAT)
        for use in readers:
            use.node.replace_input_with(use.idx, wide)

    def _stays(self, node: ir.Node) -> bool:
        fixed = [value in self.constant for value in node.inputs if value is not None]
        if node.op_type in ("Shape", "Size") or all(fixed) or (node.op_type == "Expand" and fixed[0]):
            # Sizes lose their meaning when they are rounded, and the rest costs nothing.
            self.constant.update(node.outputs)
            return True
        if node.op_type in KEPT or node.domain not in ("", "ai.onnx"):
            return True
        if any(attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in _attributes(node)):
            return True
        if node.op_type == "Mul" and node.inputs[0] is node.inputs[1]:
            return True
        if all(_is_lone(value) for value in node.outputs):
            return True  # a scale made of sizes: nothing is won, and ONNX Runtime folds it in float32 alone
        moved = node.inputs[0] if node.op_type in MOVING else None
        if moved is not None and moved.dtype == ir.DataType.FLOAT and moved.producer() is not None:
            return True
        floats = [value for value in node.inputs if value is not None and self._is_float(value)]
        if not floats and not any(self._is_float(value) for value in node.outputs):
            return True
        return not self._allowed(node) or any(self._overflows(value) for value in floats)

    def _is_float(self, value: ir.Value) -> bool:
        return value.dtype in (ir.DataType.FLOAT, self.dtype) and isinstance(value.type, ir.TensorType)

    def _allowed(self, node: ir.Node) -> bool:
        """Whether the operator takes the narrow type wherever the node has float32; sequences are left alone."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self.model.opset_imports.get("", 1), "")
        except onnx.defs.SchemaError:
            return False
        pairs = [*_formals(schema.inputs, node.inputs), *_formals(schema.outputs, node.outputs)]
        if any(value.type is not None and not isinstance(value.type, ir.TensorType) for _, value in pairs if value):
            return False
        return all(
            _NAMES[self.precision] in formal.types or formal.type_str == "tensor(float)"
            for formal, value in pairs
            if value is not None and self._is_float(value)
        )

    def _overflows(self, value: ir.Value) -> bool:
        """A constant that the type cannot hold: a mask of -1e9, a smallest divisor of 1e-12."""
        if value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
            return False
        array = np.abs(value.const_value.numpy())
        finite = array[np.isfinite(array)]
        if not finite.size:
            return False
        largest = float(finite.max())
        return largest > _LARGEST[self.precision] or bool(finite.size == 1 and 0 < largest < _TINY)

    def _keep(self, node: ir.Node) -> None:
        """The node in float32, with its operands, and what its branches read of outside, in float32."""
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            if node.op_type in self.stored and _is_weight(value):
                node.replace_input_with(index, self._cast(self._narrow_weight(value), ir.DataType.FLOAT))
            elif value.dtype == self.dtype:
                node.replace_input_with(index, self._wide(value))
        for inner in _inside(node):
            for index, value in enumerate(inner.inputs):
                if value is not None and value.dtype == self.dtype and value.graph is self.graph:
                    inner.replace_input_with(index, self._wide(value))

    def _convert(self, node: ir.Node) -> None:
        schema = onnx.defs.get_schema(node.op_type, self.model.opset_imports.get("", 1), "")
        for index, (formal, value) in enumerate(_formals(schema.inputs, node.inputs)):
            if value is None or not self._is_float(value):
                continue
            fixed = formal.type_str == "tensor(float)"
            wanted = self._wide(value) if fixed else self._narrow(value)
            if wanted is not value:
                node.replace_input_with(index, wanted)
        for formal, value in _formals(schema.outputs, node.outputs):
            if self._is_float(value) and formal.type_str != "tensor(float)":
                value.dtype = self.dtype

    def _narrow(self, value: ir.Value) -> ir.Value:
        if value.dtype == self.dtype:
            return value
        if value not in self.narrowed:
            is_constant = value.const_value is not None and value.is_initializer()
            self.narrowed[value] = self._narrow_weight(value) if is_constant else self._cast(value, self.dtype)
        return self.narrowed[value]

    def _wide(self, value: ir.Value) -> ir.Value:
        if value.dtype != self.dtype:
            return value
        if value not in self.widened:
            self.widened[value] = self._cast(value, ir.DataType.FLOAT)
        return self.widened[value]

    def _narrow_weight(self, value: ir.Value) -> ir.Value:
        """The weight rounded to the narrow type under its own name; who reads it in float32 keeps it under another."""
        if value in self.narrowed:
            return self.narrowed[value]
        assert value.const_value is not None
        assert value.name
        rounded = value.const_value.numpy().astype(self.dtype.numpy())
        name = value.name
        value.name = f"{name}__float32"
        made = ir.Value(name=name, type=ir.TensorType(self.dtype), shape=value.shape,
                        const_value=ir.tensor(rounded, dtype=self.dtype, name=name))  # fmt: skip
        self.graph.register_initializer(made)
        self.narrowed[value] = made
        return made

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        node = ir.node("Cast", [value], {"to": dtype})
        made = node.outputs[0]
        made.name = f"{value.name}__{dtype.name.lower()}"
        made.type, made.shape = ir.TensorType(dtype), value.shape
        producer = value.producer()
        if producer is not None:
            self.graph.insert_after(producer, node)
        elif len(self.graph):
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.append(node)
        return made


def _is_lone(value: ir.Value) -> bool:
    shape = value.shape
    return shape is not None and all(isinstance(size, int) and size == 1 for size in shape)


def _attributes(node: ir.Node) -> Iterator[ir.Attr]:
    yield from (item for item in node.attributes.values() if isinstance(item, ir.Attr))


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    for attribute in _attributes(node):
        graphs = (
            [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH
            else attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS
            else []
        )  # fmt: skip
        for graph in graphs:
            yield from graph.all_nodes()


def _formals(formals: Any, values: Any) -> Iterator[tuple[Any, ir.Value]]:
    """Each value with the formal parameter that it stands for; the last one is repeated where it is variadic."""
    for index, value in enumerate(values):
        yield formals[min(index, len(formals) - 1)], value
