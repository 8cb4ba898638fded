"""A rebuilt language model goes through PyTorch's own exporters again: sizes, shared heads, masks and names."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import parser
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import fx

from exporters import onnx_to_torch, to_onnx, to_torchscript
from exporters.graph.clean import clean
from exporters.options import ExportOptions
from exporters.sources import opening
from exporters.sources import source as sources
from tests.importers.torch_models import quiet
from toolkit.contract import Contract
from toolkit.signature import Signature, TensorSpec

HEAD = '<ir_version: 10, opset_import: ["" : 23]>'
# Tokens and a mask of keys; two heads of queries share one of keys; the mask is looked up place by place, as
# transformers has it; weights are named as PyTorch's exporter names results.
DECODER = """
g (int64[batch, sequence] ids, int64[batch, sequence] mask) => (float[batch, sequence, 8] y)
<float[10, 8] val_0, float[8] scale, float[8, 8] val_1, float[8, 4] val_2, float[8, 4] mul, float[8, 8] add_1>
{
    x = Gather (val_0, ids)
    normal = RMSNormalization <epsilon = 1e-6> (x, scale)
    sizes = Shape (ids)
    zero = Constant <value_ints = [0]> ()
    one = Constant <value_ints = [1]> ()
    first = Gather (sizes, zero)
    second = Gather (sizes, one)
    parts = Constant <value_ints = [-1, 4]> ()
    apart = Concat <axis = 0> (first, second, parts)
    q = MatMul (normal, val_1)
    k = MatMul (normal, val_2)
    v = MatMul (normal, mul)
    qs = Reshape <allowzero = 1> (q, apart)
    ks = Reshape <allowzero = 1> (k, apart)
    vs = Reshape <allowzero = 1> (v, apart)
    qt = Transpose <perm = [0, 2, 1, 3]> (qs)
    kt = Transpose <perm = [0, 2, 1, 3]> (ks)
    vt = Transpose <perm = [0, 2, 1, 3]> (vs)
    true = Cast <to = 9> (mask)
    none = Constant <value_int = 0> ()
    single = Constant <value_int = 1> ()
    rows = Squeeze (first, zero)
    columns = Squeeze (second, zero)
    each_row = Range (none, rows, single)
    each_column = Range (none, columns, single)
    row_axes = Constant <value_ints = [1, 2, 3]> ()
    column_axes = Constant <value_ints = [0, 1, 2]> ()
    tall = Unsqueeze (each_row, row_axes)
    wide = Unsqueeze (each_column, column_axes)
    both = Max (tall, wide)
    shape = Shape (both)
    tall_all = Expand (tall, shape)
    wide_all = Expand (wide, shape)
    last = Constant <value_ints = [-1]> ()
    tall_places = Unsqueeze (tall_all, last)
    wide_places = Unsqueeze (wide_all, last)
    places = Concat <axis = -1> (tall_places, wide_places)
    seen = GatherND (true, places)
    zeros = Constant <value = float {0.0}> ()
    far = Constant <value = float {-3.4028235e38}> ()
    bias = Where (seen, zeros, far)
    attended = Attention (qt, kt, vt, bias)
    back = Transpose <perm = [0, 2, 1, 3]> (attended)
    flat = Constant <value_ints = [-1]> ()
    together = Concat <axis = 0> (first, second, flat)
    joined = Reshape <allowzero = 1> (back, together)
    out = MatMul (joined, add_1)
    y = Add (x, out)
}"""
SPECS = tuple(TensorSpec(name, "int64", ("batch", "sequence")) for name in ("ids", "mask"))
SIGNATURE = Signature(SPECS, (TensorSpec("y", "float32", ("batch", "sequence", 8)),))
EXAMPLE, OTHER = (2, 5), (3, 9)


@pytest.fixture(scope="module")
def decoder() -> onnx.ModelProto:
    model = parser.parse_model(f"{HEAD} {DECODER}")
    random = np.random.default_rng(0)
    for value in model.graph.value_info:
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim]
        array = random.standard_normal(sizes).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del model.graph.value_info[:]
    return model


@pytest.fixture(scope="module")
def module(decoder: onnx.ModelProto) -> fx.GraphModule:
    return onnx_to_torch.build(decoder).eval()


def tensors(sizes: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(sum(sizes))
    mask = torch.randint(0, 2, sizes, generator=random)
    mask[:, 0] = 1
    return torch.randint(0, 10, sizes, generator=random), mask


def in_onnxruntime(model: bytes, sizes: tuple[int, int]) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, (x.numpy() for x in tensors(sizes)), strict=True)))[0]


def newer(module: fx.GraphModule, _: Path) -> bytes:
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("sequence", min=1, max=64)}
    program = torch.onnx.export(module, tensors(EXAMPLE), None, dynamo=True, verbose=False, dynamic_shapes=(dims, dims))
    assert program is not None
    return program.model_proto.SerializeToString()


def older(module: fx.GraphModule, _: Path) -> bytes:
    axes = {name: {0: "batch", 1: "sequence"} for name in ("ids", "mask", "y")}
    file = io.BytesIO()
    torch.onnx.export(module, tensors(EXAMPLE), file, dynamo=False, input_names=["ids", "mask"], output_names=["y"],
                      dynamic_axes=axes, opset_version=18)  # fmt: skip
    return file.getvalue()


def from_torchscript(_: fx.GraphModule, folder: Path) -> bytes:
    """As the command exports the TorchScript file of the module."""
    path, target = folder / "model.pt", folder / "again.onnx"
    to_torchscript.from_onnx(folder / "model.onnx", path, SIGNATURE, Contract(), ExportOptions())
    described = sources.resolve(str(path))
    with opening.runner_of(described, "cpu", 1) as runner:
        (strategy,) = to_onnx.strategies(runner).values()
        strategy(runner, target, ExportOptions())
    return target.read_bytes()


@pytest.mark.parametrize("export", [newer, older, from_torchscript], ids=lambda one: one.__name__)
def test_a_decoder_can_be_exported_again(
    export: Callable[[fx.GraphModule, Path], bytes], decoder: onnx.ModelProto, module: fx.GraphModule, tmp_path: Path
) -> None:
    onnx.save(decoder, tmp_path / "model.onnx")
    with quiet():
        again = export(module, tmp_path)
    for sizes in (EXAMPLE, OTHER):
        with torch.no_grad():
            wanted = module(*tensors(sizes)).numpy()
        np.testing.assert_allclose(in_onnxruntime(again, sizes), wanted, rtol=1e-5, atol=1e-5)
        given = dict(zip(("ids", "mask"), (x.numpy() for x in tensors(sizes)), strict=True))
        source = onnx.reference.ReferenceEvaluator(decoder).run(None, given)[0]
        np.testing.assert_allclose(wanted, source, rtol=1e-5, atol=1e-5)


def test_torch_export_keeps_its_sizes_free(module: fx.GraphModule) -> None:
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("sequence", min=1, max=64)}
    with quiet():
        program = torch.export.export(module, tensors(EXAMPLE), dynamic_shapes=(dims, dims))
    torch.testing.assert_close(program.module()(*tensors(OTHER)), module(*tensors(OTHER)))


def test_no_weight_is_named_as_a_result_may_be(module: fx.GraphModule) -> None:
    names = {name for name, _ in module.named_parameters()}
    assert {"val_0_", "val_1_", "add_1_", "mul", "scale"} <= names
    assert module.meta["source_names"]["val_0_"] == "val_0"


def test_sizes_are_integers_in_the_code(module: fx.GraphModule) -> None:
    assert "ids.size(0)" in module.code
    for spelled in ("to_ints", "shape_shape", "tolist"):
        assert spelled not in module.code


@pytest.mark.parametrize("height", [1, 2, 7, 8])
def test_sizes_are_divided_towards_zero(height: int) -> None:
    body = """
        sizes = Shape <start = 0, end = 1> (x)
        two = Constant <value_ints = [2]> ()
        less = Sub (sizes, two)
        half = Div (less, two)
        four = Constant <value_ints = [4]> ()
        y = Slice (x, half, four)"""
    model = parser.parse_model(f"{HEAD} g (float[N, 2] x) => (float[M, 2] y) {{ {body} }}")
    x = np.arange(2 * height, dtype=np.float32).reshape(height, 2)
    wanted = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
    with quiet():
        found = torch.jit.script(onnx_to_torch.build(model))(torch.from_numpy(x))
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_a_branch_may_give_back_what_was_computed_outside() -> None:
    body = """
        twice = Add (x, x)
        y = If (c) <then_branch = a () => (float[2] p) { p = Identity (twice) },
                    else_branch = b () => (float[2] q) { n = Neg (twice) q = Identity (n) }>"""
    model = parser.parse_model(f"{HEAD} g (bool c, float[2] x) => (float[2] y) {{ {body} }}")
    cleaned = ir.to_proto(clean(ir.from_proto(model)))
    onnx.checker.check_model(cleaned)
    x = np.array([1.0, -2.0], np.float32)
    for branch, wanted in ((True, 2 * x), (False, -2 * x)):
        given = {"c": np.array(branch), "x": x}
        np.testing.assert_array_equal(onnx.reference.ReferenceEvaluator(cleaned).run(None, given)[0], wanted)
        found = onnx_to_torch.build(model)(torch.tensor(branch), torch.from_numpy(x))
        np.testing.assert_array_equal(found.numpy(), wanted)


def test_a_weight_that_is_moved_for_good_keeps_its_name() -> None:
    """PyTorch's exporter transposes the weights of linear layers and calls the results val_1, val_2 and so on."""
    source, moved = (ir.Value(name=name) for name in ("layer.weight", "val_1"))
    source.const_value = ir.tensor(np.arange(6, dtype=np.float32).reshape(2, 3), name=source.name)
    source.shape, source.dtype = ir.Shape([2, 3]), ir.DataType.FLOAT
    x = ir.Value(name="x", shape=ir.Shape(["batch", 3]), type=ir.TensorType(ir.DataType.FLOAT))
    turned = ir.Node("", "Transpose", [source], [ir.AttrInt64s("perm", [1, 0])], outputs=[moved])
    product = ir.node("MatMul", [x, moved])
    graph = ir.Graph([x], product.outputs, nodes=[turned, product], initializers=[source], opset_imports={"": 18})
    model = ir.Model(graph, ir_version=10)
    names = to_onnx._names_before_moving(model)
    to_onnx._name_moved(RemoveUnusedNodesPass()(to_onnx._moved(model)).model, names)
    assert list(graph.initializers) == ["layer.weight"]
    assert list(graph.initializers["layer.weight"].shape or ()) == [3, 2]


