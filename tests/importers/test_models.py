"""Realistic models through both importers, at batches other than the exported one."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_torch
from tests.importers import realistic
from tests.importers.suites import script
from toolkit.errors import UnsupportedOperator

pytestmark = [
    pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning"),  # about nn.Module itself
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*TorchScript:DeprecationWarning"),
]
KINDS = [f"{kind}-{exporter}" for kind in realistic.MODELS for exporter in realistic.EXPORTERS]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        realistic.write(folder)
    return folder


@pytest.fixture(scope="session")
def keras(folder: Path) -> dict[str, Any]:
    rows: dict[str, Any] = script("keras_models.py", str(folder))
    return rows


def scripted(module: torch.nn.Module, path: Path) -> Any:
    torch.jit.save(torch.jit.script(module), path)
    return torch.jit.load(path)


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", KINDS)
def test_torch_eager_and_scripted_at_every_batch(folder: Path, tmp_path: Path, name: str) -> None:
    data = np.load(folder / f"{name.split('-', maxsplit=1)[0]}.npz")
    module = onnx_to_torch.build(folder / f"{name}.onnx")
    for runner in (module, scripted(module, tmp_path / "m.pt")):
        for batch in realistic.BATCHES:
            for i, y in enumerate(as_tuple(runner(torch.from_numpy(data[f"x{batch}"])))):
                torch.testing.assert_close(y.detach(), torch.from_numpy(data[f"y{batch}.{i}"]), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", KINDS)
def test_keras_at_every_batch(keras: dict[str, Any], name: str) -> None:
    row = keras["models"][name]
    assert row["error"] < 3e-6
    assert row["double"] < 3e-6
    assert row["lambdas"] == []
    assert set(row["dtypes"]) <= {"float64", "int64", "uint32"}


def test_keras_keeps_one_transpose_at_each_end_of_a_cnn(keras: dict[str, Any]) -> None:
    assert keras["models"]["cnn-dynamo"]["transposes"] <= 2


def test_keras_weights_bear_the_sources_names(keras: dict[str, Any]) -> None:
    assert keras["models"]["dense-older"]["weights"] == [
        "fc1/kernel", "fc1/bias", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance",
        "fc2/kernel", "fc2/bias",
    ]  # fmt: skip


def test_keras_adds_past_the_mistaken_bias(keras: dict[str, Any]) -> None:
    assert {shapes: error for shapes, error in keras["additions"].items() if error != 0.0} == {}


@pytest.mark.parametrize("name", ["matmul_add", "bias_first", "conv_add"])
def test_keras_puts_the_bias_into_the_layer_of_the_product(keras: dict[str, Any], name: str) -> None:
    assert keras["biases"][name] == ["w/kernel", "w/bias"]


@pytest.mark.parametrize("name", ["bias_per_row", "conv_add_per_column", "product_read_twice"])
def test_keras_leaves_what_is_no_bias(keras: dict[str, Any], name: str) -> None:
    assert "w/bias" not in keras["biases"][name]


RELOAD = """
import json, pathlib, sys, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, keras
rows = {}
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.h5")):
    data = np.load(file.parent / (file.stem.split("-")[0] + ".npz"))
    y = keras.models.load_model(file)(data["x7"])
    y = y if isinstance(y, (list, tuple)) else [y]
    rows[file.stem] = all(np.allclose(a, data[f"y7.{i}"], 1e-4, 3e-6) for i, a in enumerate(y))
