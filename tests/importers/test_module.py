"""A module that is rebuilt from ONNX is a PyTorch module like any other: it moves, learns, saves and exports."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, parser
from torch import Tensor, fx, nn

import toolkit
from exporters import onnx_to_torch
from exporters.onnx_to_torch.tracer import Tracer
from tests.importers.torch_models import MODELS, exported, newer_onnx, older_onnx, quiet, source

every_model = pytest.mark.parametrize("name", MODELS)


def rebuilt(name: str) -> fx.GraphModule:
    return onnx_to_torch.build(exported(name))


def run(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


def scripted(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(module)


def traced_again(module: fx.GraphModule) -> fx.GraphModule:
    return fx.GraphModule(module, Tracer().trace(module))


@every_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype(name: str, dtype: torch.dtype) -> None:
    """In the dtype that it is moved to, the module predicts what the source does there."""
    kind = MODELS[name]
    x = kind.batch(3, seed=1)
    x = x if kind.tokens else x.to(dtype)
    result = run(rebuilt(name).to(dtype), x)
    wanted = run(copy.deepcopy(source(name)).to(dtype), x)
    assert result.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(result, wanted, rtol=64 * step, atol=64 * step)


def test_half_double_and_bfloat16_are_methods_that_work() -> None:
    for move, dtype in (("double", torch.float64), ("half", torch.float16), ("bfloat16", torch.bfloat16)):
        module = getattr(rebuilt("transformer"), move)()
        assert {p.dtype for p in module.parameters()} == {dtype}
        assert run(module, MODELS["transformer"].batch(2).to(dtype)).dtype == dtype


@every_model
def test_it_can_be_copied_pickled_saved_and_traced_again(name: str) -> None:
    module, x = rebuilt(name), MODELS[name].batch(3)
    wanted = run(module, x)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    forms = {
        "copied": copy.deepcopy(module),
        "pickled": pickle.loads(pickle.dumps(module)),
        "saved": torch.load(buffer, weights_only=False),
        "traced again": traced_again(module),
        "scripted": scripted(module),
    }
    for way, form in forms.items():
        assert torch.equal(run(form, x), wanted), way
        assert set(form.state_dict()) == set(module.state_dict()), way


@pytest.mark.parametrize("name", ["dense", "residual", "unet", "conv3d", "layernorm"])
def test_the_state_goes_to_the_source_and_back(name: str) -> None:
    model, module = copy.deepcopy(source(name)), rebuilt(name)
    names = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
    assert names <= set(module.state_dict())
    fresh = MODELS[name].build().eval()
    fresh.load_state_dict({key: module.state_dict()[key] for key in names}, strict=False)
    x = MODELS[name].batch(3)
    assert torch.equal(run(fresh, x), run(model, x))
    other = {key: value + 0.25 if key in names else value for key, value in module.state_dict().items()}
    module.load_state_dict(other)
    fresh.load_state_dict({key: other[key] for key in names}, strict=False)
    torch.testing.assert_close(run(module, x), run(fresh, x))


def losses(module: nn.Module, name: str, steps: int = 8) -> list[float]:
    """The loss of every step in training mode, and of one step in evaluation mode behind them."""
    module.train()
    kind = MODELS[name]
    x, labels = kind.batch(16, seed=2), torch.arange(16) % 5
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    found = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(module(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    module.eval()
    found.append(nn.functional.cross_entropy(run(module, x), labels).item())
    return found


@every_model
def test_fine_tuning_goes_as_it_does_with_the_source(name: str) -> None:
    mine, wanted = losses(rebuilt(name), name), losses(copy.deepcopy(source(name)), name)
    assert wanted[-2] < wanted[0]
    np.testing.assert_allclose(mine, wanted, rtol=1e-4)


@pytest.mark.parametrize("name", ["dense", "residual", "unet", "conv3d"])
def test_normalisations_follow_the_batch_while_training(name: str) -> None:
    model, module, x = copy.deepcopy(source(name)).train(), rebuilt(name).train(), MODELS[name].batch(6)
    script = scripted(rebuilt(name)).train()
    torch.testing.assert_close(run(module, x), run(model, x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(run(script, x), run(rebuilt(name).train(), x))
    for key, value in model.state_dict().items():
        if "running" in key:
            torch.testing.assert_close(module.state_dict()[key], value)
            torch.testing.assert_close(script.state_dict()[key], value)
            assert not torch.equal(value, source(name).state_dict()[key])
    torch.testing.assert_close(run(module.eval(), x), run(model.eval(), x))


def test_layers_with_equal_statistics_do_not_share_them() -> None:
    """Exporters store equal tensors once; two fresh layers must still learn apart."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 6), nn.BatchNorm1d(6)).eval()
    x = torch.randn(8, 6)
    proto = older_onnx(model, x)
    assert len([i for i in proto.graph.initializer if i.dims == [6]]) < 9  # what the exporter did
    module = onnx_to_torch.build(proto)
    run(module.train(), x)
    run(model.train(), x)
    torch.testing.assert_close(run(module.eval(), x), run(model.eval(), x))


DROPOUT = """<ir_version: 8, opset_import: ["" : {opset}]> g (float[B,100] x) => (float[B,100] y) {{ {body} }}"""


