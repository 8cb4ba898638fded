"""What the PyTorch importer cannot rebuild is said before anything is built, word by word."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper

from exporters import onnx_to_torch
from tests.importers.test_operator_tables import model_of
from toolkit.errors import InvalidGraph, UnsupportedOperator

node = helper.make_node
RUNTIME = "\n  The file itself runs in ONNX Runtime: toolkit predict takes the .onnx as it is."


def message(kind: type[Exception], nodes: list[Any], **more: Any) -> str:
    with pytest.raises(kind) as raised:
        onnx_to_torch.build(model_of(nodes, **more))
    return str(raised.value)


def test_operators_of_an_unknown_domain_are_all_named() -> None:
    nodes = [
        node("Fancy", ["x"], ["a"], name="f1", domain="com.example"),
        node("Fancy", ["a"], ["b"], name="f2", domain="com.example"),
        node("Odd", ["b"], ["y"], name="odd", domain="com.microsoft"),
    ]
    assert message(UnsupportedOperator, nodes, domains=("com.example", "com.microsoft")) == (
        "UnsupportedOperator: the model in memory, node 'f1': com.example.Fancy (opset 1) has no PyTorch form;\n"
        "  also com.example.Fancy (opset 1) at 'f2'\n"
        "  also com.microsoft.Odd (opset 1) at 'odd'\n"
        "  'com.example' is no domain of ONNX or ONNX Runtime: write its operators as functions inside the model."
    )


def test_an_operator_that_onnx_runtime_knows_is_sent_there() -> None:
    nodes = [node("Odd", ["x"], ["y"], name="odd", domain="com.microsoft")]
    assert message(UnsupportedOperator, nodes, domains=("com.microsoft",)) == (
        "UnsupportedOperator: the model in memory, node 'odd': com.microsoft.Odd (opset 1) has no PyTorch form."
        + RUNTIME
    )


def test_an_operator_lacking_inside_a_branch_is_found() -> None:
    inner = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Odd", ["x"], ["z"], name="inner/odd", domain="com.microsoft")], "b", [], [inner])
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Cast", ["s"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], ["y"], name="if", then_branch=branch, else_branch=branch),
    ]
    assert "node 'inner/odd': com.microsoft.Odd (opset 1) has no PyTorch form" in message(
        UnsupportedOperator, nodes, domains=("com.microsoft",)
    )


def test_an_opset_above_the_ceiling_says_which_is_the_newest() -> None:
    assert message(UnsupportedOperator, [node("Relu", ["x"], ["y"])], opset=29) == (
        "UnsupportedOperator: the model in memory: opset 29 is above 28, the newest that the PyTorch importer knows\n"
        "  Write the model at an older opset, for instance with onnx.version_converter."
    )


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (node("Relu", ["x"], ["y"], name="a", domain="com.nowhere"), "No opset import for domain 'com.nowhere'"),
        (node("Relu", ["x"], ["y"], name="a", alpha=3.0), "Unrecognized attribute: alpha for operator Relu"),
        (node("Conv", ["x"], ["y"], name="a"), "has input size 1 not in range"),
        (node("Relu", ["nothing"], ["y"], name="a"), "Nodes in a graph must be topologically sorted"),
    ],
)
def test_an_invalid_graph_says_what_onnx_says(broken: Any, says: str) -> None:
    text = message(InvalidGraph, [broken])
    assert text.startswith("InvalidGraph: the model in memory: ")
    assert says in text
    assert text.endswith("\n  ONNX's own checker refuses it.")


def test_a_type_that_torch_lacks_is_named_with_its_node() -> None:
    assert message(InvalidGraph, [node("Cast", ["x"], ["y"], name="to_text", to=TensorProto.STRING)]) == (
        "InvalidGraph: the model in memory, node 'to_text': PyTorch has no tensors of type STRING"
    )


@pytest.mark.parametrize("given", [b"", 3, None])
def test_what_is_no_model_is_refused(given: Any) -> None:
    with pytest.raises(InvalidGraph, match=f"a {type(given).__name__} is not an ONNX model"):
        onnx_to_torch.build(given)


@pytest.mark.parametrize("true", [[0, 2, 2], [2, 1, 2]], ids=["its root", "below its root"])
def test_trees_that_lead_back_to_where_they_were_are_refused(true: list[int]) -> None:
    """Node 0 is the tree's first, node 2 its only leaf."""
    trees = node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        name="trees",
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
        nodes_featureids=[0, 1, 0],
        nodes_values=[0.5, 0.25, 0.0],
        nodes_truenodeids=true,
        nodes_falsenodeids=[1, 2, 2],
        target_treeids=[0],
        target_nodeids=[2],
        target_ids=[0],
        target_weights=[1.0],
    )
    assert "ai.onnx.ml.TreeEnsembleRegressor cannot be rebuilt (ValueError: the trees have a cycle)" in message(
        InvalidGraph, [trees], domains=("ai.onnx.ml",), y=("batch", 1)
    )
