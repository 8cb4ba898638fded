"""Cells that a graph spells out step by step: a chain of them becomes one operator, and predicts the same."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from exporters import onnx_to_torch
from exporters.graph import recurrent
from exporters.graph.clean import clean
from tests.importers.recurrent_cases import FORMS, NEAR_MISSES, arrays
from tests.importers.suites import script
from tests.importers.test_recurrent import assert_same, in_onnxruntime, in_torch, recovered, scripted
from tests.importers.unrolled_cases import CASES, STEPS, written

CELLS = {"GRU", "LSTM", "RNN"}
ALL = tuple(range(STEPS))
LSTM = FORMS["lstm, all gates at once"].cell


def operators(model: onnx.ModelProto) -> list[ir.Node]:
    return [node for node in recovered(model).graph if node.op_type in CELLS]


def assert_predictions_stay(model: onnx.ModelProto) -> None:
    found = ir.to_proto(recovered(model))
    onnx.checker.check_model(found, full_check=True)
    module = onnx_to_torch.build(found)  # PyTorch itself wants longer chains
    for batch in (1, 3):
        given = arrays(model, {"T": batch, "B": batch})
        wanted = in_onnxruntime(model, given)
        assert_same(in_onnxruntime(found, given), wanted)
        for form in (module, scripted(module)):
            assert_same(in_torch(form, given), wanted)


@pytest.mark.parametrize("name", CASES)
def test_a_chain_is_one_operator(name: str) -> None:
    case = CASES[name]
    model = case.model()
    (node,) = operators(model)
    form = FORMS[case.cell]
    assert node.op_type == form.kind
    said = {key: attribute.value for key, attribute in node.attributes.items()}
    for key, value in form.attributes.items():
        assert list(said[key]) == value if isinstance(value, list) else said[key] == value
    assert said.get("direction", "forward") == ("reverse" if case.order[0] > case.order[-1] else "forward")
    left = {each.op_type for each in recovered(model).graph}
    before = {"MatMul"} if case.reads == "projected before" else set()
    assert left & {"Sigmoid", "Tanh", "MatMul", "Gemm"} == before
    assert_predictions_stay(model)


@pytest.mark.parametrize("name", [name for name, case in NEAR_MISSES.items() if case.way == "scan"])
def test_a_near_miss_stays(name: str) -> None:
    miss = NEAR_MISSES[name]
    model = written(miss.cell, "gathered", "all", ALL, cells=miss.cells)
    assert not operators(model)
    assert_predictions_stay(model)


def test_a_cell_state_that_is_read_parts_the_chain() -> None:
    model = written(LSTM, "gathered", "all", ALL, cells=True, more="float[B,4] A | A = Neg (c_2)")
    assert len(operators(model)) == 2
    assert_predictions_stay(model)


def test_a_step_whose_gate_is_read_stays() -> None:
    model = written(LSTM, "gathered", "the last", ALL, cells=True, more="float[B,4] A | A = Identity (o_3)")
    (node,) = operators(model)
    assert [each.op_type for each in recovered(model).graph].count("Sigmoid") == 6
    assert node.op_type == "LSTM"
    assert_predictions_stay(model)


def test_each_state_as_an_output_of_its_own() -> None:
    outputs = ", ".join(f"float[B,4] A{t}" for t in range(1, STEPS))
    copies = " ".join(f"A{t} = Identity (h_{t})" for t in range(1, STEPS))
    model = written(LSTM, "gathered", "the last", ALL, cells=True, more=f"{outputs} | {copies}")
    assert len(operators(model)) == 1
    assert_predictions_stay(model)


def test_steps_that_read_their_own_states_stay() -> None:
    """A decoder that is fed what it said before."""
    model = written(LSTM, "gathered", "the last", ALL, cells=True)
    fed = onnx.helper.make_node("MatMul", ["h_1", "back"], ["x_2"])
    place = next(i for i, node in enumerate(model.graph.node) if "x_2" in node.output)
    model.graph.node.remove(model.graph.node[place])
    model.graph.node.insert(place, fed)
    back = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(back, "back"))
    assert not operators(model)
    assert_predictions_stay(model)


def test_one_step_of_other_weights_parts_the_chain() -> None:
    model = written(LSTM, "gathered", "all", ALL, cells=True)
    products = [node for node in model.graph.node if "r4" in node.input]
    products[1].input[1] = "other"
    other = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(other, "other"))
    (node,) = operators(model)
    assert node.op_type == "LSTM"
    assert_predictions_stay(model)


@pytest.mark.parametrize("wide", [True, False])
def test_a_first_state_for_all_samples(wide: bool) -> None:
    """One row is repeated; a row for each sample, where the sequence has one, is another operator's broadcasting."""
    model = written(LSTM, "gathered", "all", ALL, cells=True)
    sample = model.graph.input[0].type.tensor_type.shape.dim[1]
    for value in model.graph.input[1:] if wide else ():
        value.type.tensor_type.shape.dim[0].dim_value = 1
    if not wide:
        sample.dim_value = 1
    assert len(operators(model)) == (1 if wide else 0)
    assert_predictions_stay(model)