@pytest.mark.parametrize("opset", [11, 13])
def test_dropout_drops_while_training(opset: int) -> None:
    model = {11: "y = Dropout <ratio = 0.25> (x)", 13: "r = Constant <value = float {0.25}> () y = Dropout (x, r)"}
    module = onnx_to_torch.build(parser.parse_model(DROPOUT.format(opset=opset, body=model[opset])))
    x = torch.ones(40, 100)
    for form in (module, scripted(module)):
        assert torch.equal(run(form, x), x)
        torch.manual_seed(0)
        dropped = run(form.train(), x)
        assert 0.22 < (dropped == 0).float().mean() < 0.28
        torch.testing.assert_close(dropped[dropped != 0].mean(), torch.tensor(1 / 0.75))
        assert torch.equal(run(form.eval(), x), x)


def test_what_the_graph_fixes_stays_fixed() -> None:
    body = "r = Constant <value = float {0.5}> () t = Constant <value = bool {1}> () y = Dropout (x, r, t)"
    module = onnx_to_torch.build(parser.parse_model(DROPOUT.format(opset=13, body=body)))
    assert not module.training
    assert (run(module, torch.ones(4, 100)) == 0).any()


def in_onnxruntime(proto: onnx.ModelProto, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


# each takes seconds; the kinds left out hold no operator that these do not
@pytest.mark.parametrize("name", ["residual", "unet", "lstm", "transformer", "resizing"])
def test_it_goes_through_torch_export_and_back_to_onnx(name: str) -> None:
    module, kind = rebuilt(name), MODELS[name]
    x, other = kind.batch(2), kind.batch(5)
    wanted = run(source(name), other)
    with quiet():
        program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},))
    torch.testing.assert_close(run(program.module(), other), wanted)
    torch.testing.assert_close(in_onnxruntime(older_onnx(module, x), other), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(in_onnxruntime(newer_onnx(module, x), other), wanted, rtol=1e-4, atol=1e-5)


def test_its_code_reads_like_pytorch() -> None:
    code = [line.split(";")[0].strip() for line in rebuilt("residual").code.splitlines() if line.strip()]
    assert code[:8] == [
        "def forward(self, x):",
        "training_mode = self.training_mode()",
        "stem_weight = self.stem.weight",
        "conv2d = torch.conv2d(x, stem_weight, None, [1, 1], [1, 1], [1, 1], 1)",
        "bn1_weight = self.bn1.weight",
        "bn1_bias = self.bn1.bias",
        "bn1_running_mean = self.bn1.running_mean",
        "bn1_running_var = self.bn1.running_var",
    ]
    statistics = "bn1_running_mean, bn1_running_var, bn1_weight, bn1_bias"
    assert code[8] == f"batch_norm = torch.nn.functional.batch_norm(conv2d, {statistics}, training_mode, 0.1, 1e-05)"
    attention = rebuilt("transformer").code
    for call in ("linear(", "layer_norm(", "gelu(", "scaled_dot_product_attention("):
        assert call in attention
    assert not any(spelled in attention for spelled in ("softmax", "erf", "reduce_mean(linear", "sqrt"))


def test_the_public_name(tmp_path: object) -> None:
    path = f"{tmp_path}/m.onnx"
    onnx.save(exported("dense"), path)
    module = toolkit.to_torch(path)
    assert isinstance(module, fx.GraphModule)
    x = MODELS["dense"].batch(3)
    torch.testing.assert_close(run(module, x), run(source("dense"), x))


def test_casts_to_a_narrow_type_follow_the_module_into_double():
    """A float16 file that casts its float32 inputs: in float64 nothing is narrow but the result."""
    weight = numpy_helper.from_array(np.float16([[0.3, -1.7], [2.2, 0.9]]), "w")
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n", 2])
    model = helper.make_model(
        helper.make_graph(nodes, "net", [x], [y], [weight]), opset_imports=[helper.make_opsetid("", 17)]
    )
    module = onnx_to_torch.build(model).eval()
    given = torch.tensor([[1 / 3, 0.1]])
    assert module(given).dtype == torch.float16
    wide = given.double()
    found = module.double()(wide)
    assert found.dtype == torch.float64
    assert torch.equal(found, wide @ torch.tensor(np.float16([[0.3, -1.7], [2.2, 0.9]])).double())


@pytest.mark.parametrize(("axis", "step"), [(1, 1), (-1, 2), (0, 1)])
def test_a_slice_may_be_told_its_axes_and_its_steps_by_tensors(axis: int, step: int) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n, m] x, int64[1] axes, int64[1] steps) => (float[k, l] y) <int64[1] first = {0}, int64[1] end = {2}>
        { y = Slice (x, first, end, axes, steps) }"""
    x = torch.arange(12.0).reshape(3, 4)
    given = (x, torch.tensor([axis]), torch.tensor([step]))
    expected = x[:2:step] if axis == 0 else x[:, :2:step]
    module = onnx_to_torch.build(parser.parse_model(text))
    assert torch.equal(module(*given), expected)
    assert torch.equal(scripted(module)(*given), expected)
