"""Lies of interface and of value: a correct ONNX export with a few nodes added or changed.

An edit gets an onnx.ModelProto and changes it in place. The signature that the file carries stays that of the source
unless the lie is about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.verification.variants.edits import BITS, NOISE
from toolkit import metadata

Edit = Callable[[ModelProto], None]


@dataclass(frozen=True)
class GraphLie:
    edit: Edit
    because: tuple[str, ...] = (NOISE,)


def _output(model: ModelProto, name: str) -> Any:
    return next(value for value in model.graph.output if value.name == name)


def _behind(model: ModelProto, name: str) -> str:
    """Rename what makes an output, so that other nodes can be put between; returns its new name."""
    hidden = f"{name}_true"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, item in enumerate(names):
                if item == name:
                    names[index] = hidden
    return hidden


def _constant(model: ModelProto, name: str, values: Any, dtype: Any = np.float32) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))
    return name


def _through(*operators: tuple[str, dict[str, Any], tuple[tuple[Any, Any], ...]], output: str = "logits") -> Edit:
    """Send an output through operators: (type, attributes, constant inputs as (values, dtype))."""

    def edit(model: ModelProto) -> None:
        value = _behind(model, output)
        for index, (kind, attributes, constants) in enumerate(operators):
            last = index == len(operators) - 1
            result = output if last else f"{output}_step_{index}"
            extra = [_constant(model, f"lie_{index}_{i}", *constant) for i, constant in enumerate(constants)]
            model.graph.node.append(helper.make_node(kind, [value, *extra], [result], **attributes))
            value = result

    return edit


def _operator(kind: str, *constants: tuple[Any, Any], output: str = "logits", **attributes: Any) -> Edit:
    return _through((kind, attributes, constants), output=output)


def _declare(model: ModelProto, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the signature that the file carries."""
    for entry in model.metadata_props:
        if entry.key == metadata.KEY:
            data = json.loads(entry.value)
            change(data["signature"])
            entry.value = json.dumps(data)


def _undeclare(model: ModelProto) -> None:
    kept = [entry for entry in model.metadata_props if entry.key != metadata.KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


def _swapped(model: ModelProto) -> None:
    scores, logits = _behind(model, "scores"), _behind(model, "logits")
    model.graph.node.append(helper.make_node("Identity", [scores], ["logits"]))
    model.graph.node.append(helper.make_node("Identity", [logits], ["scores"]))


def _renamed(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", [_behind(model, "logits")], ["scores_2"]))
    _output(model, "logits").name = "scores_2"
    _undeclare(model)


def _missing(model: ModelProto) -> None:
    model.graph.output.remove(_output(model, "scores"))
    _undeclare(model)


def _missing_but_declared(model: ModelProto) -> None:
    model.graph.output.remove(_output(model, "scores"))


def _extra(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))
    _undeclare(model)


def _extra_undeclared(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))


def _float64(model: ModelProto) -> None:
    _operator("Cast", to=TensorProto.DOUBLE)(model)
    _output(model, "logits").type.tensor_type.elem_type = TensorProto.DOUBLE


def _float64_declared(model: ModelProto) -> None:
    _float64(model)
    _undeclare(model)


def _reshaped(edit: Edit) -> Edit:
    """An edit after which the declared shape of the output says nothing."""

    def both(model: ModelProto) -> None:
        edit(model)
        _output(model, "logits").type.tensor_type.ClearField("shape")

    return both


def _nan_in_one_row(value: float) -> Edit:
    """`value` in the last row of a batch of seven or more."""

    def edit(model: ModelProto) -> None:
        hidden = _behind(model, "logits")
        six = _constant(model, "lie_six", [6], np.int64)
        wrong = _constant(model, "lie_value", value)
        zero = _constant(model, "lie_zero", [0], np.int64)
        most = _constant(model, "lie_most", [2**31], np.int64)
        make = helper.make_node
        model.graph.node.extend([
            make("Slice", [hidden, zero, six, zero], ["lie_head"]),
            make("Slice", [hidden, six, most, zero], ["lie_tail"]),
            make("Add", ["lie_tail", wrong], ["lie_wrong"]),
            make("Concat", ["lie_head", "lie_wrong"], ["logits"], axis=0),
        ])  # fmt: skip

    return edit


def _batch_mean(model: ModelProto) -> None:
    hidden = _behind(model, "logits")
    model.graph.node.append(
        helper.make_node("ReduceMean", [hidden, _constant(model, "lie_axis", [0], np.int64)], ["lie_mean"])
    )
    model.graph.node.append(helper.make_node("Shape", [hidden], ["lie_shape"]))
    model.graph.node.append(helper.make_node("Expand", ["lie_mean", "lie_shape"], ["logits"]))


def _transposed(model: ModelProto) -> None:
    """(batch, 6) read as (6, batch) and put back into shape: equal at batch 1."""
    hidden = _behind(model, "logits")
    model.graph.node.append(helper.make_node("Transpose", [hidden], ["lie_transposed"]))
    shape = _constant(model, "lie_shape", [-1, 6], np.int64)
    model.graph.node.append(helper.make_node("Reshape", ["lie_transposed", shape], ["logits"]))


