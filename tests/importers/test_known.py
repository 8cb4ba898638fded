"""ONNX files of opsets that ONNX Runtime does not run."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from exporters.graph import known
from tests.conftest import COUNT
from toolkit import bundle
from toolkit.errors import UnsupportedOperator


def file(path, opset):
    ends = [helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in "xy"]
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Softmax", ["e"], ["y"], axis=1)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3), path)
    return path


def test_one_that_nobody_knows_yet_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UnsupportedOperator, match="the newest that the installed onnx") as error:
        known.require(file(tmp_path / "m.onnx", 99))
    assert "onnx.version_converter" in (error.value.hint or "")


@pytest.mark.usefixtures("warm")
def test_an_old_one_is_brought_up(tmp_path):
    made = bundle.export(str(file(tmp_path / "m.onnx", 6)), ["onnx", "torchscript"], tmp_path / "out", count=COUNT,
                         latency=False)  # fmt: skip
    assert [row.verdict.value for row in made.report.rows] == ["PASS", "PASS"]
    assert onnx.load(made.file("onnx")).opset_import[0].version == 18
    assert any("it was brought up to 18" in note for note in made.notes)
