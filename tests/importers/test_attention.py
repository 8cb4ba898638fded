"""ONNX's Attention over random combinations of all that it may be asked for, against ONNX's reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator

from exporters import onnx_to_torch
from tests.importers.torch_models import quiet

INPUTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen")
CASES = 8  # of each opset and kind of cache
Arrays = dict[str, np.ndarray[Any, Any]]


def inputs(random: np.random.Generator, opset: int, cache: str) -> tuple[Arrays, dict[str, Any]]:
    """Tensors by ONNX's names, and the attributes that their shapes ask for."""
    batch, heads, groups = (int(random.integers(1, 4)) for _ in range(3))
    queries, keys, size = int(random.integers(1, 6)), int(random.integers(1, 7)), int(random.choice([2, 4]))
    wide, past = size + 2 * int(random.integers(2)), int(random.integers(1, 4)) if cache == "past" else 0

    def floats(*shape: int) -> np.ndarray[Any, Any]:
        return random.standard_normal(shape).astype(np.float32)

    attributes: dict[str, Any] = {}
    if random.integers(2):
        given = {"Q": floats(batch, queries, heads * groups * size), "K": floats(batch, keys, heads * size)}
        given["V"] = floats(batch, keys, heads * wide)
        attributes = {"q_num_heads": heads * groups, "kv_num_heads": heads}
    else:
        given = {"Q": floats(batch, heads * groups, queries, size), "K": floats(batch, heads, keys, size)}
        given["V"] = floats(batch, heads, keys, wide)
    if cache == "past":
        given["past_key"], given["past_value"] = floats(batch, heads, past, size), floats(batch, heads, past, wide)
    if cache == "lengths":
        given["nonpad_kv_seqlen"] = random.integers(0, keys + 1, batch)
    if random.integers(4):
        told = keys + past
        if opset >= 24 and random.integers(2):  # the mask may tell of the first keys alone
            told = int(random.integers(max(1, int(given.get("nonpad_kv_seqlen", np.ones(1)).max())), told + 1))
        whole = [int(random.choice([1, batch])), int(random.choice([1, heads * groups])), queries, told]
        shape = whole[int(random.integers(0, 3)) :]
        given["attn_mask"] = random.random(shape) < 0.7 if random.integers(2) else floats(*shape)
    return given, attributes


def case(seed: int, opset: int, cache: str) -> tuple[onnx.ModelProto, Arrays]:
    random = np.random.default_rng([seed, opset, len(cache)])
    given, attributes = inputs(random, opset, cache)
    optional = {
        "is_causal": 1, "scale": 0.3, "softcap": 0.5, "softmax_precision": onnx.TensorProto.DOUBLE,
        "qk_matmul_output_mode": int(random.integers(1, 4)),
    }  # fmt: skip
    if opset >= 25:
        optional |= {name: int(random.integers(0, 3)) for name in ("left_window_size", "right_window_size")}
    attributes |= {name: value for name, value in optional.items() if random.integers(2)}
    results = ["Y"] if cache == "lengths" or random.integers(2) else ["Y", "present_key", "present_value"]
    if "qk_matmul_output_mode" in attributes:
        results = [*results, *[""] * (3 - len(results)), "scores"]
    names = [name if name in given else "" for name in INPUTS]
    while not names[-1]:
        names.pop()
    free = bool(random.integers(2))
    declared = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            [f"{name}{axis}" for axis in range(array.ndim)] if free else list(array.shape),
        )
        for name, array in given.items()
    ]
    ranks = {name: given["Q"].ndim if name == "Y" else 4 for name in results if name}
    outputs = [helper.make_tensor_value_info(name, 1, [None] * rank) for name, rank in ranks.items()]
    graph = helper.make_graph([helper.make_node("Attention", names, results, **attributes)], "g", declared, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), given


@pytest.mark.parametrize("cache", ["none", "past", "lengths"])
@pytest.mark.parametrize("opset", [23, 24, 25])
def test_every_combination_is_what_the_reference_gives(opset: int, cache: str) -> None:
    if opset == 23 and cache == "lengths":
        cache = "past"  # there is no such input yet
    for seed in range(CASES):
        model, given = case(seed, opset, cache)
        wanted = ReferenceEvaluator(model).run(None, given)
        module = onnx_to_torch.build(model)
        with quiet():
            script = torch.jit.script(module)
        for run in (module, script):
            found = run(*(torch.from_numpy(array) for array in given.values()))
            for result, expected in zip(found if len(wanted) > 1 else [found], wanted, strict=True):
                assert result.numpy().dtype == expected.dtype
                np.testing.assert_allclose(result.numpy(), expected, rtol=2e-4, atol=2e-5)


def test_scores_before_the_cap_are_shown_uncapped() -> None:
    attributes = {"softcap": 0.5, "qk_matmul_output_mode": 0, "scale": 1.0}
    node = helper.make_node("Attention", ["Q", "K", "V"], ["Y", "", "", "scores"], **attributes)
    declared = [helper.make_tensor_value_info(name, 1, [1, 1, 2, 4]) for name in "QKV"]
    outputs = [helper.make_tensor_value_info(name, 1, [None] * 4) for name in ("Y", "scores")]
    graph = helper.make_graph([node], "g", declared, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    q, k, v = torch.randn(3, 1, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(onnx_to_torch.build(model)(q, k, v)[1], q @ k.transpose(-1, -2))
