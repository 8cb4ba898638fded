"""Attention whose heads share keys: one operator, whoever spelled out the repeating, and nothing else taken for it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as nnf
from onnx import parser
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from exporters import onnx_to_torch, script_to_onnx
from exporters.graph import patterns
from exporters.graph.clean import clean
from tests.importers.test_patterns import scripted
from tests.importers.torch_models import quiet


def groups(model: onnx.ModelProto) -> list[int]:
    """How many heads share keys, for each attention that was recognised."""
    graph = clean(ir.from_proto(model))
    patterns.apply(graph)
    return [n.attributes["groups"].as_int() for n in graph.graph if n.op_type == "ScaledDotProductAttention"]


def repeated(x: Tensor, times: int) -> Tensor:
    """As transformers writes it."""
    batch, heads, length, size = x.shape
    return x[:, :, None].expand(batch, heads, times, length, size).reshape(batch, heads * times, length, size)


def asked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return nnf.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def widened(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    times = q.shape[1] // k.shape[1]
    return nnf.scaled_dot_product_attention(q, repeated(k, times), repeated(v, times), is_causal=True)


def interleaved(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    times = q.shape[1] // k.shape[1]
    return nnf.scaled_dot_product_attention(q, k.repeat_interleave(times, 1), v.repeat_interleave(times, 1))


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As transformers' eager attention, with a mask to be added."""
    times, length = q.shape[1] // k.shape[1], q.shape[2]
    far = torch.full((length, length), torch.finfo(q.dtype).min).triu(1)
    scores = torch.matmul(q, repeated(k, times).transpose(2, 3)) * q.shape[-1] ** -0.5 + far
    return torch.matmul(nnf.softmax(scores, -1, dtype=torch.float32).to(q.dtype), repeated(v, times))


