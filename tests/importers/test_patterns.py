"""Every pattern: its forms become one operator and predict the same, its near misses stay."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from exporters import onnx_to_torch
from exporters.graph import patterns
from exporters.graph.clean import clean
from tests.importers.pattern_cases import FORMS, NEAR_MISSES, Array, Case
from tests.importers.torch_models import newer_onnx, older_onnx


def recognised(model: onnx.ModelProto, **options: object) -> tuple[ir.Model, dict[str, int]]:
    graph = clean(ir.from_proto(model))
    return graph, patterns.apply(graph, **options)


def in_onnxruntime(model: onnx.ModelProto, arrays: dict[str, Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, arrays)[0]


def in_torch(module: torch.nn.Module, arrays: dict[str, Array]) -> Array:
    with torch.no_grad():
        result = module(*(torch.from_numpy(array) for array in arrays.values()))
    return (result[0] if isinstance(result, tuple) else result).numpy()


def scripted(module: torch.nn.Module) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that scripting has an end, and nothing that a test could mend
        return torch.jit.script(module)


# What patterns write that are not named after an operator; of some, all is there to be recognised further.
LEFT: dict[str, list[str]] = {"Einsum": [], "ChannelsLastGroups": [], "MeanTwice": ["ReduceMean"]}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_becomes_one_operator(name: str) -> None:
    case = FORMS[name]
    graph, counts = recognised(case.model())
    assert counts == Counter(case.found)
    heavy = [
        node.op_type
        for node in graph.graph
        if node.op_type not in {"Transpose", "Reshape", "Add", "Where", "Not", "Mul"}
    ]
    assert heavy == [operator for name in case.found for operator in LEFT.get(name, [name])]


@pytest.mark.parametrize("name", [*FORMS, *NEAR_MISSES])
def test_predictions_stay(name: str) -> None:
    case = FORMS.get(name) or NEAR_MISSES[name]
    for batch in (1, 3):
        check(case, batch)


def check(case: Case, batch: int) -> None:
    arrays = case.arrays(batch=batch)
    for name, array in arrays.items():
        if array.dtype == bool:
            arrays[name][0, 0, 1] = case.body.count("p, i, ") > 0  # a query that may look at nothing
    model = case.model()
    module = onnx_to_torch.build(model)
    wanted = in_onnxruntime(model, arrays)
    for form in (module, scripted(module)):
        np.testing.assert_allclose(in_torch(form, arrays), wanted, rtol=2e-5, atol=2e-6)
    if case.opset < 13 and "Softmax" in case.body:
        return  # the reference takes a softmax of an old opset for one along a single axis
    double = case.model("double")
    wide = {name: array if array.dtype == bool else array.astype(np.float64) for name, array in arrays.items()}
    with np.errstate(invalid="ignore"):
        wanted = ReferenceEvaluator(double).run(None, wide)[0]
    # the reference has Erf in float32, and attributes such as slopes are float32 everywhere
    np.testing.assert_allclose(in_torch(onnx_to_torch.build(double), wide), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_stays(name: str) -> None:
    case = NEAR_MISSES[name]
    assert recognised(case.model())[1] == Counter(case.found)


@pytest.mark.parametrize("name", FORMS)
def test_a_file_only_gets_operators_of_its_opset(name: str) -> None:
    case = FORMS[name]
    model = case.model()
    graph, counts = recognised(model, for_file=True)
    known = {rule for rule, row in patterns.PATTERNS.items() if row.since is not None and row.since <= case.opset}
    assert set(counts) <= known
    written = ir.to_proto(graph)
    onnx.checker.check_model(written, full_check=True)
    arrays = case.arrays()
    np.testing.assert_allclose(in_onnxruntime(written, arrays), in_onnxruntime(model, arrays), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", [name for name, case in FORMS.items() if "axes = " not in case.body])
def test_newer_files_get_newer_operators(name: str) -> None:
    case = FORMS[name]
    newer = Case(case.body, case.inputs, case.output, case.weights, 23, case.found)
    graph, counts = recognised(newer.model("double"), for_file=True)
    assert set(counts) == {rule for rule in case.found if (patterns.PATTERNS[rule].since or 99) <= 23}
    arrays = case.arrays("double")
    # epsilons and slopes are float32 attributes, whatever the tensors are
    with np.errstate(invalid="ignore"):
        wanted = ReferenceEvaluator(newer.model("double")).run(None, arrays)[0]
        np.testing.assert_allclose(ReferenceEvaluator(ir.to_proto(graph)).run(None, arrays)[0], wanted, 1e-5, 1e-6)


def test_every_pattern_has_forms_and_near_misses() -> None:
    spelled = {found for case in FORMS.values() for found in case.found}
    assert spelled == set(patterns.PATTERNS)
    assert all(row.form for row in patterns.PATTERNS.values())


def test_only_what_is_asked_for() -> None:
    model = FORMS["gelu, divided"].model()
    assert recognised(model, which=["Swish"])[1] == {}
    assert recognised(model, which=["Gelu"])[1] == {"Gelu": 1}


def test_weights_keep_their_names_and_bits() -> None:
    model = FORMS["layer norm over channels"].model()
    module = onnx_to_torch.build(model)
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    parameters = dict(module.named_parameters())
    assert set(parameters) == {"g", "b"}
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(parameter.detach().numpy(), stored[name])


def test_a_graph_whose_arithmetic_broadcasts_otherwise_is_left_alone() -> None:
    body = "p = MatMul (x, w) y = Add <broadcast = 1, axis = 1> (p, b)"
    model = Case(body, "x[B,4,8]", "y[B,4,4]", {"w": (8, 4), "b": (4,)}, opset=6).model()
    assert recognised(model)[1] == {}


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x + 1.0, x * 2.0, is_causal=True)


class ChannelsNorm(nn.Module):
    """Layer normalisation over the channels of images, as ConvNeXt has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(6) + 0.5), nn.Parameter(torch.rand(6))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        normal = centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * normal + self.bias[:, None, None]


class RootMeanSquare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class HardSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.relu6(x + 3) / 6


# What PyTorch's exporters write at opsets 17 and 18, where none of these operators is one node yet.
WRITTEN = {
    "Gelu": nn.GELU(), "GroupNormalization": nn.GroupNorm(3, 6), "HardSwish": HardSwish(),
    "LayerNormalization": ChannelsNorm(), "RMSNormalization": RootMeanSquare(),
    "ScaledDotProductAttention": Attention(), "Swish": nn.SiLU(),
}  # fmt: skip


@pytest.mark.parametrize("exporter", [older_onnx, newer_onnx])
@pytest.mark.parametrize("name", WRITTEN)
def test_what_exporters_write_is_recognised(name: str, exporter: Callable[..., onnx.ModelProto]) -> None:
    model, x = WRITTEN[name].eval(), torch.randn(2, 6, 5, 8, generator=torch.Generator().manual_seed(0))
    proto = exporter(model, x)
    assert recognised(proto)[1] == {name: 1}
    other = torch.randn(3, 6, 5, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(onnx_to_torch.build(proto)(other), model(other))


def test_products_of_integers_stay_what_a_runtime_knows() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]> g (int32[B,3] x) => (int32[B,2] y)
        <int32[3,2] w = {1, 2, 3, 4, 5, 6}, int32[2] b = {1, 2}> { p = MatMul (x, w) y = Add (p, b) }"""
    model = onnx.parser.parse_model(text)
    graph, counts = recognised(model, for_file=True)
    assert counts == {}
    given = {"x": np.array([[1, 2, 3]], np.int32)}
    assert np.array_equal(in_onnxruntime(ir.to_proto(graph), given), [[23, 30]])