def test_resizing_and_mirroring_bind_no_size() -> None:
    """A whole scale keeps sizes whole, and a reflection asks nothing of them: PyTorch's exporter would bound them."""
    body = """
        halved = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
        pads = Constant <value_ints = [0, 0, 0, 1, 0, 0, 3, 2]> ()
        mirrored = Pad <mode = "reflect"> (halved, pads)
        scales = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
        y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
            (mirrored, , scales)"""
    model = parser.parse_model(f"{HEAD} g (float[N, 3, H, W] x) => (float[N, 4, A, B] y) {{ {body} }}")
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    module = onnx_to_torch.build(model).eval()
    free = {axis: torch.export.Dim(name, min=8, max=64) for axis, name in ((2, "height"), (3, "width"))}
    with quiet():
        program = torch.onnx.export(
            module, (torch.rand(2, 3, 21, 17),), None, dynamo=True, verbose=False, dynamic_shapes=(free,)
        )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for sizes in ((21, 17), (8, 12), (22, 23)):
        x = torch.rand(2, 3, *sizes)
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-5, atol=1e-5)
        source = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x.numpy()})[0]
        np.testing.assert_allclose(found, source, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("given", "kept"), [("scalar_tensor_default", False), ("add_tensor_1", False), ("head", True)])
def test_no_constant_is_named_as_a_form_of_an_operator(given: str, kept: bool) -> None:
    """PyTorch's exporter calls what it folds `scalar_tensor_default`, and later results too."""
    model = parser.parse_model(
        f"{HEAD} g (float[N] x) => (float[N] y) <float {given} = {{2.0}}> {{ y = Mul (x, {given}) }}"
    )
    names = [name for name, _ in onnx_to_torch.build(model).named_buffers()]
    assert names == [given if kept else f"{given}_"]
