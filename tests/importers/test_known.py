"""What is said of an ONNX file before a runtime is asked."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from exporters.graph import known
from toolkit.errors import UnsupportedOperator


@pytest.mark.parametrize(("opset", "message"), [(6, "below 7, the oldest"), (99, "the newest that the installed onnx")])
def test_an_opset_that_nobody_runs_is_said_with_what_to_do(tmp_path, opset, message):
    ends = [helper.make_tensor_value_info(name, 1, ["batch"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    with pytest.raises(UnsupportedOperator, match=message) as error:
        known.require(path)
    assert "onnx.version_converter" in (error.value.hint or "")
