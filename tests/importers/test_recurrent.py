"""Cells in the bodies of Loop and Scan: they become one operator and predict the same, near misses stay loops."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_torch
from exporters.graph import recurrent
from exporters.graph.clean import clean
from tests.importers.recurrent_cases import FORMS, NEAR_MISSES, WEIGHTS, Array, Case, arrays

LOOPS = {"Loop", "Scan"}
LENGTHS = [{"T": 1, "B": 1}, {"T": 5, "B": 3}, {"T": 0, "B": 2}]


def recovered(model: onnx.ModelProto) -> ir.Model:
    return recurrent.recover(clean(ir.from_proto(model)))


def in_onnxruntime(model: onnx.ModelProto, given: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, given)


def in_torch(module: Any, given: dict[str, Array]) -> list[Array]:
    with torch.no_grad():
        return [result.numpy() for result in module(*(torch.from_numpy(array) for array in given.values()))]


def scripted(module: torch.nn.Module) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that scripting has an end, and nothing that a test could mend
        return torch.jit.script(module)


def assert_same(found: list[Array], wanted: list[Array]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6, strict=True)


def expected(case: Case, model: onnx.ModelProto, given: dict[str, Array]) -> list[Array]:
    """By the loop itself: in onnx.reference, which has no Scan backwards or along other axes, else in ONNX Runtime."""
    if case.way not in {"scan", "loop", "loop, while", "loop, from the end"}:
        return in_onnxruntime(model, given)
    *states, outputs = ReferenceEvaluator(model).run(None, given)
    # the reference joins what a Loop's steps give along the first axis that is there, instead of a new one
    return [*states, outputs.reshape(len(given["X"]), *states[0].shape)]


def without_steps(case: Case, given: dict[str, Array]) -> list[Array]:
    """The first states and no outputs, as the operators' text has it; ONNX Runtime ends in a SIGFPE in such a Scan."""
    states = [given["H"], given["C"]] if case.cells else [given["H"]]
    if case.way == "scan, last state alone":
        return states
    batch = given["H"].shape[0]
    return [*states, np.zeros((batch, 0, 4) if case.way == "scan, samples first" else (0, batch, 4), np.float32)]


@pytest.mark.parametrize("name", FORMS)
def test_a_cell_becomes_one_operator(name: str) -> None:
    case = FORMS[name]
    graph = recovered(case.model()).graph
    (node,) = [node for node in graph if node.op_type in {"GRU", "LSTM", "RNN"}]
    assert node.op_type == case.kind
    assert not LOOPS & {each.op_type for each in graph}
    said = {key: attribute.value for key, attribute in node.attributes.items()}
    for key, value in case.attributes.items():
        assert list(said[key]) == value if isinstance(value, list) else said[key] == value


@pytest.mark.parametrize("name", FORMS)
def test_predictions_stay(name: str) -> None:
    case = FORMS[name]
    model = case.model()
    module = onnx_to_torch.build(model)
    code, forms = str(module.code), (module, scripted(module))
    assert "loop" not in code
    assert "scan" not in code
    written = ir.to_proto(recovered(model))
    onnx.checker.check_model(written, full_check=True)
    for sizes in LENGTHS:
        if sizes["T"] == 0 and "gathered" in case.way:
            continue  # nothing to put together: an error in every runtime
        given = arrays(model, sizes)
        wanted = expected(case, model, given) if sizes["T"] else without_steps(case, given)
        for form in forms:
            assert_same(in_torch(form, given), wanted)
        if sizes["T"]:
            assert_same(in_onnxruntime(written, given), wanted)


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_stays_a_loop(name: str) -> None:
    case = NEAR_MISSES[name]
    model = case.model()
    assert LOOPS & {node.op_type for node in recovered(model).graph}
    given = arrays(model, {"T": 4, "B": 2})
    assert_same(in_torch(scripted(onnx_to_torch.build(model)), given), in_onnxruntime(model, given))


def test_a_cell_of_single_samples_is_one_operator() -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> main (float[T,5] X, float[4] H) => (float[4] HN, float[T,4] Y) {'
        "HN, Y = Scan <num_scan_inputs = 1, body = g (float[4] h, float[5] x) => (float[4] h1, float[4] y) {"
        "a = MatMul (wt, x) e = MatMul (rt, h) s = Add (a, e) q = Add (s, bi) h1 = Tanh (q) y = Identity (h1) }>"
        "(H, X) }"
    )
    random = np.random.default_rng(0)
    for name in ("wt", "rt", "bi"):
        array = random.standard_normal(WEIGHTS[name]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    assert "RNN" in {node.op_type for node in recovered(model).graph}
    given = {"X": random.standard_normal((6, 5)).astype(np.float32), "H": np.ones(4, np.float32)}
    assert_same(in_torch(scripted(onnx_to_torch.build(model)), given), in_onnxruntime(model, given))
