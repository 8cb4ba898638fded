"""ONNX Runtime's own operators, as PyTorch modules and TorchScript files, against ONNX Runtime; what is not covered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from exporters import onnx_to_torch
from tests.importers import microsoft, parity
from tests.importers.suites import script
from toolkit.errors import UnsupportedOperator

LACKING = set().union(*parity.CONTRIBUTED_LACKS.values())


OPEN_ENDED = {"quantised_lstm"}  # over a number of steps known only when the model runs: a SavedModel alone holds it


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    found: dict[str, Any] = script("torch_suite.py", "--microsoft")
    return found


@pytest.mark.parametrize("name", [row.name for row in microsoft.all_fused()])
def test_it_gives_what_onnx_runtime_gives(rows: dict[str, Any], name: str) -> None:
    assert (rows[name]["eager"], rows[name]["scripted"]) == ("ok", "ok")


def test_graphs_of_its_optimiser_are_rebuilt(rows: dict[str, Any]) -> None:
    cases = {case.name: case for case in microsoft.optimised()}
    fused = {node.op_type for case in cases.values() for node in case.model.graph.node if node.domain}
    assert fused >= {"BiasGelu", "SkipLayerNormalization", "FusedConv", "QuickGelu"}
    assert {name: (rows[name]["eager"], rows[name]["scripted"]) for name in cases} == dict.fromkeys(cases, ("ok", "ok"))


@pytest.fixture(scope="module")
def keras_rows() -> dict[str, Any]:
    found: dict[str, Any] = script("keras_suite.py", "--microsoft")
    return found


@pytest.mark.parametrize("name", [row.name for row in microsoft.all_fused() if row.operator not in LACKING])
def test_keras_gives_what_onnx_runtime_gives(keras_rows: dict[str, Any], name: str) -> None:
    row = {column: result for column, result in keras_rows[name].items() if column in ("model", "h5", "savedmodel")}
    if name in OPEN_ENDED and "h5" in row:
        assert row.pop("h5").endswith("'loop_2' is TensorFlow's own, which no file of Keras holds")
    assert set(row.values()) == {"ok"}


def test_graphs_of_its_optimiser_are_rebuilt_in_keras(keras_rows: dict[str, Any]) -> None:
    assert {name: keras_rows[name]["model"] for name in keras_rows if name.startswith("optimised_")} == {
        "optimised_transformer_block": "ok", "optimised_convolutions": "ok",
    }  # fmt: skip


@pytest.mark.parametrize("name", [row.name for row in microsoft.all_fused() if row.operator in LACKING])
def test_what_cannot_be_rewritten_keeps_its_error(keras_rows: dict[str, Any], name: str) -> None:
    (operator,) = (row.operator for row in microsoft.all_fused() if row.name == name)
    assert keras_rows[name]["model"] == (
        f"UnsupportedOperator: UnsupportedOperator: the model in memory, node '-> out0': com.microsoft.{operator} "
        "(opset 1) has no Keras form."
    )


def grouped(**attributes: Any) -> Any:
    """A GroupQueryAttention that asks for what the importer does not cover."""
    shapes = {"query": [1, 1, 16], "key": [1, 1, 16], "value": [1, 1, 16], "lengths": [1], "total": [], "sink": [1]}
    kinds = {"lengths": TensorProto.INT32, "total": TensorProto.INT32}
    inputs = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape) for name, shape in shapes.items()
    ]
    names = ["query", "key", "value", "", "", "lengths", "total", "", "", "", "", "sink"]
    node = helper.make_node(
        "GroupQueryAttention", names, ["y"], name="layer0/attn", domain=microsoft.DOMAIN, **attributes
    )
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 16])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(microsoft.DOMAIN, 1)]
    return helper.make_model(helper.make_graph([node], "net", inputs, [output]), opset_imports=imports, ir_version=10)


def test_what_an_operator_does_not_cover_is_named_before_anything_is_built() -> None:
    with pytest.raises(UnsupportedOperator) as raised:
        onnx_to_torch.build(grouped(num_heads=1, kv_num_heads=1, k_quant_type="PER_TENSOR"))
    assert str(raised.value) == (
        "UnsupportedOperator: the model in memory, node 'layer0/attn': com.microsoft.GroupQueryAttention with input "
        "'head_sink' and k_quant_type = 'PER_TENSOR' has no PyTorch form.\n"
        "  The file itself runs in ONNX Runtime: toolkit predict takes the .onnx as it is."
    )


def test_every_operator_has_a_case() -> None:
    """But for those that ONNX Runtime has no CPU kernel for, so that nothing could be compared."""
    from exporters.onnx_to_torch.operators import TORCH

    cuda_alone = {"BiasAdd", "BiasSoftmax", "BiasSplitGelu", "ComplexMul", "GroupNorm", "NhwcFusedConv",
                  "QLinearReduceMean", "SkipGroupNorm"}  # fmt: skip
    known = {row.name for row in TORCH if row.domain == microsoft.DOMAIN}
    assert known | parity.TORCH_REWRITES == {row.name for row in TORCH.rewritten or ()} | LACKING
    assert known - {row.operator for row in microsoft.all_fused()} == cuda_alone


def test_feedings_differ_where_a_size_is_free() -> None:
    free = [row for row in microsoft.all_fused() if len(row.feeds) > 1]
    assert len(free) > 10
    shapes = [[np.shape(next(iter(feed.values()))) for feed in row.feeds] for row in free]
    assert all(len(set(sizes)) > 1 for sizes in shapes)
