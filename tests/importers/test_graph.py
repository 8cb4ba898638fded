"""Reading, cleaning and laying out a graph; what is refused, word by word."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.graph import layout
from exporters.graph.clean import clean
from exporters.graph.read import read
from exporters.graph.signature import signature
from tests.importers.test_operator_tables import model_of
from toolkit.errors import InvalidGraph
from toolkit.signature import TensorSpec


def relu() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"])])


def test_a_path_a_proto_and_an_ir_model_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(relu(), path)
    before = path.read_bytes()
    models = [read(path), read(str(path)), read(relu()), read(ir.from_proto(relu()))]
    assert [[node.op_type for node in model.graph] for model in models] == [["Relu"]] * 4
    assert path.read_bytes() == before


def test_what_was_given_is_not_changed() -> None:
    proto, model = relu(), ir.from_proto(relu())
    clean(read(proto))
    clean(read(model))
    assert proto == relu()
    assert [node.op_type for node in model.graph] == ["Relu"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidGraph) as raised:
        read(tmp_path / "none.onnx")
    assert str(raised.value) == (
        f"InvalidGraph: {tmp_path}/none.onnx: there is no such file\n  Give the path of an .onnx file."
    )


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all", b"\x08"])
def test_something_else_than_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidGraph, match=r"m\.onnx: this is not an ONNX model, or it was cut short"):
        read(path)


def test_an_invalid_graph_names_the_node() -> None:
    model = model_of([helper.make_node("Relu", ["nothing"], ["y"], name="act")])
    with pytest.raises(InvalidGraph) as raised:
        read(model)
    assert str(raised.value).startswith("InvalidGraph: the model in memory: Nodes in a graph must be topologically")
    assert str(raised.value).endswith("\n  ONNX's own checker refuses it.")


def external(tmp_path: Path, location: str) -> Path:
    """A model whose weight lies in `location`, next to or outside its folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])])
    onnx.external_data_helper.set_external_data(weight, location)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    model.graph.initializer.append(weight)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    path = external(tmp_path, "w.bin")
    (path.parent / "w.bin").write_bytes(np.full(4, 3, np.float32).tobytes())
    value = read(path).graph.initializers["w"].const_value
    assert value is not None
    assert value.numpy().tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../w.bin", "which is outside the model's folder"),
        ("/etc/hostname", "which is outside the model's folder"),
        ("none.bin", "which does not exist"),
        ("link.bin", "which is a link"),
        ("hard.bin", "which has more than one name (hard links)"),
        ("sub", "which is not a regular file"),
    ],
)
def test_external_data_must_be_a_plain_file_of_the_folder(tmp_path: Path, location: str, why: str) -> None:
    path = external(tmp_path, location)
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (path.parent / "link.bin").symlink_to(tmp_path / "w.bin")
    os.link(tmp_path / "w.bin", path.parent / "hard.bin")
    (path.parent / "sub").mkdir()
    with pytest.raises(InvalidGraph) as raised:
        read(path)
    assert str(raised.value) == (
        f"InvalidGraph: m.onnx, initializer 'w': its data lies in '{location}', {why}\n"
        "  External data must be a regular file of its own inside the model's folder."
    )


def test_constants_are_lifted_integers_folded_and_identities_removed() -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value_ints=[2, 2]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Concat", ["two", "two"], ["four"], axis=0),
        helper.make_node("Slice", ["four", "zero", "one"], ["cut"]),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Mul", ["same", "half"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "cut"], ["y"]),
        helper.make_node("Relu", ["x"], ["unused"]),
    ]
    model = model_of(nodes, y=("batch", 4, 1))
    for name, value in (("zero", 0), ("one", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    cleaned = clean(read(model))
    assert [node.op_type for node in cleaned.graph] == ["Mul", "Unsqueeze"]
    value = cleaned.graph.initializers["cut"].const_value
    assert value is not None
    assert value.numpy().tolist() == [2]


def test_elements_gathered_along_a_row_are_folded_right() -> None:
    """As BERT's token types: one row, and indices of more columns than the data has rows."""
    model = model_of([
        helper.make_node("GatherElements", ["kinds", "places"], ["picked"], axis=1),
        helper.make_node("Cast", ["picked"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "numbers"], ["y"]),
    ])  # fmt: skip
    for name, values in (("kinds", [[7, 8, 9, 10, 11, 12]]), ("places", [[0, 2, -1, 3]])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    cleaned = clean(read(model))
    value = cleaned.graph.initializers["numbers"].const_value
    assert value is not None
    assert value.numpy().tolist() == [[7.0, 9.0, 12.0, 10.0]]


def test_arithmetic_on_weights_is_not_folded() -> None:
    model = model_of([helper.make_node("Mul", ["w", "w"], ["square"]), helper.make_node("Add", ["x", "square"], ["y"])])
    model.graph.initializer.append(numpy_helper.from_array(np.full(4, 0.1, np.float32), "w"))
    cleaned = clean(read(model))
    assert [node.op_type for node in cleaned.graph] == ["Mul", "Add"]
    assert list(cleaned.graph.initializers) == ["w"]


def test_the_signature_has_the_graphs_symbols_and_names_the_others() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])])
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4]))
    found = signature(read(model))
    assert found.inputs == (TensorSpec("x", "float32", ("batch", 4)),)
    assert found.outputs == (TensorSpec("y", "float32", ("y_dim0", 4)),)


def test_orders_compose_and_cancel() -> None:
    nhwc = layout.channels_last(4)
    assert nhwc.axes == (0, 2, 3, 1)
    assert nhwc.place(1) == 3
    assert nhwc.place(-1) == 2
    array = np.arange(24).reshape(1, 2, 3, 4)
    held = array.transpose(nhwc.axes)
    assert np.array_equal(held.transpose(nhwc.to(layout.source(4))), array)
    turned = nhwc.transposed((0, 2, 3, 1))
    assert turned.is_source, "a transpose to NHWC of what is held as NHWC moves nothing"
    assert nhwc.without([2, 3]).is_source
    assert nhwc.without([0]).axes == (1, 2, 0)


def test_the_majority_decides_where_tensors_meet() -> None:
    nhwc, nchw, row = layout.channels_last(4), layout.source(4), layout.source(1)
    assert layout.agreed([nchw, nhwc, nhwc]) == nhwc
    assert layout.agreed([nhwc, nchw]) == nhwc
    assert layout.agreed([None, row, nhwc]) == nhwc
    assert layout.agreed([None, None]) is None