class Block(nn.Module):
    """Projections, attention with `heads` heads that share `shared` keys, and the joining of its heads."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor], heads: int, shared: int, size: int) -> None:
        super().__init__()
        self.attend, self.sizes = attend, (heads, shared, size)
        width = (heads + 2 * shared) * size
        self.project = nn.Linear(size, width)

    def forward(self, x: Tensor) -> Tensor:
        heads, shared, size = self.sizes
        q, k, v = self.project(x).split([heads * size, shared * size, shared * size], -1)
        q, k, v = (part.view(*x.shape[:2], -1, size).transpose(1, 2) for part in (q, k, v))
        return self.attend(q, k, v).transpose(1, 2).reshape(*x.shape[:2], -1)


def older(model: nn.Module, x: Tensor) -> onnx.ModelProto:
    script_to_onnx.register()
    buffer = io.BytesIO()
    with quiet():
        torch.onnx.export(
            model, (x,), buffer, dynamo=False, opset_version=17, do_constant_folding=False, input_names=["x"],
            dynamic_axes={"x": {0: "batch", 1: "length"}},
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


def newer(model: nn.Module, x: Tensor) -> onnx.ModelProto:
    free = {axis: torch.export.Dim(name, min=1, max=64) for axis, name in enumerate(("batch", "length"))}
    with quiet():
        program = torch.onnx.export(model, (x,), dynamo=True, optimize=False, verbose=False, dynamic_shapes=(free,))
    assert program is not None
    return program.model_proto


WRITTEN = [(older, asked), (older, widened), (older, by_hand), (newer, asked), (newer, widened), (newer, interleaved)]


@pytest.mark.parametrize(("exporter", "attend"), WRITTEN, ids=lambda function: function.__name__)
def test_what_exporters_write_becomes_one_operator(
    exporter: Callable[..., onnx.ModelProto], attend: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    random = np.random.default_rng(len(exporter.__name__) + len(attend.__name__))
    shared, times, size = (int(number) for number in random.integers(2, 5, 3))
    torch.manual_seed(shared)
    model = Block(attend, shared * times, shared, 2 * size).eval()
    proto = exporter(model, torch.randn(2, 5, 2 * size))
    assert groups(proto) == [times]
    module = onnx_to_torch.build(proto).eval()
    for batch, length in ((1, 1), (3, 9)):
        x = torch.randn(batch, length, 2 * size)
        with torch.no_grad():
            for form in (module, scripted(module)):
                torch.testing.assert_close(form(x), model(x), rtol=1e-5, atol=1e-6)


def form(
    keys: int, times: int, length: int, *, wide: str = "1, 1, {t}, 1, 1", axis: int = 2, values: int | None = None,
    heads: int | None = None, count: int | None = None,
) -> onnx.ModelProto:  # fmt: skip
    """Attention in ONNX's own words, of `keys` heads repeated `times` times."""
    queries = heads if heads is not None else keys * times
    also = values or times
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[B,{queries},{length},4] q, float[B,{keys},{length},4] k, float[B,{keys * times // also},{length},4] v)
      => (float[B,{keys * times},{length},4] y) {{
      axis = Constant <value = int64[1] {{{axis}}}> ()
      wide = Constant <value = int64[5] {{{wide.format(t=times)}}}> ()
      also = Constant <value = int64[5] {{{wide.format(t=also)}}}> ()
      back = Constant <value = int64[4] {{0, {count or keys * times}, {length if count is None else -1}, 4}}> ()
      k5 = Unsqueeze (k, axis) kw = Expand (k5, wide) kr = Reshape (kw, back) kt = Transpose <perm = [0, 1, 3, 2]> (kr)
      v5 = Unsqueeze (v, axis) vw = Expand (v5, also) vr = Reshape (vw, back)
      s = MatMul (q, kt) w = Softmax <axis = -1> (s) y = MatMul (w, vr) }}"""
    return parser.parse_model(text)


def check(model: onnx.ModelProto, batch: int = 3) -> None:
    random = np.random.default_rng(batch)
    shapes = [[d.dim_value or batch for d in i.type.tensor_type.shape.dim] for i in model.graph.input]
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (wanted,) = session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})
    module = onnx_to_torch.build(model).eval()
    with torch.no_grad():
        found = module(*map(torch.from_numpy, arrays))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("seed", range(12))
def test_any_number_of_heads(seed: int) -> None:
    random = np.random.default_rng(seed)
    keys, times, length = (int(number) for number in random.integers(2, 6, 3))
    model = form(keys, times, length)
    assert groups(model) == [times]
    check(model)


NEAR_MISSES = {
    "heads in turn": form(3, 2, 4, axis=1, wide="1, {t}, 1, 1, 1"),
    "along the length": form(2, 2, 4, axis=3, wide="1, 1, 1, {t}, 1"),
    "along the batch": form(2, 2, 4, axis=1, wide="1, {t}, 1, 1, 1"),
    "keys and values differ": form(2, 6, 4, values=3),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_other_repeats_stay(name: str) -> None:
    assert groups(NEAR_MISSES[name]) == [1]
    check(NEAR_MISSES[name])


def test_one_head_of_queries_for_all() -> None:
    """A product would broadcast it, PyTorch's attention would not."""
    model = form(2, 3, 4, heads=1)
    assert groups(model) == [3]
    check(model)


def test_the_file_can_be_exported_again() -> None:
    """PyTorch's older exporter refuses shared heads on its own."""
    script_to_onnx.register()
    module = scripted(onnx_to_torch.build(form(2, 3, 4)).eval())
    example = tuple(torch.randn(2, heads, 4, 4) for heads in (6, 2, 2))
    buffer = io.BytesIO()
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, buffer, dynamo=False, opset_version=17, input_names=["q", "k", "v"])
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {n: t.numpy() for n, t in zip("qkv", example, strict=True)})
    np.testing.assert_allclose(found, module(*example).detach().numpy(), rtol=1e-5, atol=1e-6)