assert "exporters" not in sys.modules and "toolkit" not in sys.modules
json.dump(rows, sys.stdout)
"""


def test_h5_files_reload_with_keras_alone(keras: dict[str, Any], folder: Path) -> None:
    command = [sys.executable, "-P", "-c", RELOAD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-1500:]
    assert json.loads(done.stdout) == dict.fromkeys(KINDS, True)


def test_torch_rebuilds_what_tf2onnx_wrote(keras: dict[str, Any], folder: Path) -> None:
    data = np.load(folder / "keras_data.npz")
    module = onnx_to_torch.build(folder / "keras.onnx")
    torch.testing.assert_close(module(torch.from_numpy(data["x"])).detach(), torch.from_numpy(data["y"]))


def test_names_parameters_and_buffers_are_the_sources(folder: Path) -> None:
    module = onnx_to_torch.build(folder / "dense-older.onnx")
    assert [name for name, _ in module.named_parameters()] == [
        "fc1.weight", "fc1.bias", "bn.weight", "bn.bias", "fc2.weight", "fc2.bias",
    ]  # fmt: skip
    assert {"bn.running_mean", "bn.running_var"} <= {name for name, _ in module.named_buffers()}
    source = realistic.Dense()
    source.load_state_dict(module.state_dict(), strict=False)
    assert torch.equal(source.fc1.weight, module.get_parameter("fc1.weight"))


def test_a_rebuilt_module_can_be_fine_tuned(folder: Path) -> None:
    module = onnx_to_torch.build(folder / "cnn-older.onnx")
    module(realistic.example("cnn", 4)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())


def test_the_code_reads_like_torch(folder: Path) -> None:
    code = onnx_to_torch.build(folder / "dense-dynamo.onnx").code
    assert "torch._C._nn.linear(" in code
    assert "self.fc1.weight" in code


@pytest.mark.parametrize("kind", ["dense", "cnn"])
def test_double_agrees_with_the_reference(folder: Path, kind: str) -> None:
    model = onnx.load(folder / f"{kind}-older.onnx")
    for initializer in model.graph.initializer:
        if initializer.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(initializer).astype(np.float64)
            initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
                array = numpy_helper.to_array(attribute.t).astype(np.float64)
                attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    x = np.random.default_rng(0).normal(size=realistic.example(kind, 3).shape)
    wanted = ReferenceEvaluator(model).run(None, {"x": x})
    module = onnx_to_torch.build(folder / f"{kind}-older.onnx").double()
    for y, w in zip(as_tuple(module(torch.from_numpy(x))), wanted, strict=True):
        np.testing.assert_allclose(y.detach().numpy(), w, rtol=1e-12, atol=1e-12)


def one(nodes: list[onnx.NodeProto], y: int = TensorProto.FLOAT, **initializers: Any) -> onnx.ModelProto:
    """A model of an input `x` (batch, 4), float32, and of an output `y`."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
    outputs = [helper.make_tensor_value_info("y", y, ["rows", "columns"])]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_double_follows_through_casts_and_constants() -> None:
    nodes = [
        helper.make_node("Constant", [], ["tenth"], value_float=0.1),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceProd", ["sizes"], ["count"], keepdims=0),
        helper.make_node("Div", ["w", "count"], ["share"]),
        helper.make_node("Mul", ["x", "share"], ["scaled"]),
        helper.make_node("Add", ["scaled", "tenth"], ["y"]),
    ]
    module = onnx_to_torch.build(one(nodes, w=np.float32([1, 2, 3, 4]))).double()
    assert module(torch.ones(3, 4, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_shape_computed_when_the_model_runs(batch: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Mul", ["rows", "two"], ["double"]),
        helper.make_node("Concat", ["double", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    module = onnx_to_torch.build(one(nodes, zero=[0], two=[2], minus=[-1]))
    x = torch.randn(batch, 4)
    for runner in (module, scripted(module, tmp_path / "m.pt")):
        assert torch.equal(runner(x), x.reshape(batch * 2, 2))


def test_one_initializer_used_three_times_is_one_parameter() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "w"], ["b"]),
        helper.make_node("Sub", ["b", "w"], ["y"]),
    ]
    assert len(list(onnx_to_torch.build(one(nodes, w=np.ones(4, np.float32))).parameters())) == 1


def test_odd_names_are_made_valid_and_kept() -> None:
    module = onnx_to_torch.build(one([helper.make_node("Mul", ["x", "a/b:0"], ["y"])], **{"a/b:0": np.ones(4, "f4")}))
    assert module.meta["source_names"] == {"a_b_0": "a/b:0"}
    assert list(module.state_dict()) == ["a_b_0"]


def test_names_that_are_methods_or_tensors_do_not_collide() -> None:
    names = ["forward", "double", "a", "a.b", "train.weight", "class", "0.weight"]
    nodes, last = [], "x"
    for i, name in enumerate(names):
        result = "y" if name == names[-1] else f"v{i}"
        nodes.append(helper.make_node("Mul", [last, name], [result]))
        last = result
    module = onnx_to_torch.build(one(nodes, **{name: np.full(4, 2, "f4") for name in names}))
    assert torch.equal(module(torch.ones(1, 4)), torch.full((1, 4), 2.0 ** len(names)))
    sources = module.meta["source_names"]
    assert sorted(sources.get(name, name) for name in module.state_dict()) == sorted(names)


def test_pow_keeps_the_dtype_of_its_base() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Pow", ["i", "half"], ["y"]),
    ]
    module = onnx_to_torch.build(one(nodes, y=TensorProto.INT64, half=np.float32(0.5)))
    assert module(torch.full((1, 4), 9.0)).tolist() == [[3, 3, 3, 3]]


def test_an_input_that_is_also_an_output_and_outputs_in_another_order() -> None:
    model = one([helper.make_node("Split", ["x"], ["a", "y"], axis=1)])
    model.graph.output.insert(0, helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4]))
    model.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", 2]))
    x = torch.arange(4.0)[None]
    same, second, first = onnx_to_torch.build(model)(x)
    assert torch.equal(same, x)
    assert second.tolist() == [[2, 3]]
    assert first.tolist() == [[0, 1]]


def test_the_branch_that_the_condition_picks_whatever_their_order_in_the_file(tmp_path: Path) -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4])
        return helper.make_graph([helper.make_node(operator, ["x", "w"], [name])], name, [], [result])

    picked = helper.make_node("If", ["positive"], ["y"], else_branch=branch("e", "Sub"), then_branch=branch("t", "Add"))
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        picked,
    ]
    module = onnx_to_torch.build(one(nodes, w=np.full(4, 10, "f4"), zero=np.float32(0)))
    for runner in (module, scripted(module, tmp_path / "m.pt")):
        assert runner(torch.ones(1, 4)).tolist() == [[11] * 4]
        assert runner(-torch.ones(1, 4)).tolist() == [[-11] * 4]


def test_what_no_table_knows_is_said(tmp_path: Path) -> None:
    model = one([helper.make_node("Fancy", ["x"], ["y"], name="odd", domain="com.example")])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedOperator) as raised:
        onnx_to_torch.build(tmp_path / "net.onnx")
    assert str(raised.value) == (
        "UnsupportedOperator: net.onnx, node 'odd': com.example.Fancy (opset 1) has no PyTorch form.\n"
        "  'com.example' is no domain of ONNX or ONNX Runtime: write its operators as functions inside the model."
    )
