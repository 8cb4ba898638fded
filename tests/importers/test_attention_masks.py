"""Masks that ask the scores for their shape, as Keras writes them, and forms that are not quite that."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import parser
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_torch
from exporters.graph import patterns
from exporters.graph.clean import clean
from tests.importers.torch_models import quiet

HEAD = '<ir_version: 10, opset_import: ["" : 18]>'
INPUTS = "float[batch, 2, queries, 4] q, float[batch, 2, keys, 4] k, float[batch, 2, keys, 4] v"
SCORES = """
    kt = Transpose <perm = [0, 1, 3, 2]> (k)
    product = MatMul (q, kt)
    half = Constant <value = float {0.5}> ()
    scores = Mul (product, half)
    far = Constant <value = float {-1e9}> ()
    true = Constant <value = bool {1}> ()
    shape = Shape (scores)
"""
RESULT = """
    weights = Softmax <axis = -1> (chosen)
    y = MatMul (weights, v)
"""
BY_MASK = """
    ones = Expand (true, shape)
    both = And (ones, mask)
    chosen = Where (both, scores, far)
"""
CAUSAL = """
    two = Constant <value_ints = [2]> ()
    three = Constant <value_ints = [3]> ()
    four = Constant <value_ints = [4]> ()
    rows = Slice (shape, two, three)
    columns = Slice (shape, three, four)
    sizes = Concat <axis = 0> (rows, columns)
    one = Constant <value = float {1.0}> ()
    square = Expand (one, sizes)
    lower = Trilu <upper = 0> (square)
    allowed = Cast <to = 9> (lower)
    ones = Expand (true, shape)
    both = And (allowed, ones)
    chosen = Where (both, scores, far)
"""
FUSED = {"mask": BY_MASK, "causal": CAUSAL, "mask first": BY_MASK.replace("(ones, mask)", "(mask, ones)")}
# What must stay as it is, with the outputs that tell.
SPELLED = {
    "what is repeated is False": (SCORES.replace("bool {1}", "bool {0}") + BY_MASK, "y"),
    "scores are an output": (SCORES + BY_MASK + "shown = Identity (scores)", "y, shown"),
    "the shape is that of another tensor": (
        SCORES.replace("Shape (scores)", "Shape (mask)") + BY_MASK.replace("both = And", "both = Xor"),
        "y",
    ),
    "elsewhere stand other scores": (SCORES + BY_MASK.replace("scores, far", "scores, product"), "y"),
}  # fmt: skip


def proto(body: str, outputs: str = "y") -> onnx.ModelProto:
    declared = ", ".join(f"float[a_{name}, b_{name}, c_{name}, d_{name}] {name}" for name in outputs.split(", "))
    given = f"{INPUTS}, bool[batch, 1, queries, keys] mask"
    return parser.parse_model(f"{HEAD} g ({given}) => ({declared}) {{ {body} {RESULT} }}")


def arrays(queries: int, keys: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    random = np.random.default_rng(queries)
    q, k, v = (random.standard_normal((3, 2, length, 4)).astype(np.float32) for length in (queries, keys, keys))
    mask = random.random((3, 1, queries, keys)) < 0.6
    return [q, k, v, mask]  # type: ignore[list-item]


def attentions(model: onnx.ModelProto) -> int:
    graph = clean(ir.from_proto(model))
    patterns.apply(graph)
    return sum(node.op_type == "ScaledDotProductAttention" for node in graph.graph)


def check(model: onnx.ModelProto) -> None:
    with quiet():
        module = torch.jit.script(onnx_to_torch.build(model))
    names = [value.name for value in model.graph.input]
    for lengths in ((5, 5), (3, 6)):
        values = arrays(*lengths)
        wanted = ReferenceEvaluator(model).run(None, dict(zip(names, values, strict=True)))
        found = module(*map(torch.from_numpy, values))
        for result, expected in zip(found if len(wanted) > 1 else [found], wanted, strict=True):
            np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FUSED)
def test_attention_behind_the_mask_is_recognised(name: str) -> None:
    model = proto(SCORES + FUSED[name])
    assert attentions(model) == 1
    check(model)


@pytest.mark.parametrize("name", SPELLED)
def test_other_forms_keep_their_meaning(name: str) -> None:
    model = proto(*SPELLED[name])
    if name in {"scores are an output", "elsewhere stand other scores"}:
        assert attentions(model) == 0
    check(model)
