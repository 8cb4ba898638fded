# ruff: noqa: E501 - a cell reads best as the lines that it is
"""Recurrent cells spelled out in the body of a Loop or a Scan, and near misses; knows no framework.

A cell computes `h1` (and `c1`) from this step's `x` of 5 features, and from `h` (and `c`) of 4 units. A way writes the
loop around it. Every weight is an array of random numbers of the shape that `WEIGHTS` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

Array = np.ndarray[Any, Any]

# Weights end in their shape: 5 features or 4 units in, 1 to 4 gates of 4 units out; t is transposed.
WEIGHTS: dict[str, tuple[int, ...]] = {
    "w4": (5, 16), "r4": (4, 16), "b4": (16,), "d4": (16,), "j4": (9, 16), "wt4": (16, 5), "rt4": (16, 4),
    "w3": (5, 12), "r3": (4, 12), "b3": (12,), "d3": (12,), "w2": (5, 8), "r2": (4, 8), "b2": (8,),
    "wi": (5, 4), "wo": (5, 4), "wf": (5, 4), "wc": (5, 4), "ri": (4, 4), "ro": (4, 4), "rf": (4, 4), "rc": (4, 4),
    "bi": (4,), "bo": (4,), "bf": (4,), "bc": (4,), "dc": (4,), "wt": (4, 5), "rt": (4, 4), "p": (4,), "v": (4, 4),
    "w5": (4, 5),
}  # fmt: skip
NUMBERS = {"one": 1.0, "twice": 2.0, "three": 3.0, "six": 6.0, "nought": 0.0, "near": 1.001}

LSTM = "i = Sigmoid (gi) o = Sigmoid (go) f = Sigmoid (gf) g = Tanh (gg) k = Mul (f, c) n = Mul (i, g) c1 = Add (k, n) t = Tanh (c1) h1 = Mul (o, t) "
BOTH = "a = MatMul (x, w4) e = MatMul (h, r4) s = Add (a, e) q = Add (s, b4) "
EACH = "".join(
    f"x{g} = MatMul (x, w{g}) h{g} = MatMul (h, r{g}) s{g} = Add (x{g}, h{g}) q{g} = Add (s{g}, b{g}) " for g in "iofc"
)
NAMED = "gi = Identity (qi) go = Identity (qo) gf = Identity (qf) gg = Identity (qc) "
GATES3 = "a = Gemm (x, w3, b3) e = Gemm (h, r3, d3) az, ar, an = Split <axis = 1> (a, k3) ez, er, en = Split <axis = 1> (e, k3) uz = Add (az, ez) z = Sigmoid (uz) ur = Add (er, ar) r = Sigmoid (ur) "
AFTER = GATES3 + "m = Mul (r, en) un = Add (an, m) n = Tanh (un) "
BEFORE = "a = Gemm (x, w3, b3) az, ar, an = Split <axis = 1> (a, k3) e = MatMul (h, r2) ez, er = Split <axis = 1> (e, k2) uz = Add (az, ez) z = Sigmoid (uz) ur = Add (er, ar) r = Sigmoid (ur) rh = Mul (h, r) en = MatMul (rh, rc) un = Add (an, en) n = Tanh (un) "
KEEPS = "w = Sub (one, z) l = Mul (w, n) m2 = Mul (z, h) h1 = Add (l, m2) "
HARD = "u = Add (gi, three) ui = Clip (u, nought, six) i = Div (ui, six) "


@dataclass(frozen=True)
class Case:
    """`kind`: the operator that is recognised, None for none; `near` a near miss's own words on why."""

    cell: str
    kind: str | None
    way: str = "scan"
    cells: bool = False  # whether there is a cell state beside the hidden one
    attributes: dict[str, Any] = field(default_factory=dict)

    def model(self) -> onnx.ModelProto:
        return written(self.cell, self.way, cells=self.cells)


