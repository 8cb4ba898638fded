# ruff: noqa: E501 - a form reads best as the one line that it is
"""Forms that spell an operator, and near misses that do not; knows no framework.

`float` in a body stands for the dtype that the test asks for. Initializers are arrays of random numbers where a shape
is given, and scalars where a number is; those of one element stand there as written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    body: str
    inputs: str = "x[B,5,8]"
    output: str = "y[B,5,8]"
    weights: dict[str, tuple[int, ...] | float | list[float]] = field(default_factory=dict)
    opset: int = 13
    found: tuple[str, ...] = ()

    def model(self, dtype: str = "float") -> onnx.ModelProto:
        declared = ", ".join(_typed(part.strip(), dtype) for part in self.inputs.split(";"))
        outputs = ", ".join(_typed(part.strip(), dtype) for part in self.output.split(";"))
        proto = parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : {self.opset}]> g ({declared}) => ({outputs}) {{ {self.body} }}'
        )
        random = np.random.default_rng(len(self.body))
        kind = np.float32 if dtype == "float" else np.float64
        for name, wanted in self.weights.items():
            array = random.standard_normal(wanted) if isinstance(wanted, tuple) else np.array(wanted)
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array, kind), name))
        return proto

    def arrays(self, dtype: str = "float", batch: int = 3) -> dict[str, Array]:
        random = np.random.default_rng(batch)
        found = {}
        for part in self.inputs.split(";"):
            name, _, rest = part.strip().removeprefix("bool ").partition("[")
            shape = [batch if size == "B" else int(size) for size in rest.rstrip("]").split(",")]
            values = random.standard_normal(shape) * 2
            if part.strip().startswith("bool "):
                values = random.random(shape) > 0.3
                found[name] = values
            else:
                found[name] = values.astype(np.float32 if dtype == "float" else np.float64)
        return found


def _typed(part: str, dtype: str) -> str:
    kind, _, name = part.rpartition(" ")
    name, _, shape = name.partition("[")
    return f"{kind or dtype}[{shape} {name}"


def named(*names: str) -> tuple[str, ...]:
    return names


GELU = {"s": math.sqrt(2), "h": 0.5, "o": 1.0}
TANH = {"k": math.sqrt(2 / math.pi), "c": 0.044715, "h": 0.5, "o": 1.0, "three": 3.0}
NORM = {"e": 1e-5, "two": 2.0, "g": (8,), "b": (8,)}
CENTRED = "m = ReduceMean <axes = [-1]> (x) d = Sub (x, m) "
VARIANCE = CENTRED + "q = Mul (d, d) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) "
HEADS = {"inputs": "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]", "output": "y[B,2,4,3]"}
SCORES = "t = Transpose <perm = [0, 1, 3, 2]> (k) z = MatMul (q, t) "
SOFT = "w = Softmax <axis = -1> (n) y = MatMul (w, v)"
MASKED = {"inputs": "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]; bool p[B,1,4,5]", "output": "y[B,2,4,3]"}
FAR = {"f": -1e9, "i": -math.inf, "r": 0.35, "zero": 0.0}
GROUPED = "r = Reshape (x, sr) i = InstanceNormalization <epsilon = 0.001> (r, o, z) "
GROUPS: dict[str, Any] = {
    "inputs": "x[B,6,4,5]", "output": "y[B,6,4,5]", "weights": {"o": [1.0] * 3, "z": [0.0] * 3, "g": (6, 1, 1), "b": (6, 1, 1)},
}  # fmt: skip
LAST: dict[str, Any] = {
    "inputs": "x[B,4,5,6]",
    "output": "y[B,4,5,6]",
    "weights": {"e": 1e-3, "g": (3, 2), "b": (3, 2)},
}
PARTED = (
    "there = Constant <value = int64[5] {{0, 4, 5, {parts}}}> () back = Constant <value = int64[4] {{0, 4, 5, 6}}> () "
    "r = Reshape (x, there) m = ReduceMean <axes = [{axes}]> (r) d = Sub (r, m) q = Mul (d, d) "
    "v = ReduceMean <axes = [{axes}]> (q) a = Add (v, e) s = Sqrt (a) n = Div (d, s) "
)
HALVES = (
    "o = Constant <value = int64[1] {{0}}> () h = Constant <value = int64[1] {{{half}}}> () last = Constant <value = int64[1] {{-1}}> () "
    "far = Constant <value = int64[1] {{9223372036854775807}}> () f = Slice (x, o, h, last) l = Slice (x, h, far, last) "
)
PAIRS = (  # e and d are the even and the odd ones, n and m their negatives
    "o = Constant <value = int64[1] {{0}}> () h = Constant <value = int64[1] {{1}}> () last = Constant <value = int64[1] {{-1}}> () "
    "far = Constant <value = int64[1] {{9223372036854775807}}> () t = Constant <value = int64[1] {{{step}}}> () "
    "e = Slice (x, o, far, last, t) d = Slice (x, h, far, last, t) n = Neg (d) m = Neg (e) "
    "p = Unsqueeze ({second}, last) q = Unsqueeze ({first}, last) j = Concat <axis = -1> (p, q) w = Shape (x) r = Reshape (j, w) "
    "a = Mul (x, c) b = Mul (r, s) y = Add (a, b)"
)
TURNED: dict[str, Any] = {"inputs": "x[B,2,5,8]; c[B,1,5,8]; s[B,1,5,8]", "output": "y[B,2,5,8]"}
COUNTED = "z = Constant <value_int = 0> () o = Constant <value_int = 1> () sh = Shape (x) "
SHAPED = "sr = Constant <value = int64[3] {0, 3, -1}> () "

# name -> a form, with the operators that it spells.
FORMS: dict[str, Case] = {
    "places": Case(COUNTED + "n = Gather (sh, z) y = Range (z, n, o)", output="int64 y[B]", found=named("Places")),
    "places, sliced": Case(
        COUNTED + "s = Constant <value_ints = [-3]> () e = Constant <value_ints = [-2]> () p = Slice (sh, s, e) n = Squeeze (p) "
        "y = Range (z, n, o)", output="int64 y[B]", found=named("Places")),
    "rotary embedding": Case(
        HALVES.format(half=4) + "n = Neg (l) r = Concat <axis = -1> (n, f) a = Mul (x, c) b = Mul (r, s) y = Add (a, b)", **TURNED,
        found=named("RotateHalves")),
    "rotary embedding, split": Case(
        "f, l = Split <axis = 3> (x) n = Neg (l) r = Concat <axis = 3> (n, f) a = Mul (s, r) b = Mul (c, x) y = Add (a, b)", **TURNED,
        found=named("RotateHalves")),
    "rotary embedding, pairs": Case(PAIRS.format(second="n", first="e", step=2), **TURNED, found=named("RotatePairs")),
    "group norm, channels last": Case(
        PARTED.format(parts="3, 2", axes="1, 2, 4") + "u = Mul (n, g) w = Add (u, b) y = Reshape (w, back)", **LAST,
        found=named("ChannelsLastGroups", "GroupNormalization")),
    "group norm, channels last, regrouped": Case(
        PARTED.format(parts="3, 2", axes="1, 2, 4") + "i = Reciprocal (s) h = Mul (i, g) p = Mul (r, h) o = Neg (m) k = Mul (o, h) "
        "c = Add (k, b) w = Add (p, c) y = Reshape (w, back)", **LAST, found=named("ChannelsLastGroups", "GroupNormalization")),
    "group norm, channels last, bare": Case(
        PARTED.format(parts="3, 2", axes="1, 2, 4") + "y = Reshape (n, back)", **LAST,
        found=named("ChannelsLastGroups", "GroupNormalization")),
    "gelu, divided": Case("a = Div (x, s) f = Erf (a) p = Add (f, o) m = Mul (x, p) y = Mul (m, h)", weights=GELU,
                          found=named("Gelu")),
    "gelu, half first": Case("n = Mul (x, h) a = Div (x, s) f = Erf (a) p = Add (o, f) y = Mul (n, p)", weights=GELU,
                             found=named("Gelu")),
    "gelu, multiplied": Case("a = Mul (r, x) f = Erf (a) p = Add (f, o) m = Mul (p, h) y = Mul (m, x)",
                             weights=GELU | {"r": math.sqrt(0.5)}, found=named("Gelu")),
    "gelu, spread": Case("n = Mul (x, h) a = Div (x, s) f = Erf (a) m = Mul (f, n) y = Add (n, m)", weights=GELU,
                         found=named("Gelu")),
    "gelu, complement": Case("n = Mul (h, x) m = Neg (x) a = Mul (m, r) f = Erf (a) p = Sub (o, f) y = Mul (n, p)",
                             weights=GELU | {"r": math.sqrt(0.5)}, found=named("Gelu")),
    "gelu, complement of a negative factor": Case("n = Mul (h, x) a = Mul (x, r) f = Erf (a) p = Sub (o, f) y = Mul (n, p)",
                                                  weights=GELU | {"r": -math.sqrt(0.5)}, found=named("Gelu")),
    "gelu of a product": Case(
        "u = Mul (x, x2) a = Div (u, s) f = Erf (a) p = Add (f, o) m = Mul (u, p) y = Mul (m, h)",
        inputs="x[B,5,8]; x2[B,5,8]", weights=GELU, found=named("Gelu")),
    "gelu, tanh": Case(
        "p = Pow (x, three) c1 = Mul (p, c) a = Add (x, c1) k1 = Mul (a, k) t = Tanh (k1) u = Add (t, o) v = Mul (x, u) y = Mul (v, h)",
        weights=TANH, found=named("Gelu")),
    "gelu, tanh, factored": Case(
        "p = Mul (x, x) c1 = Mul (c, p) a = Add (o, c1) k1 = Mul (x, k) k2 = Mul (k1, a) t = Tanh (k2) "
        "u = Add (o, t) n = Mul (h, x) y = Mul (n, u)", weights=TANH, found=named("Gelu")),
    "swish": Case("s = Sigmoid (x) y = Mul (s, x)", found=named("Swish")),
    "swish, quick": Case("a = Mul (x, q) s = Sigmoid (a) y = Mul (x, s)", weights={"q": 1.702}, found=named("Swish")),
    "mish": Case("s = Softplus (x) t = Tanh (s) y = Mul (x, t)", found=named("Mish")),
    "hard swish": Case("a = Add (x, t) c = Clip (a, z, u) m = Mul (x, c) y = Div (m, u)",
                       weights={"t": 3.0, "z": 0.0, "u": 6.0}, found=named("HardSwish")),
    "hard swish by min and relu": Case("a = Add (t, x) r = Relu (a) c = Min (r, u) d = Div (c, u) y = Mul (d, x)",
                                       weights={"t": 3.0, "u": 6.0}, found=named("HardSwish")),
    "hard swish by a hard sigmoid": Case("s = HardSigmoid <alpha = 0.16666667> (x) y = Mul (x, s)",
                                         found=named("HardSwish")),
    "hard sigmoid": Case("a = Add (x, t) c = Clip (a, z, u) y = Div (c, u)", weights={"t": 3.0, "z": 0.0, "u": 6.0},
                         found=named("HardSigmoid")),
    "relu6": Case("r = Relu (x) y = Min (r, u)", weights={"u": 6.0}, found=named("Clip")),
    "clip": Case("r = Max (l, x) y = Min (r, u)", weights={"u": 1.0, "l": -1.0}, found=named("Clip")),
    "layer norm": Case(VARIANCE + "n = Div (d, s) u = Mul (n, g) y = Add (u, b)", weights=NORM,
                       found=named("LayerNormalization")),
    "layer norm, pow, no bias": Case(
        CENTRED + "q = Pow (d, two) v = ReduceMean <axes = [2]> (q) a = Add (e, v) s = Sqrt (a) r = Reciprocal (s) "
        "n = Mul (d, r) y = Mul (g, n)", weights=NORM, found=named("LayerNormalization")),
    "layer norm, bare": Case(VARIANCE + "y = Div (d, s)", weights=NORM, found=named("LayerNormalization")),
    "layer norm, opset 18": Case(
        "ax = Constant <value = int64[1] {-1}> () m = ReduceMean (x, ax) d = Sub (x, m) q = Mul (d, d) "
        "v = ReduceMean (q, ax) a = Add (v, e) s = Sqrt (a) n = Div (d, s) u = Mul (n, g) y = Add (u, b)",
        weights=NORM, opset=18, found=named("LayerNormalization")),
    "layer norm, regrouped": Case(
        VARIANCE + "r = Reciprocal (s) i = Mul (r, g) p = Mul (x, i) o = Mul (m, i) c = Sub (b, o) y = Add (p, c)",
        weights=NORM, found=named("LayerNormalization")),
    "layer norm, two axes": Case(
        "m = ReduceMean <axes = [1, 2]> (x) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes = [1, 2]> (q) "
        "a = Add (v, e) s = Sqrt (a) n = Div (d, s) y = Mul (n, g)", weights=NORM | {"g": (5, 8)},
        found=named("LayerNormalization")),
    "layer norm over channels": Case(
        "m = ReduceMean <axes = [1]> (x) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes = [1]> (q) "
        "a = Add (v, e) s = Sqrt (a) n = Div (d, s) u = Mul (n, g) y = Add (u, b)",
        weights=NORM | {"g": (5, 1), "b": (5, 1)}, found=named("LayerNormalization")),
    "layer norm, scaled by an input": Case(VARIANCE + "n = Div (d, s) y = Mul (n, z)", inputs="x[B,5,8]; z[B,5,8]",
                                           weights=NORM, found=named("LayerNormalization")),
    "instance norm": Case(
        "m = ReduceMean <axes = [2, 3]> (x) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes = [2, 3]> (q) "
        "a = Add (v, e) s = Sqrt (a) n = Div (d, s) u = Mul (n, g) y = Add (u, b)",
        inputs="x[B,6,4,5]", output="y[B,6,4,5]", weights=NORM | {"g": (6, 1, 1), "b": (6, 1, 1)},
        found=named("InstanceNormalization")),
    "rms norm": Case("q = Pow (x, two) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) n = Div (x, s) y = Mul (g, n)",
                     weights=NORM, found=named("RMSNormalization")),
    "rms norm, reciprocal": Case(
        "q = Mul (x, x) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) r = Reciprocal (s) y = Mul (x, r)",
        weights=NORM, found=named("RMSNormalization")),
    "attention by einsum": Case(
        'z = Einsum <equation = "bqhd,bkhd->bhqk"> (q, k) n = Mul (z, r) w = Softmax <axis = -1> (n) y = Einsum <equation = "bhqk,bkhd->bqhd"> (w, v)',
        inputs="q[B,4,2,8]; k[B,5,2,8]; v[B,5,2,3]", output="y[B,4,2,3]", weights={"r": 0.35},
        found=named("Einsum", "Einsum", "ScaledDotProductAttention")),
    "linear by einsum": Case('p = Einsum <equation = "btd,df->btf"> (x, w) y = Add (p, b)', output="y[B,5,6]",
                             weights={"w": (8, 6), "b": (6,)}, found=named("Einsum", "Linear")),
    "group norm": Case(SHAPED + GROUPED + "sh = Shape (x) n = Reshape (i, sh) u = Mul (n, g) y = Add (u, b)",
                       **GROUPS, found=named("GroupNormalization")),
    "group norm, bare": Case(SHAPED + GROUPED + "sh = Shape (x) y = Reshape (i, sh)", **GROUPS,
                             found=named("GroupNormalization")),
    "group norm, spelled out": Case(
        SHAPED + "r = Reshape (x, sr) m = ReduceMean <axes = [2]> (r) d = Sub (r, m) q = Mul (d, d) "
        "v = ReduceMean <axes = [2]> (q) a = Add (v, e) s = Sqrt (a) i = Div (d, s) sh = Shape (x) n = Reshape (i, sh) "
        "u = Mul (n, g) y = Add (u, b)", inputs="x[B,6,4,5]", output="y[B,6,4,5]",
        weights={"e": 1e-5, "g": (6, 1, 1), "b": (6, 1, 1)}, found=named("GroupNormalization")),
    "product of more dimensions": Case(
        "i = Constant <value = int64[2] {-1, 8}> () o = Constant <value = int64[3] {-1, 5, 4}> () "
        "f = Reshape (x, i) p = MatMul (f, w) y = Reshape (p, o)",
        output="y[B,5,4]", weights={"w": (8, 4)}, found=named("MatMul")),
    "gemm": Case("p = MatMul (x, w) y = Add (p, b)", "x[B,8]", "y[B,4]", {"w": (8, 4), "b": (4,)}, found=named("Gemm")),
    "linear": Case("p = MatMul (x, w) y = Add (b, p)", output="y[B,5,4]", weights={"w": (8, 4), "b": (4,)},
                   found=named("Linear")),
    "linear, transposed": Case("t = Transpose <perm = [1, 0]> (w) p = MatMul (x, t) y = Add (p, b)", output="y[B,5,4]",
                               weights={"w": (4, 8), "b": (4,)}, found=named("Linear")),
    "attention": Case(SCORES + "n = Mul (z, r) " + SOFT, **HEADS, weights=FAR,
                      found=named("ScaledDotProductAttention")),
    "attention, bare": Case(SCORES + "n = Identity (z) " + SOFT, **HEADS, found=named("ScaledDotProductAttention")),
    "attention, divided": Case(SCORES + "n = Div (z, r) " + SOFT, **HEADS, weights=FAR,
                               found=named("ScaledDotProductAttention")),
    "attention, scaled on both": Case(
        "q2 = Mul (q, r) k2 = Mul (k, r) t = Transpose <perm = [0, 1, 3, 2]> (k2) n = MatMul (q2, t) " + SOFT, **HEADS,
        weights=FAR, found=named("ScaledDotProductAttention")),
    "attention, keys turned once": Case(
        "t = Transpose <perm = [0, 2, 3, 1]> (k) n = MatMul (q, t) " + SOFT,
        "q[B,2,4,8]; k[B,5,2,8]; v[B,2,5,3]", "y[B,2,4,3]", found=named("ScaledDotProductAttention")),
    "attention, keys as they are": Case("n = MatMul (q, k) " + SOFT, "q[B,2,4,8]; k[B,2,8,5]; v[B,2,5,3]", "y[B,2,4,3]",
                                        found=named("ScaledDotProductAttention")),
    "attention, three dimensions": Case(
        "t = Transpose <perm = [0, 2, 1]> (k) z = MatMul (q, t) u = Mul (z, r) n = Add (u, p) " + SOFT,
        "q[B,4,8]; k[B,5,8]; v[B,5,3]; p[B,4,5]", "y[B,4,3]", FAR, found=named("ScaledDotProductAttention")),
    "attention, heads that share keys": Case(
        "two = Constant <value = int64[1] {2}> () wide = Constant <value = int64[5] {1, 1, 3, 1, 1}> () "
        "back = Constant <value = int64[4] {0, 6, 5, -1}> () k5 = Unsqueeze (k, two) kw = Expand (k5, wide) "
        "kr = Reshape (kw, back) v5 = Unsqueeze (v, two) vw = Expand (v5, wide) vr = Reshape (vw, back) "
        "t = Transpose <perm = [0, 1, 3, 2]> (kr) z = MatMul (q, t) n = Mul (z, r) w = Softmax <axis = -1> (n) y = MatMul (w, vr)",
        "q[B,6,4,8]; k[B,2,5,8]; v[B,2,5,3]", "y[B,6,4,3]", FAR, found=named("ScaledDotProductAttention")),
    "attention, keys turned in three dimensions": Case(
        "flat = Constant <value = int64[3] {-1, 5, 8}> () sizes = Shape (k) some = Constant <value = int64[4] {0, 1, 3, 2}> () "
        "k3 = Reshape (k, flat) t3 = Transpose <perm = [0, 2, 1]> (k3) back = Gather (sizes, some) t = Reshape (t3, back) "
        "z = MatMul (q, t) n = Mul (z, r) " + SOFT, **HEADS, weights=FAR, found=named("ScaledDotProductAttention")),
    "attention, mask added": Case(SCORES + "u = Mul (z, r) n = Add (u, p) " + SOFT, "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]; p[4,5]",
                                  "y[B,2,4,3]", FAR, found=named("ScaledDotProductAttention")),
    "attention, two masks added": Case(
        SCORES + "u = Add (p, z) n = Add (u, o) " + SOFT, "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]; p[B,1,4,5]; o[2,1,5]",
        "y[B,2,4,3]", FAR, found=named("ScaledDotProductAttention")),
    "attention, condition": Case(SCORES + "u = Mul (z, r) n = Where (p, u, i) " + SOFT, **MASKED, weights=FAR,
                                 found=named("ScaledDotProductAttention")),
    "attention, condition the other way": Case(SCORES + "o = Not (p) u = Mul (z, r) n = Where (o, i, u) " + SOFT, **MASKED,
                                               weights=FAR, found=named("ScaledDotProductAttention")),
    "attention, what to leave out": Case(SCORES + "n = Where (p, i, z) " + SOFT, **MASKED, weights=FAR,
                                         found=named("ScaledDotProductAttention")),
    "attention, far away": Case(SCORES + "u = Mul (z, r) n = Where (p, u, f) " + SOFT, **MASKED, weights=FAR,
                                found=named("ScaledDotProductAttention")),
    "attention, bias and condition": Case(
        SCORES + "u = Add (z, o) n = Where (p, u, i) " + SOFT, MASKED["inputs"] + "; o[4,5]", "y[B,2,4,3]", FAR,
        found=named("ScaledDotProductAttention")),
    "attention, empty rows to zero": Case(
        SCORES + "u = Where (p, z, i) n = Softmax <axis = 3> (u) w0 = IsNaN (n) w = Where (w0, zero, n) y = MatMul (w, v)",
        **MASKED, weights=FAR, found=named("ScaledDotProductAttention")),
    "mean over one axis after the other": Case(
        "m = ReduceMean <axes = [3]> (x) y = ReduceMean <axes = [2]> (m)", "x[B,3,4,5]", "y[B,3,1,1]", found=named("ReduceMean")),
    "mean whose axes are inputs": Case(
        "a = Constant <value_ints = [3]> () b = Constant <value_ints = [1]> () m = ReduceMean (x, a) y = ReduceMean (m, b)",
        "x[B,3,4,5]", "y[B,1,4,1]", opset=18, found=named("ReduceMean")),
    "sum over one axis after the other": Case(
        "a = Constant <value_ints = [1]> () b = Constant <value_ints = [1]> () m = ReduceSum <keepdims = 0> (x, a) "
        "y = ReduceSum <keepdims = 0> (m, b)", "x[B,3,4,5]", "y[B,5]", found=named("ReduceSum")),
    "mean taken twice": Case(
        CENTRED + "n = ReduceMean <axes = [-1]> (d) y = Add (n, m)", output="y[B,5,1]", found=named("MeanTwice")),
    "mean taken twice, its axes inputs": Case(
        "a = Constant <value_ints = [1]> () m = ReduceMean (x, a) d = Sub (x, m) n = ReduceMean (d, a) y = Add (m, n)",
        output="y[B,1,8]", opset=18, found=named("MeanTwice")),
}  # fmt: skip

# name -> something close to a form that must stay as it is.
NEAR_MISSES: dict[str, Case] = {
    "mean of a sum": Case("m = ReduceMean <axes = [3]> (x) a = Constant <value_ints = [2]> () y = ReduceSum (m, a)",
                          "x[B,3,4,5]", "y[B,3,1,1]"),
    "mean taken twice along two axes": Case(
        CENTRED + "n = ReduceMean <axes = [1]> (d) y = Add (n, m)"),
    "mean added to what is left of another": Case(
        "m = ReduceMean <axes = [-1]> (x) d = Sub (z, m) n = ReduceMean <axes = [-1]> (d) y = Add (n, m)",
        "x[B,5,8]; z[B,5,8]", "y[B,5,1]"),
    "mean that keeps one axis of two": Case(
        "m = ReduceMean <axes = [3]> (x) y = ReduceMean <axes = [2], keepdims = 0> (m)", "x[B,3,4,5]", "y[B,3,1]"),
    "mean whose rows are read": Case(
        "m = ReduceMean <axes = [3]> (x) y = ReduceMean <axes = [2]> (m)", "x[B,3,4,5]", "y[B,3,1,1]; m[B,3,4,1]"),
    "gelu with another half": Case(FORMS["gelu, divided"].body, weights=GELU | {"h": 0.4999}),
    "gelu with another root": Case(FORMS["gelu, divided"].body, weights=GELU | {"s": 1.4143}),
    "gelu with another one": Case(FORMS["gelu, divided"].body, weights=GELU | {"o": 1.001}),
    "gelu of two tensors": Case("a = Div (z, s) f = Erf (a) p = Add (f, o) m = Mul (x, p) y = Mul (m, h)",
                                "x[B,5,8]; z[B,5,8]", weights=GELU),
    "gelu subtracted": Case("a = Div (x, s) f = Erf (a) p = Sub (o, f) m = Mul (x, p) y = Mul (m, h)", weights=GELU),
    "gelu read inside": Case(FORMS["gelu, divided"].body, output="y[B,5,8]; f[B,5,8]", weights=GELU),
    "gelu that gains a dimension": Case(FORMS["gelu, divided"].body, "x[8]", "y[1,8]", GELU | {"h": [[0.5]]}),
    "gelu, tanh, another coefficient": Case(FORMS["gelu, tanh"].body, weights=TANH | {"c": 0.0447}),
    "gelu, tanh, squared": Case(FORMS["gelu, tanh"].body, weights=TANH | {"three": 2.0}),
    "swish of two tensors": Case("s = Sigmoid (z) y = Mul (s, x)", "x[B,5,8]; z[B,5,8]"),
    "swish with a shift": Case("a = Add (x, q) s = Sigmoid (a) y = Mul (x, s)", weights={"q": 1.0}),
    "swish read inside": Case("s = Sigmoid (x) y = Mul (s, x)", output="y[B,5,8]; s[B,5,8]"),
    "mish of two tensors": Case("s = Softplus (z) t = Tanh (s) y = Mul (x, t)", "x[B,5,8]; z[B,5,8]"),
    "hard swish up to 5": Case(FORMS["hard swish"].body, weights={"t": 3.0, "z": 0.0, "u": 5.0}),
    "hard swish moved by 2.5": Case(FORMS["hard swish"].body, weights={"t": 2.5, "z": 0.0, "u": 6.0}),
    "hard swish by the default hard sigmoid": Case("s = HardSigmoid (x) y = Mul (x, s)"),
    "clip of two tensors": Case("r = Max (x, l) y = Min (r, u)", "x[B,5,8]; l[B,5,8]", weights={"u": 1.0}),
    "clip upside down": Case("r = Max (x, l) y = Min (r, u)", weights={"u": -1.0, "l": 1.0}),
    "layer norm, epsilon behind the root": Case(
        CENTRED + "q = Mul (d, d) v = ReduceMean <axes = [-1]> (q) s = Sqrt (v) a = Add (s, e) y = Div (d, a)",
        weights=NORM),
    "layer norm without epsilon": Case(
        CENTRED + "q = Mul (d, d) s0 = ReduceMean <axes = [-1]> (q) s = Sqrt (s0) y = Div (d, s)", weights=NORM),
    "layer norm, another axis": Case(
        CENTRED + "q = Mul (d, d) v = ReduceMean <axes = [1]> (q) a = Add (v, e) s = Sqrt (a) y = Div (d, s)",
        weights=NORM),
    "layer norm, a dimension lost": Case(
        "m = ReduceMean <axes = [1], keepdims = 0> (x) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes = [1], keepdims = 0> (q) "
        "a = Add (v, e) s = Sqrt (a) y = Div (d, s)", "x[8,8]", "y[8,8]", NORM),
    "layer norm, cubed": Case(CENTRED + "q = Pow (d, three) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) y = Div (d, s)",
                              weights=NORM | {"three": 3.0}),
    "layer norm of another mean": Case(
        "m = ReduceMean <axes = [-1]> (z) d = Sub (x, m) q = Mul (d, d) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) "
        "s = Sqrt (a) y = Div (d, s)", "x[B,5,8]; z[B,5,8]", weights=NORM, found=named("RMSNormalization")),
    "layer norm, not centred above": Case(VARIANCE + "y = Div (x, s)", weights=NORM),
    "layer norm, sum for mean": Case(
        CENTRED + "q = Mul (d, d) ax = Constant <value = int64[1] {-1}> () v = ReduceSum (q, ax) a = Add (v, e) s = Sqrt (a) y = Div (d, s)",
        weights=NORM),
    "layer norm read inside": Case(VARIANCE + "y = Div (d, s)", output="y[B,5,8]; s[B,5,1]", weights=NORM),
    "rms norm, epsilon behind the root": Case(
        "q = Mul (x, x) v = ReduceMean <axes = [-1]> (q) s = Sqrt (v) a = Add (s, e) y = Div (x, a)", weights=NORM),
    "rms norm, another axis": Case(
        "q = Mul (x, x) v = ReduceMean <axes = [1]> (q) a = Add (v, e) s = Sqrt (a) y = Div (x, s)", weights=NORM),
    "rms norm of two tensors": Case(
        "q = Mul (x, x) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) y = Div (z, s)",
        "x[B,5,8]; z[B,5,8]", weights=NORM),
    "rms norm, twice": Case(
        "q = Mul (x, x) v = ReduceMean <axes = [-1]> (q) a = Add (v, e) s = Sqrt (a) n = Div (x, s) y = Mul (n, two)",
        output="y[B,5,8]; n[B,5,8]", weights=NORM, found=named("RMSNormalization")),
    "group norm, not restored": Case(
        SHAPED + GROUPED + "back = Constant <value = int64[4] {0, 6, 5, 4}> () y = Reshape (i, back)",
        inputs="x[B,6,4,5]", output="y[B,6,5,4]", weights=GROUPS["weights"]),
    "group norm, samples joined": Case(
        "sr = Constant <value = int64[3] {1, 3, -1}> () " + GROUPED + "sh = Shape (x) y = Reshape (i, sh)", **GROUPS),
    "group norm, scaled in between": Case(
        SHAPED + GROUPED + "sh = Shape (x) y = Reshape (i, sh)", inputs="x[B,6,4,5]", output="y[B,6,4,5]",
        weights={"o": [1.0, 2.0, 1.0], "z": [0.0] * 3}),
    "group norm, channels last, groups in turn": Case(
        PARTED.format(parts="2, 3", axes="1, 2, 3") + "y = Reshape (n, back)", **LAST),
    "group norm, channels last, of one place": Case(
        PARTED.format(parts="3, 2", axes="1, 4") + "y = Reshape (n, back)", **LAST),
    "group norm, channels last, joined otherwise": Case(
        (PARTED.format(parts="3, 2", axes="1, 2, 4") + "y = Reshape (n, back)").replace("0, 4, 5, 6", "0, 5, 4, 6"),
        **LAST | {"output": "y[B,5,4,6]"}),
    "group norm, channels last, scaled per place": Case(
        PARTED.format(parts="3, 2", axes="1, 2, 4") + "w = Mul (n, g) y = Reshape (w, back)",
        **LAST | {"weights": LAST["weights"] | {"g": (5, 1, 1)}}),
    "rotary embedding, other half negated": Case(
        HALVES.format(half=4) + "n = Neg (f) r = Concat <axis = -1> (l, n) a = Mul (x, c) b = Mul (r, s) y = Add (a, b)", **TURNED),
    "rotary embedding, halves in place": Case(
        HALVES.format(half=4) + "n = Neg (f) r = Concat <axis = -1> (n, l) a = Mul (x, c) b = Mul (r, s) y = Add (a, b)", **TURNED),
    "rotary embedding, parted elsewhere": Case(
        HALVES.format(half=3) + "n = Neg (l) r = Concat <axis = -1> (n, f) a = Mul (x, c) b = Mul (r, s) y = Add (a, b)", **TURNED),
    "rotary embedding, of two tensors": Case(
        HALVES.format(half=4) + "n = Neg (l) r = Concat <axis = -1> (n, f) a = Mul (z, c) b = Mul (r, s) y = Add (a, b)",
        TURNED["inputs"] + "; z[B,2,5,8]", "y[B,2,5,8]"),
    "rotary embedding, one sine for all": Case(
        HALVES.format(half=4) + "n = Neg (l) r = Concat <axis = -1> (n, f) a = Mul (x, c) b = Mul (r, s) y = Add (a, b)",
        "x[B,2,5,8]; c[B,1,5,8]; s[B,1,5,1]", "y[B,2,5,8]"),
    "rotary embedding, first of a pair negated": Case(PAIRS.format(second="m", first="d", step=2), **TURNED),
    "rotary embedding, pairs exchanged": Case(PAIRS.format(second="e", first="n", step=2), **TURNED),
    "rotary embedding, pairs twice the same": Case(PAIRS.format(second="n", first="d", step=2), **TURNED),
    "places, from one on": Case(COUNTED + "n = Gather (sh, z) y = Range (o, n, o)", output="int64 y[N]"),
    "places, of a sum": Case(COUNTED + "n = Gather (sh, z) m = Add (n, o) y = Range (z, m, o)", output="int64 y[N]"),
    "places, every other": Case(
        COUNTED + "t = Constant <value_int = 2> () n = Gather (sh, z) y = Range (z, n, t)", output="int64 y[N]"),
    "gemm, bias along the batch": Case("p = MatMul (x, w) y = Add (p, b)", "x[4,8]", "y[4,4]", {"w": (8, 4), "b": (4, 1)}),
    "product of other rows": Case(
        "i = Constant <value = int64[2] {-1, 16}> () o = Constant <value = int64[3] {-1, 2, 8}> () "
        "f = Reshape (x, i) p = MatMul (f, w) y = Reshape (p, o)", "x[B,4,8]", "y[B,2,8]", {"w": (16, 8)}),
    "product that exchanges two sizes": Case(
        "i = Constant <value = int64[2] {-1, 8}> () o = Constant <value = int64[4] {-1, 3, 2, 4}> () "
        "f = Reshape (x, i) p = MatMul (f, w) y = Reshape (p, o)", "x[B,2,3,8]", "y[B,3,2,4]", {"w": (8, 4)}),
    "linear, bias too long": Case("p = MatMul (x, w) y = Add (p, b)", output="y[B,5,4]", weights={"w": (8, 1), "b": (4,)}),
    "linear, no weight": Case("p = MatMul (x, w) y = Add (p, b)", "x[B,5,8]; w[8,4]", "y[B,5,4]", {"b": (4,)}),
    "attention, softmax along queries": Case(SCORES + "w = Softmax <axis = -2> (z) y = MatMul (w, v)", **HEADS),
    "attention, softmax over two axes": Case(SCORES + "w = Softmax <axis = 2> (z) y = MatMul (w, v)", **HEADS, opset=12),
    "attention, keys turned over the heads": Case(
        "flat = Constant <value = int64[3] {-1, 10, 8}> () back = Constant <value = int64[4] {-1, 2, 8, 5}> () "
        "k3 = Reshape (k, flat) t3 = Transpose <perm = [0, 2, 1]> (k3) t = Reshape (t3, back) z = MatMul (q, t) n = Identity (z) "
        + SOFT, **HEADS, found=named("ScaledDotProductAttention")),  # which takes them as they are
    "attention, mask of more dimensions": Case(
        SCORES + "n = Add (z, p) " + SOFT, "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]; p[1,1,1,4,5]", "y[1,B,2,4,3]"),
    "attention, scaled after the mask": Case(
        SCORES + "u = Add (z, p) n = Mul (u, r) " + SOFT, "q[B,2,4,8]; k[B,2,5,8]; v[B,2,5,3]; p[4,5]", "y[B,2,4,3]", FAR),
    "attention, near condition": Case(SCORES + "n = Where (p, z, f) " + SOFT, **MASKED, weights=FAR | {"f": -10.0}),
    "attention, weights wanted": Case(SCORES + "n = Identity (z) " + SOFT, HEADS["inputs"], "y[B,2,4,3]; w[B,2,4,5]"),
    "einsum, two axes summed": Case('y = Einsum <equation = "btd,etd->be"> (x, z)', "x[B,5,8]; z[4,5,8]", "y[B,4]"),
    "einsum, an axis summed alone": Case('y = Einsum <equation = "btd,df->bf"> (x, w)', output="y[B,6]", weights={"w": (8, 6)}),
    "einsum, two axes of the second one alone": Case('y = Einsum <equation = "btd,dhf->bthf"> (x, w)', output="y[B,5,2,3]", weights={"w": (8, 2, 3)}),
    "attention, scaled per head": Case(SCORES + "n = Mul (z, r) " + SOFT, **HEADS, weights={"r": (2, 1, 1)}),
}  # fmt: skip