def _constant_output(model: ModelProto) -> None:
    _through(("Mul", {}, ((0.0, np.float32),)), ("Add", {}, ((0.25, np.float32),)))(model)


def _fixed_batch(model: ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2


def _fixed_batch_declared(model: ModelProto) -> None:
    _fixed_batch(model)
    _undeclare(model)


def _baked_reshape(model: ModelProto) -> None:
    _reshaped(_operator("Reshape", ([2, 6], np.int64)))(model)


def _first_row_for_all(model: ModelProto) -> None:
    hidden = _behind(model, "logits")
    make = helper.make_node
    model.graph.node.append(make("Gather", [hidden, _constant(model, "lie_first", [0], np.int64)], ["lie_row"]))
    model.graph.node.append(make("Shape", [hidden], ["lie_shape"]))
    model.graph.node.append(make("Expand", ["lie_row", "lie_shape"], ["logits"]))


def _wrong_input_dtype(model: ModelProto) -> None:
    _declare(model, lambda signature: signature["inputs"][0].update(dtype="float64"))


def _renamed_input(model: ModelProto) -> None:
    old = model.graph.input[0].name
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = "data"
    model.graph.input[0].name = "data"
    _undeclare(model)


def _smallest_bit(model: ModelProto) -> None:
    """One weight, one unit in the last place."""
    weights = max(model.graph.initializer, key=lambda item: len(item.raw_data))
    values = numpy_helper.to_array(weights).copy()
    values.reshape(-1).view(np.int32)[3] ^= 1
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))


_MISSING = ("the output is missing in the file",)
_EXTRA = ("the file has an output that the source has not", "the file returned an output that the source has not")

GRAPH_LIES: dict[str, GraphLie] = {
    "relu": GraphLie(_operator("Relu")),
    "abs": GraphLie(_operator("Abs")),
    "negated": GraphLie(_operator("Neg")),
    "identity": GraphLie(_operator("Sigmoid")),
    "rounded to 1e-3": GraphLie(
        _through(("Mul", {}, ((1e3, np.float32),)), ("Round", {}, ()), ("Mul", {}, ((1e-3, np.float32),)))
    ),
    "clipped": GraphLie(_operator("Clip", (-0.1, np.float32), (0.1, np.float32))),
    "batch mean": GraphLie(_batch_mean),
    "transposed": GraphLie(_transposed),
    "classes permuted": GraphLie(_operator("Gather", ([1, 0, 2, 3, 4, 5], np.int64), axis=1)),
    "renamed output": GraphLie(_renamed, _MISSING),
    "missing output": GraphLie(_missing, _MISSING),
    "missing output, declared": GraphLie(_missing_but_declared, ("the output 'scores' was not returned",)),
    "extra output": GraphLie(_extra, _EXTRA),
    "extra output, undeclared": GraphLie(_extra_undeclared, _EXTRA),
    "swapped outputs": GraphLie(_swapped),
    "float64 for float32": GraphLie(_float64, ("dtype float64 where the source has float32",)),
    "float64 for float32, declared": GraphLie(
        _float64_declared, ("the output is float64[batch,6] where the source has float32[batch,6]",)
    ),
    "shape that broadcasts": GraphLie(
        _reshaped(_operator("ReduceMean", ([1], np.int64))), ("shape [1, 1] where the source has [1, 6]",)
    ),
    "an axis more": GraphLie(_reshaped(_operator("Unsqueeze", ([0], np.int64))), ("where the source has [1, 6]",)),
    "one row for all": GraphLie(_reshaped(_operator("ReduceMean", ([0], np.int64))), (NOISE, "where the source has")),
    "NaN everywhere": GraphLie(_operator("Mul", (np.nan, np.float32)), ("NaN that the source does not have",)),
    "NaN in one row": GraphLie(_nan_in_one_row(np.nan), ("NaN that the source does not have",)),
    "Inf in one row": GraphLie(_nan_in_one_row(np.inf), ("Inf that the source does not have",)),
    "wrong in one row": GraphLie(_nan_in_one_row(1e-3)),
    "Inf everywhere": GraphLie(_operator("Add", (np.inf, np.float32)), ("Inf that the source does not have",)),
    "empty output": GraphLie(
        _reshaped(_operator("Slice", ([0], np.int64), ([0], np.int64), ([0], np.int64))),
        ("shape [0, 6] where the source has [1, 6]",),
    ),
    "constant output": GraphLie(_constant_output),
    "fixed batch": GraphLie(_fixed_batch, ("the output is", "Got invalid dimensions for input", "INVALID_ARGUMENT")),
    "fixed batch, declared": GraphLie(_fixed_batch_declared, ("[2,6] where the source has", "where the source has")),
    "baked reshape": GraphLie(_baked_reshape, ("Reshape", "where the source has")),
    "first row for all": GraphLie(_first_row_for_all),
    "other dtype of input": GraphLie(_wrong_input_dtype, ("the input is float64",)),
    "renamed input": GraphLie(_renamed_input, ("the input is missing in the file",)),
    "one bit of one weight": GraphLie(_smallest_bit, (NOISE, BITS)),
    "scores of logits * 1.001": GraphLie(_operator("Mul", (1.001, np.float32), output="scores")),
    "off by 3e-6": GraphLie(_operator("Mul", (1.000003, np.float32)), (NOISE, "float64")),
}
