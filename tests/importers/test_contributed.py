"""ONNX Runtime's own operators rewritten as ONNX's: a valid graph of the same names, which ONNX Runtime runs alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from exporters.graph.clean import clean
from exporters.graph.contributed import DOMAIN, REWRITTEN, rewrite
from exporters.graph.contributed.table import Known
from exporters.graph.limits import WRITER
from exporters.graph.read import read
from tests.importers import microsoft, parity
from tests.importers.cases import Case
from tests.importers.compare import difference
from tests.importers.traps import f

LACKING = set().union(*parity.CONTRIBUTED_LACKS.values())


def plain(model: onnx.ModelProto) -> ir.Model:
    """The model after the rewriting, in which everything is rewritten."""
    found = clean(read(model))
    assert rewrite(found, lambda _node, _model: True)
    assert not [node for node in found.graph.all_nodes() if node.domain]
    return found


def bound(case: Case) -> tuple[onnx.ModelProto, list[Any]]:
    """The case's model with the inputs that must be constants as such, and its feedings without those."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    operator = OPERATORS[model.graph.node[0].op_type]
    names = [name for name in operator.parameters if name != WRITER]
    fixed = {
        given
        for given, name in zip(model.graph.node[0].input, names, strict=False)
        if operator.parameters[name].annotation in (Known, Known | None)
    }
    feeds = [dict(zip(case.inputs, inputs, strict=True)) for inputs, _ in case.data]
    for name in fixed & set(feeds[0]):
        model.graph.initializer.append(numpy_helper.from_array(feeds[0][name], name))
    left = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(left)
    return model, [{name: array for name, array in feed.items() if name not in fixed} for feed in feeds]


OPERATORS = {row.name: row for row in REWRITTEN}
ROWS = {row.name: row for row in microsoft.all_fused() if row.operator not in LACKING}


# What ONNX Runtime's kernel of ONNX's operator refuses, although the importers take it.
NO_KERNEL = {"quantize_16": "Type 'tensor(int16)' of input parameter (z) of operator (QuantizeLinear)"}


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[Case, Any]]:
    """Per row its case, and what ONNX Runtime gives after the rewriting, or what it refuses."""
    after, cases = [], microsoft.judged_by_runtime(list(ROWS.values()))
    for case in cases:
        model, feeds = bound(case)
        rewritten = ir.to_proto(plain(model))
        onnx.checker.check_model(rewritten)
        after.append((rewritten.SerializeToString(), feeds))
    return dict(zip(ROWS, zip(cases, microsoft.run(after), strict=True), strict=True))


@pytest.mark.parametrize("name", ROWS)
def test_the_graph_gives_the_same(results: dict[str, tuple[Case, Any]], name: str) -> None:
    case, after = results[name]
    if name in NO_KERNEL:
        assert NO_KERNEL[name] in after
        return
    assert not isinstance(after, str), after
    for (_, wanted), found in zip(case.data, after, strict=True):
        assert not difference(found, wanted, case.rtol, case.atol)


def fed(operator: str, feeds: dict[str, Any], outputs: int = 1, **attributes: Any) -> tuple[onnx.ModelProto, Any]:
    """A model of one node, whose outputs are of the type and rank of its first input, and the feeding."""
    model = microsoft.Fused("alone", operator, [feeds], attributes, outputs, opset=21).model()
    first = np.asarray(next(iter(feeds.values())))
    for value in model.graph.output:
        sizes = [f"{value.name}{axis}" for axis in range(first.ndim)]
        kind = helper.np_dtype_to_tensor_dtype(first.dtype)
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, sizes))
    return model, feeds


def gelu(x: Any) -> Any:
    from math import erf

    return np.float32(x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2)


def grouped(x: Any, gamma: Any, beta: Any, groups: int) -> Any:
    """Group normalisation of (batch, height, width, channels)."""
    parts = x.reshape(*x.shape[:3], groups, -1)
    mean, variance = (what(parts, (1, 2, 4), keepdims=True) for what in (np.mean, np.var))
    return ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * gamma + beta


def silu(x: Any) -> Any:
    return x / (1 + np.exp(-x))


def softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


