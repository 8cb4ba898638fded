"""Every function of both tables against ONNX's own schemas, and what the tables do with what they lack."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from exporters.graph import read
from exporters.graph.clean import clean
from exporters.graph.operator_table import OperatorTable
from tests.importers import parity
from tests.importers.suites import script
from toolkit.errors import UnsupportedOperator


def model_of(
    nodes: list[onnx.NodeProto], opset: int = 17, domains: tuple[str, ...] = (), y: tuple[str | int, ...] = ("batch", 4)
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, y)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(helper.make_graph(nodes, "net", [x], [result]), opset_imports=imports, ir_version=10)


@pytest.mark.parametrize("target", ["torch", "keras"])
def test_every_function_has_the_signature_of_its_schema(target: str) -> None:
    rows = script("schema_check.py", target)
    assert len(rows) > 100
    assert {name: complaints for name, complaints in rows.items() if complaints} == {}


def test_every_function_that_rewrites_has_the_signature_of_onnx_runtimes_schema() -> None:
    rows = script("schema_check.py", "contributed")
    assert len(rows) > 50
    assert {name: complaints for name, complaints in rows.items() if complaints} == {}


def test_every_operator_of_onnx_has_a_form_at_every_opset_from_7_on() -> None:
    found = script("coverage.py", "torch")
    assert set(found["lacking"]) == set(parity.ABSENT)


def test_what_keras_lacks_has_a_reason() -> None:
    torch, keras = set(script("coverage.py", "torch")["names"]), set(script("coverage.py", "keras")["names"])
    reasons = list(parity.KERAS_LACKS.values())
    assert torch - keras == set().union(*reasons)
    assert sum(map(len, reasons)) == len(set().union(*reasons))
    assert keras - torch == parity.TORCH_EXPANDS


@pytest.fixture
def table() -> OperatorTable:
    table = OperatorTable("Paper", ceiling=20, advice="Fold it yourself.")
    for since in (1, 7, 13):
        table.op("Relu", since=since)(lambda x, since=since: since)
    return table


@pytest.mark.parametrize(("opset", "since"), [(1, 1), (6, 1), (7, 7), (12, 7), (13, 13), (20, 13)])
def test_the_newest_function_that_is_old_enough_is_found(table: OperatorTable, opset: int, since: int) -> None:
    row = table.lookup("Relu", opset)
    assert row is not None
    assert row.since == since


def test_an_operator_newer_than_the_model_is_not_found(table: OperatorTable) -> None:
    table.op("Gelu", since=20)(lambda x: x)
    assert table.lookup("Gelu", 19) is None


def test_the_function_for_as_many_outputs_as_are_used_is_found(table: OperatorTable) -> None:
    table.op("Dropout", since=1)(lambda data: data)
    table.op("Dropout", since=1, outputs=2)(lambda data: (data, data))
    assert [getattr(table.lookup("Dropout", 13, outputs=n), "outputs", None) for n in (1, 2, 3)] == [1, 2, None]


def test_registering_twice_raises(table: OperatorTable) -> None:
    def second(x: object) -> object:
        return x

    message = "Relu since opset 7 is already registered for Paper: second would be its second function"
    with pytest.raises(ValueError, match=message):
        table.op("Relu", since=7)(second)


def test_all_missing_operators_are_listed_at_once(table: OperatorTable) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="act"),
        helper.make_node("Erf", ["a"], ["b"], name="enc/attn"),
        helper.make_node("Sin", ["b"], ["c"], name="sin0"),
        helper.make_node("Sin", ["c"], ["d"]),
        helper.make_node("Fancy", ["d"], ["y"], name="odd", domain="com.example"),
    ]
    model = clean(read.read(model_of(nodes, domains=("com.example",))))
    with pytest.raises(UnsupportedOperator) as raised:
        table.require(model, "model.onnx")
    assert str(raised.value) == (
        "UnsupportedOperator: model.onnx, node 'enc/attn': Erf (opset 17) has no Paper form;\n"
        "  also Sin (opset 17) at 'sin0', '-> d'\n"
        "  also com.example.Fancy (opset 1) at 'odd'\n"
        "  Fold it yourself."
    )


def test_a_single_missing_operator_is_one_sentence(table: OperatorTable) -> None:
    model = clean(read.read(model_of([helper.make_node("Erf", ["x"], ["y"], name="enc/attn")])))
    with pytest.raises(UnsupportedOperator) as raised:
        table.require(model, "model.onnx")
    assert str(raised.value) == (
        "UnsupportedOperator: model.onnx, node 'enc/attn': Erf (opset 17) has no Paper form.\n  Fold it yourself."
    )


def test_an_opset_above_the_ceiling_is_refused(table: OperatorTable) -> None:
    model = read.read(model_of([helper.make_node("Relu", ["x"], ["y"])], opset=21))
    with pytest.raises(UnsupportedOperator) as raised:
        table.require(model, "model.onnx")
    assert str(raised.value) == (
        "UnsupportedOperator: model.onnx: opset 21 is above 20, the newest that the Paper importer knows\n"
        "  Write the model at an older opset, for instance with onnx.version_converter."
    )


def test_the_importers_never_import_each_other() -> None:
    folder = Path(read.__file__).parents[1]
    for one, other in (("torch", "keras"), ("keras", "torch")):
        for file in (folder / f"onnx_to_{one}").glob("*.py"):
            assert f"onnx_to_{other}" not in file.read_text(), file
