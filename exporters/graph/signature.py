"""What flows in and out of an ONNX graph, as the toolkit's own Signature."""

from __future__ import annotations

import keyword
import re

import onnx_ir as ir

from toolkit.errors import InvalidGraph
from toolkit.signature import Dim, Signature, TensorSpec

DTYPES = {
    ir.DataType.FLOAT: "float32", ir.DataType.DOUBLE: "float64", ir.DataType.FLOAT16: "float16",
    ir.DataType.BFLOAT16: "bfloat16", ir.DataType.BOOL: "bool", ir.DataType.STRING: "string",
    ir.DataType.INT8: "int8", ir.DataType.INT16: "int16", ir.DataType.INT32: "int32", ir.DataType.INT64: "int64",
    ir.DataType.UINT8: "uint8", ir.DataType.UINT16: "uint16", ir.DataType.UINT32: "uint32",
    ir.DataType.UINT64: "uint64",
}  # fmt: skip


def signature(model: ir.Model) -> Signature:
    """The flat signature of a graph: dim_param names become symbols; an unnamed dimension that may vary is called
    after its tensor and axis (`x_dim0`). Raises InvalidGraph for a value that is no tensor or has no shape.
    """
    initializers = set(model.graph.initializers)
    inputs = [value for value in model.graph.inputs if value.name not in initializers]
    return Signature(tuple(map(_spec, inputs)), tuple(map(_spec, model.graph.outputs)))


def _spec(value: ir.Value) -> TensorSpec:
    name = value.name or ""
    where = f"input or output '{name}'"
    if not isinstance(value.type, ir.TensorType) or value.dtype not in DTYPES:
        raise InvalidGraph(f"it is of type {value.type}, which no signature can hold", where=where)
    if value.shape is None:
        raise InvalidGraph("it has no shape, not even a rank", where=where, hint="Run onnx.shape_inference first.")
    dims = tuple(_dim(name, axis, dim) for axis, dim in enumerate(value.shape))
    return TensorSpec(name, DTYPES[value.dtype], dims)


def _dim(name: str, axis: int, dim: int | ir.SymbolicDim) -> Dim:
    if isinstance(dim, int):
        return dim
    return identifier(dim.value or f"{name}_dim{axis}")


def identifier(name: str) -> str:
    """`name` with everything that no identifier may hold made an underscore; Python's own words get one more."""
    valid = re.sub(r"\W", "_", name, flags=re.ASCII)
    if keyword.iskeyword(valid):
        return f"{valid}_"
    return f"_{valid}" if not valid or valid[0].isdigit() else valid
