# ruff: noqa: E501 - a graph reads best as the lines that it is
"""The cells of `recurrent_cases`, written out step by step as a trace does it; knows no framework."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper, parser

from tests.importers.recurrent_cases import FORMS, NUMBERS, SIZES, WEIGHTS

STEPS = 4
_SHARED = {*WEIGHTS, *NUMBERS, *re.findall(r"(\w+) = Constant", SIZES), "W", "R", "W3", "R3", "B3"}

# way -> (X's shape, what comes before the steps, how step {t} gets x{t}, the order of the elements)
READS: dict[str, tuple[str, str, str]] = {
    "gathered": (f"{STEPS},B,5", "", "x_{t} = Gather (X, at{i})"),
    "gathered, samples first": (f"B,{STEPS},5", "", "x_{t} = Gather <axis = 1> (X, at{i})"),
    "gathered from the end": (f"{STEPS},B,5", "", "n{t} = Constant <value = int64 {{-{n}}}> () x_{t} = Gather (X, n{t})"),
    "gathered by an index of one dimension": (f"{STEPS},B,5", "", "u{t} = Unsqueeze (at{i}, first) g{t} = Gather (X, u{t}) x_{t} = Squeeze (g{t}, first)"),
    "sliced": (f"B,{STEPS},5", "", "a{t} = Unsqueeze (at{i}, first) z{t} = Unsqueeze (at{j}, first) s{t} = Slice (X, a{t}, z{t}, second) x_{t} = Squeeze (s{t}, second)"),
    "split": (f"B,{STEPS},5", "p0, p1, p2, p3 = Split <axis = 1> (X, ones)", "x_{t} = Squeeze (p{i}, second)"),
    "split and reshaped": (f"B,{STEPS},5", "p0, p1, p2, p3 = Split <axis = 1> (X, ones)", "x_{t} = Reshape (p{i}, flat)"),
    "a sequence": (f"B,{STEPS},5", "all = SplitToSequence <axis = 1, keepdims = 0> (X)", "x_{t} = SequenceAt (all, at{i})"),
    "projected before": (f"{STEPS},B,4", "P = MatMul (X, w5)", "x_{t} = Gather (P, at{i})"),
    "a part": (f"{STEPS + 3},B,5", "", "x_{t} = Gather (X, at{j})"),
    "changed one by one": (f"{STEPS},B,5", "", "e{t} = Gather (X, at{i}) x_{t} = Relu (e{t})"),
}  # fmt: skip
# what is read of the states -> (the graph's outputs beside the last states, how they are made)
RESULTS: dict[str, tuple[str, str]] = {
    "the last": ("", ""),
    "all": (f", float[{STEPS},B,4] Y", "{unsqueezed0} Y = Concat <axis = 0> ({news})"),
    "all, samples first": (f", float[B,{STEPS},4] Y", "{unsqueezed1} Y = Concat <axis = 1> ({news})"),
    "all, the last one first": (f", float[{STEPS},B,4] Y", "{unsqueezed0} Y = Concat <axis = 0> ({swen})"),
    "all, side by side": (", float[B,16] Y", "Y = Concat <axis = 1> ({hidden})"),
    "one in the middle": (", float[B,4] Y", "Y = Neg (h_2)"),
    "one in the middle, and all": (f", float[B,4] M, float[{STEPS},B,4] Y", "M = Identity (h_2) {unsqueezed0} Y = Concat <axis = 0> ({news})"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A cell by its name in FORMS, with how the steps read, in which order, and what is read of them."""

    cell: str
    reads: str = "gathered"
    results: str = "the last"
    order: tuple[int, ...] = tuple(range(STEPS))
    zeros: bool = False  # whether both first states are one tensor of zeros

    def model(self) -> onnx.ModelProto:
        form = FORMS[self.cell]
        return written(form.cell, self.reads, self.results, self.order, cells=form.cells, zeros=self.zeros)


