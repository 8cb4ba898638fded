"""Work out, while the model is built, what depends on constants alone: no tensor, and no weight of the model's own.

The values are those of ONNX's reference implementation. What a model was trained to is never computed with: it stays a
weight of the rebuilt model, bit by bit. Exporters cut weights up and put them together again, gate by gate, or turn
them around; a weight that is read by nothing else is moved here, so that a layer can hold it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference.ops import load_op

from exporters.onnx_to_keras import sharing
from exporters.onnx_to_keras.operand import Constant, Scope

# Operators without chance, memory or subgraphs.
PURE = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "BlackmanWindow", "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape", "Cos",
    "CumSum", "Div", "Equal", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND",
    "Greater", "GreaterOrEqual", "HammingWindow", "HannWindow", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual",
    "Log", "Max", "Mean", "MelWeightMatrix", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad",
    "Pow", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Sin", "Size", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Sum", "Tile", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Where", "Xor",
})  # fmt: skip
COMPARES = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
MOVES = frozenset({"Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
LARGEST = 1 << 20  # elements; what would be larger stays an operator
DTYPES = ("to", "dtype", "output_datatype")


def evaluate(node: ir.Node, operands: list[Any], opset: int, scope: Scope) -> list[Constant] | None:
    """The results of `node`, or None where they depend on more than constants."""
    if node.domain or node.op_type not in PURE:
        return None
    if any(value is not None and not isinstance(value, Constant) for value in operands):
        return None
    weights = [value for value in operands if value is not None and value.trained and not _is_bound(node, value)]
    if weights and not _only_moved(node):
        return None
    attributes = {name: _plain(attribute, scope) for name, attribute in node.attributes.items()}
    try:
        with np.errstate(all="ignore"):
            kind = load_op("", node.op_type, opset)
            arrays = [None if value is None else value.array for value in operands]
            results = kind.eval(*arrays, n_outputs=len(node.outputs), **attributes)
    except Exception:  # noqa: BLE001 - what the reference cannot do is left to the target's own operator
        return None
    results = [np.asarray(value) for value in (results if isinstance(results, tuple) else (results,))]
    if any(array.dtype.kind not in "fiub" or (array.size > LARGEST and not weights) for array in results):
        return None
    if weights:
        return [
            Constant(
                array, weights[0].name, scope, trained=True, origin=sharing.moved(node, operands, i),
                shared=sharing.shared(node.outputs[i], MOVES),
            )
            for i, array in enumerate(results)
        ]  # fmt: skip
    pairs = zip(results, node.outputs, strict=False)
    return [Constant(scope.array(array), value.name or "constant", scope) for array, value in pairs]


def _is_bound(node: ir.Node, value: Constant) -> bool:
    """Whether a constant is but the number that another one is compared with, as a loop's condition does."""
    return node.op_type in COMPARES and value.array.size == 1


def _only_moved(node: ir.Node) -> bool:
    """Whether `node` moves weights about that nothing reads as they are: there will be no second copy of them."""
    read = [value for value in node.inputs if value is not None and value.dtype is not None]
    floats = [value for value in read if value.dtype is not None and value.dtype.is_floating_point()]
    return node.op_type in MOVES and all(
        use.node.op_type in MOVES and not use.node.domain for value in floats for use in value.uses()
    )


def cast_like(value: Any, like: Any, name: str) -> Constant | None:
    """A constant in the dtype of anything else, or None where NumPy has no such dtype."""
    if not isinstance(value, Constant) or value.trained or like is None or like.dtype == "bfloat16":
        return None
    return Constant(value.array.astype(like.dtype), name, value.scope)


def _plain(attribute: ir.Attr, scope: Scope) -> Any:
    if attribute.type == ir.AttributeType.TENSOR:
        return ir.to_proto(attribute.as_tensor())
    if scope.dtype == "float64" and attribute.name in DTYPES and attribute.value == onnx.TensorProto.FLOAT:
        return onnx.TensorProto.DOUBLE
    return attribute.value