X, BIAS, IMAGE, SKIP = f(2, 3, 8), f(8), f(2, 4, 4, 6), f(2, 4, 4, 6, start=70)
GAMMA, BETA = f(6), f(6, start=40)
SMALL, KERNEL = f(1, 4, 4, 2), f(3, 2, 2, 2)
# What ONNX Runtime has no CPU kernel for: by its definition, in NumPy.
ALONE = {
    "BiasAdd": (fed("BiasAdd", {"X": X, "bias": BIAS, "skip": X * 2}), [X + BIAS + 2 * X]),
    "BiasSplitGelu": (
        fed("BiasSplitGelu", {"X": X, "bias": BIAS}), [(X + BIAS)[..., :4] * gelu((X + BIAS)[..., 4:])]
    ),
    "BiasSoftmax": (
        fed("BiasSoftmax", {"data": X, "bias": f(2, 1, 8)}, is_inner_broadcast=1, axis=2), [softmax(X + f(2, 1, 8))]
    ),
    "BiasSoftmax over two axes": (
        fed("BiasSoftmax", {"data": X, "bias": f(3, 8)}, is_inner_broadcast=0, axis=1),
        [softmax((X + f(3, 8)).reshape(2, 24)).reshape(2, 3, 8)],
    ),
    "ComplexMul": (
        fed("ComplexMul", {"A": f(3, 2), "B": f(3, 2, start=9)}),
        [np.stack([f(3, 2)[:, 0] * f(3, 2, start=9)[:, 0] - f(3, 2)[:, 1] * f(3, 2, start=9)[:, 1],
                   f(3, 2)[:, 0] * f(3, 2, start=9)[:, 1] + f(3, 2)[:, 1] * f(3, 2, start=9)[:, 0]], -1)],
    ),
    "GroupNorm": (
        fed("GroupNorm", {"X": IMAGE, "gamma": GAMMA, "beta": BETA}, activation=1, groups=3),
        [silu(grouped(IMAGE, GAMMA, BETA, 3))],
    ),
    "SkipGroupNorm": (
        fed("SkipGroupNorm", {"X": IMAGE, "gamma": GAMMA, "beta": BETA, "skip": SKIP, "bias": BETA}, 2,
                 activation=0, groups=2),
        [grouped(IMAGE + SKIP + BETA, GAMMA, BETA, 2), IMAGE + SKIP + BETA],
    ),
    "NhwcFusedConv": (
        fed("NhwcFusedConv", {"X": SMALL, "W": KERNEL}, activation="Relu"),
        [np.maximum(0, sum(SMALL[:, i:i + 3, j:j + 3] @ KERNEL[:, i, j].T for i in range(2) for j in range(2)))],
    ),
    "QLinearReduceMean": (
        fed("QLinearReduceMean", {"data": np.uint8([[8, 16], [4, 4]]), "s": np.float32(0.5), "z": np.uint8(4),
                                       "t": np.float32(0.25), "u": np.uint8(10)}, axes=[1], keepdims=1),
        [np.uint8([[26], [10]])],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_what_has_no_cpu_kernel_is_what_its_definition_says(name: str) -> None:
    (model, feeds), wanted = ALONE[name]
    found = ReferenceEvaluator(ir.to_proto(plain(model))).run(None, feeds)
    assert not difference(found, wanted, 1e-5, 1e-5)


def test_names_weights_and_free_sizes_are_kept() -> None:
    weights = {"w": f(8, 24), "b": f(24), "gamma": f(8), "beta": f(8)}
    nodes = [
        helper.make_node("Attention", ["x", "w", "b"], ["a"], name="attn", domain=DOMAIN, num_heads=2),
        helper.make_node("SkipLayerNormalization", ["x", "a", "gamma", "beta"], ["y", "", "", "sum"], name="norm",
                         domain=DOMAIN),
    ]  # fmt: skip
    x = helper.make_tensor_value_info("x", 1, ["batch", "time", 8])
    outputs = [helper.make_tensor_value_info(name, 1, ["batch", "time", 8]) for name in ("y", "sum")]
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "net", [x], outputs, held)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    found = plain(helper.make_model(graph, opset_imports=imports, ir_version=8))
    assert [value.name for value in found.graph.outputs] == ["y", "sum"]
    assert [str(value.shape) for value in found.graph.outputs] == ["[batch,time,8]"] * 2
    assert set(weights) <= set(found.graph.initializers)
    assert {node.name.split("/")[0] for node in found.graph} == {"attn", "norm"}
    assert "LayerNormalization" in {node.op_type for node in found.graph}


def test_what_it_does_not_cover_stays() -> None:
    masked, _ = fed("Attention", {"x": f(2, 3, 8), "w": f(8, 24), "b": f(24)}, num_heads=2, do_rotary=1)
    model = clean(read(masked))
    assert not rewrite(model, lambda _node, _model: True)
    assert [node.op_type for node in model.graph] == ["Attention"]