APART = ("float[B,6,4,8] q, float[B,2,4,8] k, float[B,2,4,3] v", "float[B,6,4,3] y")
BESIDE = ("float[B,4,48] q, float[B,4,16] k, float[B,4,6] v", "float[B,4,18] y")
NUMBERS = "q_num_heads = 6, kv_num_heads = 2"
OPERATORS = {
    "heads apart": (*APART, "<scale = 0.3> (q, k, v)"),
    "heads apart, causal": (*APART, "<is_causal = 1> (q, k, v)"),
    "heads side by side": (*BESIDE, f"<{NUMBERS}> (q, k, v)"),
    "heads side by side, causal": (*BESIDE, f"<{NUMBERS}, is_causal = 1, softmax_precision = 1> (q, k, v)"),
    "a condition": (APART[0] + ", bool[4,4] m", APART[1], "(q, k, v, m)"),
    "a mask to be added": (BESIDE[0] + ", float[B,1,4,4] m", BESIDE[1], f"<{NUMBERS}> (q, k, v, m)"),
}
MORE = {
    "a softcap": (*APART, "<softcap = 2.0> (q, k, v)"),
    "a mask, and causal": (APART[0] + ", bool[4,4] m", APART[1], "<is_causal = 1> (q, k, v, m)"),
    "several results": (APART[0], APART[1] + ", float[B,2,4,8] pk", "(q, k, v)"),
    "a cache": (
        APART[0] + ", float[B,2,2,8] pk, float[B,2,2,3] pv", APART[1], '(q, k, v, "", pk, pv)',
    ),
}  # fmt: skip


def operator(name: str) -> onnx.ModelProto:
    inputs, output, call = (OPERATORS | MORE)[name]
    call = call.replace('""', "")
    results = "y, pk" if "pk" in output else "y"
    return parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 23]> g ({inputs}) => ({output}) {{ {results} = Attention {call} }}'
    )


@pytest.mark.parametrize("name", [*OPERATORS, *MORE])
def test_the_operator_itself(name: str) -> None:
    model, random = operator(name), np.random.default_rng(len(name))
    assert groups(model) == ([3] if name in OPERATORS else [])
    arrays = {}
    for given in model.graph.input:
        shape = [size.dim_value or 3 for size in given.type.tensor_type.shape.dim]
        array = random.standard_normal(shape).astype(np.float32)
        is_condition = given.type.tensor_type.elem_type == onnx.TensorProto.BOOL
        arrays[given.name] = array > 0.3 if is_condition else array
    if "m" in arrays and arrays["m"].dtype == bool:
        arrays["m"][1] = False  # a query that may look at nothing
    with np.errstate(invalid="ignore"):
        wanted = ReferenceEvaluator(model).run(None, arrays)[0]
    module = onnx_to_torch.build(model).eval()
    for form in (module, scripted(module)):
        with torch.no_grad():
            found = form(*map(torch.from_numpy, arrays.values()))
        found = found[0] if isinstance(found, tuple) else found
        np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5, atol=2e-6)


def test_a_mask_of_fewer_keys_stays() -> None:
    inputs, output, _ = OPERATORS["a condition"]
    text = f'<ir_version: 10, opset_import: ["" : 23]> g ({inputs}) => ({output}) {{ y = Attention (q, k, v, m) }}'
    assert groups(parser.parse_model(text.replace("bool[4,4]", "bool[4,3]"))) == []
    assert groups(parser.parse_model(text.replace("bool[4,4]", "bool[2,4,4]"))) == []


def test_torch_export_follows_places_along_a_free_axis() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[B,L,8] x) => (float[B,L,8] y) {
      zero = Constant <value_int = 0> () one = Constant <value_int = 1> () axis = Constant <value_ints = [1]> ()
      sizes = Shape (x) length = Gather (sizes, one) places = Range (zero, length, one)
      counted = CastLike (places, x) upright = Unsqueeze (counted, axis) y = Add (x, upright) }"""
    module = onnx_to_torch.build(parser.parse_model(text)).eval()
    free = ({0: torch.export.Dim("B", min=1, max=8), 1: torch.export.Dim("L", min=1, max=32)},)
    program = torch.export.export(module, (torch.randn(2, 5, 8),), dynamic_shapes=free)
    x = torch.randn(3, 9, 8)
    torch.testing.assert_close(program.module()(x), x + torch.arange(9.0)[:, None])
