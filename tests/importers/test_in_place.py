"""Where a result is overwritten, where it must not be, and that neither results, inputs nor gradients change."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
import torch
from onnx import parser

from exporters import onnx_to_torch

pytestmark = [
    pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning"),  # about nn.Module itself
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

RANDOM = np.random.default_rng(0)
SHAPES = {"w": (4, 4, 3, 3), "b": (4,), "v": (4,)}
CONV = "c = Conv <pads = [1, 1, 1, 1]> (x, w, b)"
MEAN = "ReduceMean <axes = [2, 3]>"
TO_LAST, TO_FIRST = "Transpose <perm = [0, 2, 3, 1]>", "Transpose <perm = [0, 3, 1, 2]>"
TURN = "Transpose <perm = [1, 0, 2, 3]>"

# what overwrites, in order; `= True` is the flag of `inplace`
OVERWRITTEN = {
    "relu": (f"{CONV} r = Relu (c) y = Tanh (r)", ["relu_"]),
    "clip": (f"{CONV} lo = Constant <value_float = 0.0> () y = Clip (c, lo)", ["clamp_"]),
    "swish": (f"{CONV} s = Sigmoid (c) y = Mul (c, s)", ["= True"]),
    "hard swish": (f"{CONV} y = HardSwish (c)", ["= True"]),
    "gelu": (f"{CONV} y = Gelu (c)", ["gelu_"]),
    "residual": (f"{CONV} a = Add (c, x) d = Conv <pads = [1, 1, 1, 1]> (a, w) e = Add (a, d) y = Relu (e)",
                 ["add_", "add_", "relu_"]),
    "a gate": (f"{CONV} s = HardSwish (c) m = {MEAN} (s) g = Sigmoid (m) y = Mul (g, s)",
               ["= True", "sigmoid_", "mul_"]),
    "normalised": (f"{CONV} n = BatchNormalization (c, b, b, b, v) z = Abs (n) k = Neg (c) y = Sub (n, k)", ["sub_"]),
    "a view": (f"{CONV} p = {TO_LAST} (c) r = Relu (p) y = {TO_FIRST} (r)", ["relu_"]),
}  # fmt: skip
KEPT = {
    "an input": "y = Relu (x)",
    "a view of an input": f"p = {TO_LAST} (x) r = Relu (p) y = {TO_FIRST} (r)",
    "read later": f"{CONV} r = Relu (c) m = Abs (c) y = Div (r, m)",
    "read before, and needed for gradients": f"{CONV} e = Exp (c) r = Relu (c) y = Max (r, e)",
    "a view that lives on": f"{CONV} p = {TURN} (c) r = Relu (c) q = {TURN} (p) y = Max (q, r)",
    "a smaller one": f"{CONV} m = {MEAN} (c) e = Exp (x) y = Sub (m, e)",
    "twice the same": f"{CONV} y = Mul (c, c)",
    "needed by its own gradient": f"{CONV} e = Exp (c) y = Sigmoid (e)",
    "an output too": f"{CONV} c2 = Tanh (c) y = Relu (c)",
}


def graph(body: str, more: str = "") -> onnx.ModelProto:
    opset = 20 if "Gelu" in body else 17
    text = f"""<ir_version: 9, opset_import: ["" : {opset}]>
        g (float[N, 4, 6, 7] x) => (float[N, 4, 6, 7] y{more}) {{ {body} }}"""
    proto = parser.parse_model(text)
    for name, shape in SHAPES.items():
        values = RANDOM.random(shape) + 0.5 if name == "v" else RANDOM.standard_normal(shape)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    return proto


def in_place(code: str) -> list[str]:
    """The names of the functions and methods that overwrite, and the flags that say so, in their order."""
    words = code.replace("(", " ").replace(")", " ").replace(".", " ").split()
    names = [word for word in words if word.endswith("_") and not word.startswith("_")]
    return names + ["= True"] * code.count("inplace = True")


def loaded(module):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def assert_same(proto: onnx.ModelProto) -> None:
    """Results, inputs and gradients, of the module and of its file, called again and again."""
    plain, fast = onnx_to_torch.build(proto), onnx_to_torch.build(proto, optimize=True)
    for module in (fast, loaded(fast)):
        for batch in (1, 2, 2, 2):
            x = torch.from_numpy(RANDOM.standard_normal((batch, 4, 6, 7)).astype(np.float32))
            given, other = x.clone().requires_grad_(), x.clone().requires_grad_()
            with torch.inference_mode():
                torch.testing.assert_close(module(x), plain(x), rtol=1e-5, atol=1e-5, equal_nan=True)
                torch.testing.assert_close(x, given, rtol=0, atol=0)
            results = [r[0] if isinstance(r, tuple) else r for r in (module(given + 0), plain(other + 0))]
            torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5, equal_nan=True)
            for result in results:
                result.nan_to_num().sum().backward()
            torch.testing.assert_close(given.grad, other.grad, rtol=1e-3, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("case", OVERWRITTEN)
def test_what_nobody_needs_is_overwritten(case):
    body, wanted = OVERWRITTEN[case]
    proto = graph(body)
    assert sorted(in_place(onnx_to_torch.build(proto, optimize=True).code)) == sorted(wanted)
    assert in_place(onnx_to_torch.build(proto).code) == []
    assert_same(proto)


@pytest.mark.parametrize("case", KEPT)
def test_what_somebody_needs_stays(case):
    proto = graph(KEPT[case], more=", float[N, 4, 6, 7] c" if case == "an output too" else "")
    assert in_place(onnx_to_torch.build(proto, optimize=True).code) == []
    if case != "an output too":
        assert_same(proto)


def test_an_output_that_is_read_stays_what_it_was():
    proto = graph(KEPT["an output too"], more=", float[N, 4, 6, 7] c")
    x = torch.from_numpy(RANDOM.standard_normal((2, 4, 6, 7)).astype(np.float32))
    found, wanted = (onnx_to_torch.build(proto, optimize=fast)(x) for fast in (True, False))
    torch.testing.assert_close(found, wanted)
    assert bool((found[1] < 0).any())


def test_sizes_may_be_unknown_where_nothing_is_broadcast():
    text = f"""<ir_version: 9, opset_import: ["" : 17]>
        g (float[N, 4, H, W] x, float[N, 4, h, w] z) => (float[N, 4, H, W] y)
        {{ {CONV} r = Relu (c) y = Add (r, z) }}"""
    proto = parser.parse_model(text)
    proto.graph.initializer.extend(graph(CONV).graph.initializer)
    assert in_place(onnx_to_torch.build(proto, optimize=True).code) == ["relu_"]