def test_keras_has_its_own_layers_of_them() -> None:
    found = script("keras_unrolled.py")
    kinds = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}
    for name, row in found.items():
        kind = FORMS[CASES[name].cell].kind if name in CASES else name.split(",")[0].upper()
        assert row == {"layers": [kinds[kind or ""]], "functional": "ok", "saved": "ok"}, name
    assert len(found) == 11


class Layers(torch.nn.Module):
    """Two layers a step at a time; the second one reads what the first one has just given."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.one, self.two = getattr(torch.nn, kind)(5, 4), getattr(torch.nn, kind)(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first: object = None
        second: object = None
        given = []
        for step in x.unbind(1):
            first = self.one(step, first)
            second = self.two(first[0] if isinstance(first, tuple) else first, second)
            given.append(second[0] if isinstance(second, tuple) else second)
        return torch.stack(given, 1), given[-1]


def exported(module: torch.nn.Module, steps: int, path: str, opset: int = 18) -> onnx.ModelProto:
    """By PyTorch's older exporter, which is quick."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that it has an end, and nothing that a test could mend
        torch.onnx.export(
            module, (torch.randn(2, steps, 5),), path, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "B"}}, opset_version=opset,
        )  # fmt: skip
    return onnx.load(path)


@pytest.mark.parametrize(("steps", "wanted"), [(15, 0), (16, 2)])
def test_pytorch_has_layers_of_chains_that_are_long_enough(steps: int, wanted: int, tmp_path: object) -> None:
    model = exported(Layers("GRUCell"), steps, f"{tmp_path}/model.onnx")
    module = onnx_to_torch.build(model)
    assert str(module.code).count("kernels_gru(") == wanted
    given = arrays(model, {"T": 0, "B": 3})
    for form in (module, scripted(module)):
        assert_same(in_torch(form, given), in_onnxruntime(model, given))


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_layers_of_pytorch_side_by_side(kind: str, tmp_path: object) -> None:
    model = exported(Layers(kind), 6, f"{tmp_path}/model.onnx", opset={"LSTMCell": 18, "GRUCell": 11}.get(kind, 13))
    assert {"one.W", "one.R", "two.W", "two.R"} <= set(recovered(model).graph.initializers)
    assert [node.op_type for node in operators(model)] == [kind.removesuffix("Cell")] * 2
    assert "Concat" not in {node.op_type for node in recovered(model).graph}
    assert_predictions_stay(model)


@pytest.mark.parametrize("size", [40, 400])
def test_what_has_no_cells_is_looked_at_once(size: int) -> None:
    """One weight all along a chain, as in networks that share their layers."""
    nodes = "".join(f"a{i} = MatMul ({f'h{i}' if i else 'X'}, w) h{i + 1} = Relu (a{i}) " for i in range(size))
    text = f'<ir_version: 8, opset_import: ["" : 17]> main (float[B,4] X) => (float[B,4] h{size}) {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    weight = np.eye(4, dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    cleaned = clean(ir.from_proto(model))
    assert len(recurrent.recover(cleaned).graph) == 2 * size