SIZES = "k4 = Constant <value = int64[4] {4, 4, 4, 4}> () k3 = Constant <value = int64[3] {4, 4, 4}> () k2 = Constant <value = int64[2] {4, 4}> () "
STATE = "float[B,4] h"
# way -> (X's shape, the loop, the outputs beside the last states); {b} is the body, {h} and {h1} the states.
WAYS: dict[str, tuple[str, str, str]] = {
    "scan": ("T,B,5", "{last}, Y = Scan <num_scan_inputs = 1, body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h1) }}> ({first}, X)", "float[T,B,4] Y"),
    "scan, backwards": ("T,B,5", "{last}, Y = Scan <num_scan_inputs = 1, scan_input_directions = [1], scan_output_directions = [1], body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h1) }}> ({first}, X)", "float[T,B,4] Y"),
    "scan, read backwards": ("T,B,5", "{last}, Y = Scan <num_scan_inputs = 1, scan_input_directions = [1], body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h1) }}> ({first}, X)", "float[T,B,4] Y"),
    "scan, samples first": ("B,T,5", "{last}, Y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h1) }}> ({first}, X)", "float[B,T,4] Y"),
    "scan, last state alone": ("T,B,5", "{last} = Scan <num_scan_inputs = 1, body = g ({h}, float[B,5] x) => ({h1}) {{ {cell} }}> ({first}, X)", ""),
    "scan, projected before": ("T,B,4", "P = MatMul (X, w5) {last}, Y = Scan <num_scan_inputs = 1, body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h1) }}> ({first}, P)", "float[T,B,4] Y"),
    "loop": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () M = Gather (sh, zero) yes = Constant <value = bool {{1}}> () {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ more = Identity (on) x = Gather (X, index) {cell} y = Identity (h1) }}> (M, yes, {first})", "float[T,B,4] Y"),
    "loop, samples first": ("B,T,5", "sh = Shape <start = 1, end = 2> (X) M = Squeeze (sh) {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ more = Identity (on) x = Gather <axis = 1> (X, index) {cell} y = Identity (h1) }}> (M, , {first})", "float[T,B,4] Y"),
    "loop, while": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () L = Gather (sh, zero) step = Constant <value = int64 {{1}}> () start = Less (zero, L) {last}, N, Y = Loop <body = g (int64 index, bool on, {h}, int64 at) => (bool more, {h1}, int64 next, float[B,4] y) {{ x = Gather (X, at) {cell} y = Identity (h1) next = Add (at, step) more = Less (next, L) }}> (, start, {first}, zero)", "float[T,B,4] Y"),
    "loop, from the end": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () L = Gather (sh, zero) step = Constant <value = int64 {{1}}> () last = Sub (L, step) start = GreaterOrEqual (last, zero) {last}, N, Y = Loop <body = g (int64 index, bool on, {h}, int64 at) => (bool more, {h1}, int64 next, float[B,4] y) {{ x = Gather (X, at) {cell} y = Identity (h1) next = Sub (at, step) more = GreaterOrEqual (next, zero) }}> (, start, {first}, last)", "float[T,B,4] Y"),
    "loop, gathered": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () M = Gather (sh, zero) yes = Constant <value = bool {{1}}> () none = SequenceEmpty () {last}, all = Loop <body = g (int64 index, bool on, {h}, seq(float[B,4]) so) => (bool more, {h1}, seq(float[B,4]) far) {{ more = Identity (on) x = Gather (X, index) {cell} far = SequenceInsert (so, h1) }}> (M, yes, {first}, none) Y = ConcatFromSequence <axis = 1, new_axis = 1> (all)", "float[B,T,4] Y"),
    # Not recognised: fewer steps, or not surely as many as there are elements.
    "stops early": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () M = Gather (sh, zero) yes = Constant <value = bool {{1}}> () {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ x = Gather (X, index) {cell} y = Identity (h1) top = ReduceMax <keepdims = 0> (h1) more = Less (top, near) }}> (M, yes, {first})", "float[S,B,4] Y"),
    "one step less": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () step = Constant <value = int64 {{1}}> () L = Gather (sh, zero) M = Sub (L, step) yes = Constant <value = bool {{1}}> () {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ more = Identity (on) x = Gather (X, index) {cell} y = Identity (h1) }}> (M, yes, {first})", "float[S,B,4] Y"),
    "may not begin": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () M = Gather (sh, zero) top = ReduceMax <keepdims = 0> (X) begin = Less (top, near) {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ more = Identity (on) x = Gather (X, index) {cell} y = Identity (h1) }}> (M, begin, {first})", "float[S,B,4] Y"),
    "every other element": ("T,B,5", "sh = Shape (X) zero = Constant <value = int64 {{0}}> () two = Constant <value = int64 {{2}}> () L = Gather (sh, zero) M = Div (L, two) yes = Constant <value = bool {{1}}> () {last}, Y = Loop <body = g (int64 index, bool on, {h}) => (bool more, {h1}, float[B,4] y) {{ more = Identity (on) at = Mul (index, two) x = Gather (X, at) {cell} y = Identity (h1) }}> (M, yes, {first})", "float[S,B,4] Y"),
    "another output": ("T,B,5", "{last}, Y = Scan <num_scan_inputs = 1, body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Neg (h1) }}> ({first}, X)", "float[T,B,4] Y"),
    "the state before": ("T,B,5", "{last}, Y = Scan <num_scan_inputs = 1, body = g ({h}, float[B,5] x) => ({h1}, float[B,4] y) {{ {cell} y = Identity (h) }}> ({first}, X)", "float[T,B,4] Y"),
}  # fmt: skip