def written(
    cell: str, reads: str, results: str, order: tuple[int, ...], *, cells: bool, zeros: bool = False, more: str = ""
) -> onnx.ModelProto:
    """`more` are outputs and operators of the graph's own: `float[B,4] A | A = Neg (c_2)`."""
    shape, before, taken = READS[reads]
    count = len(order)
    steps = " ".join(
        f"{taken.format(t=t, i=i, j=i + 1, n=STEPS - i)} {_step(cell, t)}" for t, i in enumerate(order, start=1)
    )
    outputs, made = RESULTS[results]
    hidden = [f"h_{t}" for t in range(1, count + 1)]
    names = {
        "hidden": ", ".join(hidden),
        "news": ", ".join(f"new{t}" for t in range(1, count + 1)),
        "swen": ", ".join(f"new{t}" for t in range(count, 0, -1)),
        **{f"unsqueezed{axis}": " ".join(f"new{t} = Unsqueeze (h_{t}, {('first', 'second')[axis]})" for t in range(1, count + 1)) for axis in (0, 1)},
    }  # fmt: skip
    declared, _, computed = more.partition("|")
    lasts = "float[B,4] HN, float[B,4] CN" if cells else "float[B,4] HN"
    last = f"HN = Identity (h_{count}) " + (f"CN = Identity (c_{count})" if cells else "")
    inputs = f"float[{shape}] X" + ("" if zeros else ", float[B,4] h_0" + (", float[B,4] c_0" if cells else ""))
    if zeros:
        axis = shape.split(",").index("B")
        before += f" sh = Shape <start = {axis}, end = {axis + 1}> (X) four = Constant <value = int64[1] {{4}}> () sizes = Concat <axis = 0> (sh, four) h_0 = ConstantOfShape (sizes)"
        steps = steps.replace("c_0", "h_0")
    at = " ".join(f"at{i} = Constant <value = int64 {{{i}}}> ()" for i in range(STEPS + 3))
    constants = f"{SIZES} {at} first = Constant <value = int64[1] {{0}}> () second = Constant <value = int64[1] {{1}}> () ones = Constant <value = int64[4] {{1, 1, 1, 1}}> () flat = Constant <value = int64[2] {{-1, 5}}> ()"
    text = (
        f'<ir_version: 8, opset_import: ["" : 17]> main ({inputs}) => ({lasts}{outputs}{", " + declared if declared else ""}) '
        f"{{ {constants} {before} {steps} {made.format(**names)} {last} {computed} }}"
    )
    proto = parser.parse_model(text)
    random = np.random.default_rng(len(cell))
    used = {name for node in proto.graph.node for name in node.input}
    for name, sizes in WEIGHTS.items():
        array = (0.5 * random.standard_normal(sizes)).astype(np.float32)
        if name in used:
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    for name, value in NUMBERS.items():
        if name in used:
            proto.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    return proto


def _step(cell: str, t: int) -> str:
    """The cell's lines with names of this step: what it makes as of `t`, the states h and c as of the step before."""
    listed = re.findall(r"((?:\w+, )*\w+) = [A-Z]", cell)
    made = dict.fromkeys(name for names in listed for name in names.split(", ")) | dict.fromkeys(("h", "c", "x"))
    names = {name: f"{name}_{t}" for name in made if name not in _SHARED}
    names |= {"h": f"h_{t - 1}", "c": f"c_{t - 1}", "h1": f"h_{t}", "c1": f"c_{t}"}
    return re.sub(r"\b\w+\b", lambda found: names.get(found[0], found[0]), cell)


_BACK = tuple(reversed(range(STEPS)))
_LSTM, _GRU, _RNN = "lstm, all gates at once", "gru, as PyTorch computes it", "rnn"
CASES: dict[str, Case] = {
    **{name: Case(name, results="all") for name in FORMS if FORMS[name].way == "scan" and "of one step" not in name},
    **{f"{_LSTM}; {reads}": Case(_LSTM, reads) for reads in READS if reads != "gathered"},
    **{f"{_GRU}; {reads}": Case(_GRU, reads, "all") for reads in ("split", "projected before", "changed one by one")},
    **{f"{_LSTM}; {results}": Case(_LSTM, results=results) for results in RESULTS if results != "all"},
    **{f"{cell}; backwards, {results}": Case(cell, results=results, order=_BACK)
       for cell in (_LSTM, _GRU, _RNN) for results in ("all", "all, the last one first", "one in the middle")},
    **{f"{cell}; from zeros": Case(cell, results="all", zeros=True) for cell in (_LSTM, _GRU, _RNN)},
    "two steps from zeros": Case(_LSTM, order=(0, 1), zeros=True),
    "in no order": Case(_LSTM, order=(0, 2, 1, 3)),
}  # fmt: skip