def written(cell: str, way: str, *, cells: bool) -> onnx.ModelProto:
    shape, loop, outputs = WAYS[way]
    two = {
        "h": "float[B,4] h, float[B,4] c" if cells else "float[B,4] h",
        "h1": "float[B,4] h1, float[B,4] c1" if cells else "float[B,4] h1",
        "first": "H, C" if cells else "H", "last": "HN, CN" if cells else "HN",
    }  # fmt: skip
    lasts = "float[B,4] HN, float[B,4] CN" if cells else "float[B,4] HN"
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> main (float[{shape}] X, {_first(cells)}) => '
        f"({lasts}{', ' + outputs if outputs else ''}) {{ {SIZES} {loop.format(cell=cell, **two)} }}"
    )
    proto = parser.parse_model(text)
    random = np.random.default_rng(len(cell))
    used = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    for name, sizes in WEIGHTS.items():
        array = (0.5 * random.standard_normal(sizes)).astype(np.float32)
        if name in used:
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    for name, value in NUMBERS.items():
        if name in used:
            proto.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    return proto


def _first(cells: bool) -> str:
    return "float[B,4] H, float[B,4] C" if cells else "float[B,4] H"


def arrays(model: onnx.ModelProto, sizes: dict[str, int]) -> dict[str, Array]:
    random = np.random.default_rng(sizes["T"])
    return {
        value.name: random.standard_normal(
            [dim.dim_value or sizes[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in model.graph.input
    }


CHUNKED = BOTH + "gi, go, gf, gg = Split <axis = 1> (q, k4) " + LSTM
RNN = "a = MatMul (x, wi) e = MatMul (h, ri) s = Add (a, e) q = Add (s, bi) h1 = Tanh (q) "
# name -> a form, with the operator that it is.
FORMS: dict[str, Case] = {
    "lstm, all gates at once": Case(CHUNKED, "LSTM", cells=True),
    "lstm, another order of gates": Case(BOTH + "gf, gg, go, gi = Split <axis = -1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, a product for each gate": Case(EACH + NAMED + LSTM, "LSTM", cells=True),
    "lstm, input and state side by side": Case(
        "j = Concat <axis = 1> (x, h) a = MatMul (j, j4) q = Add (b4, a) gi, gg, gf0, go = Split <axis = 1> (q, k4) gf = Add (gf0, one) " + LSTM, "LSTM", cells=True),
    "lstm, state and input side by side": Case(
        "j = Concat <axis = -1> (h, x) q = MatMul (j, j4) gi, gg, gf, go = Split <axis = 1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, transposed weights, two biases": Case(
        "a = Gemm <transB = 1> (x, wt4, b4) e = Gemm <transB = 1> (h, rt4, d4) q = Add (e, a) gi, gf, gg, go = Split <axis = 1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, one bias twice": Case(
        "a = Gemm (x, w4, b4) e = Gemm (h, r4, b4) q = Add (e, a) gi, gf, gg, go = Split <axis = 1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, weights transposed in the body": Case(
        "wu = Transpose <perm = [1, 0]> (wt4) ru = Transpose <perm = [1, 0]> (rt4) a = MatMul (x, wu) e = MatMul (h, ru) q = Add (e, a) gi, gf, gg, go = Split <axis = 1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, no bias": Case("a = MatMul (x, w4) e = MatMul (h, r4) q = Add (a, e) gi, go, gf, gg = Split <axis = 1> (q, k4) " + LSTM, "LSTM", cells=True),
    "lstm, cell state shown as it is": Case(
        EACH + NAMED + LSTM.replace("t = Tanh (c1) h1 = Mul (o, t)", "h1 = Mul (o, c1)"), "LSTM", cells=True,
        attributes={"activations": ["Sigmoid", "Tanh", "Affine"]}),
    "lstm, hard sigmoids": Case(
        EACH + NAMED + "".join(f"u{g} = Add (g{g}, three) v{g} = Clip (u{g}, nought, six) {g} = Div (v{g}, six) " for g in "iof")
        + LSTM[LSTM.index("g = Tanh"):], "LSTM", cells=True, attributes={"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
    "lstm, sigmoid before the split": Case(
        "a = MatMul (x, w4) e = MatMul (h, r4) q = Add (a, e) io, of = Split <axis = 1> (q, half) si = Sigmoid (io) i, o = Split <axis = 1> (si, k2) gf, gg = Split <axis = 1> (of, k2) f = Sigmoid (gf) g = Tanh (gg) "
        .replace("half", "k8") + LSTM[LSTM.index("k = Mul"):], "LSTM", cells=True),
    "gru, reset after": Case(AFTER + KEEPS, "GRU", attributes={"linear_before_reset": 1}),
    "gru, as PyTorch computes it": Case(AFTER + "l = Sub (h, n) m2 = Mul (l, z) h1 = Add (m2, n) ", "GRU", attributes={"linear_before_reset": 1}),
    "gru, reset before": Case(BEFORE + KEEPS, "GRU"),
    "gru, update exchanged": Case(BEFORE + "w = Sub (one, z) l = Mul (w, h) m2 = Mul (z, n) h1 = Add (l, m2) ", "GRU"),
    "gru, update exchanged, regrouped": Case(AFTER + "l = Sub (n, h) m2 = Mul (z, l) h1 = Add (h, m2) ", "GRU", attributes={"linear_before_reset": 1}),
    "rnn": Case(RNN, "RNN"),
    "rnn, relu": Case(RNN.replace("Tanh", "Relu"), "RNN", attributes={"activations": ["Relu"]}),
    "rnn, linear": Case(RNN.replace("Tanh", "Identity"), "RNN", attributes={"activations": ["Affine"]}),
    "rnn, transposed": Case("a = Gemm <transB = 1> (x, wt, bi) e = Gemm <transB = 1> (h, rt) s = Add (e, a) h1 = Tanh (s) ", "RNN"),
    "lstm, of one step": Case(
        "at0 = Constant <value = int64[1] {0}> () xs = Unsqueeze (x, at0) hs = Unsqueeze (h, at0) cs = Unsqueeze (c, at0) ys, hh, cc = LSTM <hidden_size = 4> (xs, W, R, , , hs, cs) h1 = Squeeze (hh, at0) c1 = Squeeze (cc, at0) ", "LSTM", cells=True),
    "gru, of one step": Case(
        "at0 = Constant <value = int64[1] {0}> () xs = Unsqueeze (x, at0) hs = Unsqueeze (h, at0) ys, hh = GRU <hidden_size = 4, linear_before_reset = 1> (xs, W3, R3, B3, , hs) h1 = Squeeze (hh, at0) ", "GRU", attributes={"linear_before_reset": 1}),
}  # fmt: skip
SIZES += "k8 = Constant <value = int64[2] {8, 8}> () "
WEIGHTS |= {"W": (1, 16, 5), "R": (1, 16, 4), "W3": (1, 12, 5), "R3": (1, 12, 4), "B3": (1, 24)}
_MISSES = {"stops early", "one step less", "may not begin", "every other element", "another output", "the state before"}
FORMS |= {
    f"lstm, {way}": Case(CHUNKED, "LSTM", way, cells=True) for way in WAYS if way not in _MISSES and way != "scan"
}
FORMS |= {f"gru, {way}": Case(AFTER + KEEPS, "GRU", way) for way in ("scan, backwards", "loop, from the end")}

NEAR_MISSES: dict[str, Case] = {way: Case(CHUNKED, None, way, cells=True) for way in sorted(_MISSES)} | {
    "another activation of a gate": Case(CHUNKED.replace("f = Sigmoid (gf)", "f = Tanh (gf)"), None, cells=True),
    "an activation that the operator has not": Case(CHUNKED.replace("t = Tanh (c1)", "t = Erf (c1)"), None, cells=True),
    "a gate of the other sign": Case(CHUNKED.replace("f = Sigmoid (gf)", "mf = Neg (gf) f = Sigmoid (mf)"), None, cells=True),
    "the candidate taken away": Case(CHUNKED.replace("c1 = Add (k, n)", "c1 = Sub (k, n)"), None, cells=True),
    "an operator in the state's path": Case(CHUNKED.replace("h1 = Mul (o, t)", "h0 = Mul (o, t) h1 = Mul (h0, near)"), None, cells=True),
    "the state scaled before": Case("h_ = Mul (h, near) " + CHUNKED.replace("(h, r4)", "(h_, r4)"), None, cells=True),
    "the cell state of the step before is shown": Case(CHUNKED.replace("t = Tanh (c1)", "t = Tanh (c)"), None, cells=True),
    "peepholes": Case(CHUNKED.replace("f = Sigmoid (gf)", "pc = Mul (p, c) pf = Add (gf, pc) f = Sigmoid (pf)"), None, cells=True),
    "coupled gates": Case(CHUNKED.replace("f = Sigmoid (gf)", "f = Sub (one, i)"), None, cells=True),
    "the state normalised by another product": Case(CHUNKED.replace("(h, r4)", "(hv, r4)").replace("a = MatMul", "hv = MatMul (h, v) a = MatMul"), None, cells=True),
    "gru, another rest": Case(BEFORE + KEEPS.replace("(one, z)", "(twice, z)"), None),
    "gru, reset of the other sign": Case(BEFORE.replace("rh = Mul (h, r)", "nr = Sub (one, r) rh = Mul (h, nr)") + KEEPS, None),
    "gru, update of the candidate": Case(BEFORE + "m2 = Mul (z, h) w = Sub (one, r) l = Mul (w, n) h1 = Add (l, m2) ", None),
    "gru, another gate's activation": Case(AFTER.replace("r = Sigmoid (ur)", "r = Tanh (ur)") + KEEPS, None),
    "rnn, twice the state": Case(RNN.replace("s = Add (a, e)", "e2 = Mul (twice, e) s = Add (a, e2)"), None),
    "rnn, the state left out": Case("a = MatMul (x, wi) h1 = Tanh (a) ", None),
    "rnn, leaky": Case(RNN.replace("h1 = Tanh (q)", "u = Tanh (q) h1 = Add (u, h)"), None),
}  # fmt: skip
