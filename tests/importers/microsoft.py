"""ONNX Runtime's own operators as cases; what they must give is what ONNX Runtime gives.

Each is fed at two sizes where its graph leaves one free.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.importers.cases import Case
from tests.importers.traps import f

DOMAIN = "com.microsoft"
Feeds = dict[str, Any]
_RANDOM = np.random.default_rng(1)


@dataclass(frozen=True)
class Fused:
    """One operator, its feedings (an input that is missing is None) and how many outputs are asked for."""

    name: str
    operator: str
    feeds: list[Feeds]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    domain: str = DOMAIN
    version: int = 1
    opset: int = 17
    atol: float = 1e-5

    def model(self) -> onnx.ModelProto:
        given = {name: array for name, array in self.feeds[0].items() if array is not None}
        inputs = [helper.make_tensor_value_info(name, _kind(array), self._sizes(name)) for name, array in given.items()]
        outputs = [onnx.ValueInfoProto(name=f"out{i}") for i in range(self.outputs)]
        names = [name if array is not None else "" for name, array in self.feeds[0].items()]
        results = [value.name for value in outputs]
        node = helper.make_node(self.operator, names, results, domain=self.domain, **self.attributes)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(self.domain or DOMAIN, self.version)]
        return helper.make_model(
            helper.make_graph([node], "fused", inputs, outputs), opset_imports=imports, ir_version=10
        )

    def feedings(self) -> list[Feeds]:
        return [{name: np.asarray(array) for name, array in feed.items() if array is not None} for feed in self.feeds]

    def _sizes(self, name: str) -> list[Any]:
        shapes = [np.shape(feed[name]) for feed in self.feeds]
        return [
            sizes[0] if len(set(sizes)) == 1 else f"{name}{axis}"
            for axis, sizes in enumerate(zip(*shapes, strict=True))
        ]


def _kind(array: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype))


def u8(*shape: int) -> Any:
    return _RANDOM.integers(0, 256, shape).astype(np.uint8)


def i8(*shape: int) -> Any:
    return _RANDOM.integers(-128, 128, shape).astype(np.int8)


def one(value: float) -> Any:
    return np.float32(value)


def elementwise() -> list[Fused]:
    x = [{"X": f(2, 3, 8)}, {"X": f(5, 1, 8)}]
    return [
        Fused("gelu", "Gelu", x),
        Fused("fast_gelu", "FastGelu", x),
        Fused("fast_gelu_bias", "FastGelu", [feed | {"bias": f(8)} for feed in x]),
        Fused("bias_gelu", "BiasGelu", [{"A": feed["X"], "B": f(8)} for feed in x]),
        Fused("quick_gelu", "QuickGelu", x),
        Fused("quick_gelu_alpha", "QuickGelu", x, {"alpha": 1.3}),
    ]


def products() -> list[Fused]:
    a, b = f(2, 3, 4), f(2, 4, 5)
    rows: list[Fused] = [
        Fused("fused_matmul", "FusedMatMul", [{"A": a, "B": b}], {"alpha": 0.5}),
        Fused("fused_matmul_turned", "FusedMatMul", [{"A": f(2, 4, 3), "B": f(2, 5, 4)}], {"transA": 1, "transB": 1}),
        Fused("fused_matmul_batch", "FusedMatMul", [{"A": f(3, 2, 4), "B": b}], {"transBatchA": 1}),
        Fused("fused_matmul_batches", "FusedMatMul", [{"A": f(3, 2, 4), "B": f(4, 2, 5)}],
              {"transBatchA": 1, "transBatchB": 1}),
        Fused("fused_matmul_all", "FusedMatMul", [{"A": f(4, 2, 3), "B": f(5, 2, 4)}],
              {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1}),
        Fused("transpose_matmul", "TransposeMatMul", [{"A": a, "B": f(2, 5, 4)}], {"transB": 1, "alpha": 2.0}),
        Fused("inverse", "Inverse", [{"X": f(2, 4, 4) + 3 * np.eye(4, dtype=np.float32)}], atol=1e-4),
    ]  # fmt: skip
    gemm = [{"A": f(3, 4), "B": f(4, 5), "C": f(5)}, {"A": f(2, 4), "B": f(4, 5), "C": f(5)}]
    rows += [
        Fused(f"fused_gemm_{name.lower()}", "FusedGemm", gemm, {"activation": name, **more})
        for name, more in {"Relu": {}, "LeakyRelu": {"activation_alpha": 0.2}, "Tanh": {}, "Sigmoid": {}}.items()
    ]
    images = [{"X": f(2, 3, 6, 6), "W": f(4, 3, 3, 3), "B": f(4)}, {"X": f(1, 3, 9, 5), "W": f(4, 3, 3, 3), "B": f(4)}]
    activations: dict[str, list[float]] = {
        "Relu": [], "Tanh": [], "Sigmoid": [], "LeakyRelu": [0.2], "Clip": [-0.5, 0.5], "HardSigmoid": [0.3, 0.4],
    }  # fmt: skip
    for name, numbers in activations.items():
        more = {"activation_params": numbers} if numbers else {}
        rows.append(
            Fused(f"fused_conv_{name.lower()}", "FusedConv", images, {"activation": name, "pads": [1] * 4, **more})
        )
    summed = [{**images[0], "Z": f(2, 4, 4, 4)}]
    rows.append(Fused("fused_conv_sum", "FusedConv", summed, {"activation": "Relu"}))
    padded = {"X": f(1, 2, 4, 4), "W": f(2, 3, 3, 3), "Pads": np.int64([1, 1, 1, 1]), "B": f(3)}
    rows.append(Fused("conv_transpose_pads", "ConvTransposeWithDynamicPads", [padded], {"strides": [2, 2]}))
    return rows


def normalizations() -> list[Fused]:
    x = {"input": f(2, 3, 8), "skip": f(2, 3, 8, start=50), "gamma": f(8)}
    wide = {"input": f(4, 5, 8), "skip": f(4, 5, 8, start=50), "gamma": f(8)}
    ids = np.int32([[1, 2, 3], [4, 0, 1]])
    words = {
        "input_ids": ids, "segment_ids": np.int32([[0, 0, 1], [0, 1, 1]]), "word_embedding": f(6, 8),
        "position_embedding": f(5, 8, start=9), "segment_embedding": f(2, 8, start=80), "gamma": f(8), "beta": f(8),
    }  # fmt: skip
    return [
        Fused("skip_norm", "SkipLayerNormalization", [{**x, "beta": f(8)}, {**wide, "beta": f(8)}]),
        Fused("skip_norm_bias", "SkipLayerNormalization", [{**x, "beta": f(8), "bias": f(8)}], {"epsilon": 1e-3}),
        Fused("skip_norm_no_beta", "SkipLayerNormalization", [{**x, "beta": None, "bias": f(8)}]),
        Fused("skip_rms", "SkipSimplifiedLayerNormalization", [x, wide]),
        Fused("skip_rms_bias", "SkipSimplifiedLayerNormalization", [{**x, "bias": f(8)}], {"epsilon": 1e-3}),
        Fused("rms", "SimplifiedLayerNormalization", [{"X": f(2, 3, 8), "scale": f(8)}], {"epsilon": 1e-3}, domain=""),
        Fused("layer_norm_15", "LayerNormalization", [{"X": f(2, 3, 8), "Scale": f(8), "B": f(8)}], {"axis": -1},
              domain="", opset=15),
        Fused("embeddings", "EmbedLayerNormalization", [{**words, "mask": np.int32([[1, 1, 0], [1, 1, 1]])}],
              outputs=3),
        Fused("embeddings_alone", "EmbedLayerNormalization",
              [{**words, "segment_ids": None, "segment_embedding": None}], outputs=2),
        Fused("embeddings_placed", "EmbedLayerNormalization",
              [{**words, "mask": None, "position_ids": np.int32([[3, 1, 0], [2, 2, 4]])}], outputs=2),
    ]  # fmt: skip


def attentions() -> list[Fused]:
    x = {"input": f(2, 4, 8), "weights": f(8, 24) / 4, "bias": f(24)}
    longer = {"input": f(3, 6, 8), "weights": f(8, 24) / 4, "bias": f(24)}
    heads = {"num_heads": 2}
    keys = np.int32([[1, 1, 1, 0], [1, 1, 0, 0]])
    rows = [
        Fused("attention", "Attention", [x, longer], heads),
        Fused("attention_causal", "Attention", [x, longer], {**heads, "unidirectional": 1}),
        Fused("attention_key_mask", "Attention", [{**x, "mask_index": keys}], heads),
        Fused("attention_causal_mask", "Attention", [{**x, "mask_index": keys}], {**heads, "unidirectional": 1}),
        Fused("attention_lengths", "Attention", [{**x, "mask_index": np.int32([3, 2])}], heads),
        Fused("attention_ends_starts", "Attention", [{**x, "mask_index": np.int32([4, 3, 1, 0])}], heads),
        Fused("attention_square_mask", "Attention",
              [{**x, "mask_index": np.tril(np.ones((2, 4, 4), np.int32))}], heads),
        Fused("attention_bias", "Attention",
              [{**x, "mask_index": None, "past": None, "attention_bias": f(2, 2, 4, 4)}], heads),
        Fused("attention_past", "Attention", [{**x, "mask_index": None, "past": f(2, 2, 2, 3, 4)}],
              {**heads, "unidirectional": 1}, outputs=2),
        Fused("attention_sizes", "Attention",
              [{"input": f(2, 4, 8), "weights": f(8, 20) / 4, "bias": f(20)}],
              {**heads, "qkv_hidden_sizes": [8, 8, 4], "scale": 0.3}),
    ]  # fmt: skip
    q = {"query": f(2, 3, 8), "key": f(2, 5, 8, start=7), "value": f(2, 5, 8, start=31)}
    more = {"query": f(1, 6, 8), "key": f(1, 2, 8, start=7), "value": f(1, 2, 8, start=31)}
    past = {"past_key": f(2, 2, 2, 4), "past_value": f(2, 2, 2, 4, start=11)}
    nothing = {"bias": None, "key_padding_mask": None, "attention_bias": None}
    rows += [
        Fused("multi_head", "MultiHeadAttention", [q, more], heads),
        Fused("multi_head_bias", "MultiHeadAttention", [{**q, "bias": f(24)}], {**heads, "scale": 0.4}),
        Fused("multi_head_lengths", "MultiHeadAttention",
              [{**q, "bias": None, "key_padding_mask": np.int32([3, 5])}], heads),
        Fused("multi_head_key_mask", "MultiHeadAttention",
              [{**q, "bias": None, "key_padding_mask": np.int32([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])}], heads),
        Fused("multi_head_scores", "MultiHeadAttention", [{**q, **nothing, "attention_bias": f(1, 2, 3, 5)}], heads),
        Fused("multi_head_causal", "MultiHeadAttention", [{"query": f(2, 5, 8), **{k: q[k] for k in ("key", "value")}}],
              {**heads, "unidirectional": 1}),
        Fused("multi_head_cross", "MultiHeadAttention",
              [{"query": f(2, 3, 8), "key": f(2, 2, 5, 4), "value": f(2, 2, 5, 4, start=9)}], heads),
        Fused("multi_head_past", "MultiHeadAttention", [{**q, **nothing, **past}], heads, outputs=3),
    ]  # fmt: skip
    return rows + grouped() + rotary()


def grouped() -> list[Fused]:
    heads = {"num_heads": 4, "kv_num_heads": 2}
    angles = f(10, 8)
    cache = {"cos_cache": np.cos(angles), "sin_cache": np.sin(angles)}
    prompt = {
        "query": f(2, 3, 64), "key": f(2, 3, 32, start=5), "value": f(2, 3, 32, start=77), "past_key": None,
        "past_value": None, "seqlens_k": np.int32([2, 2]), "total_sequence_length": np.int32(3),
    }  # fmt: skip
    step = {
        "query": f(2, 1, 64), "key": f(2, 1, 32, start=5), "value": f(2, 1, 32, start=77),
        "past_key": f(2, 2, 4, 16), "past_value": f(2, 2, 4, 16, start=20), "seqlens_k": np.int32([4, 4]),
        "total_sequence_length": np.int32(5),
    }  # fmt: skip
    packed = {**prompt, "query": f(2, 3, 128), "key": None, "value": None}
    return [
        Fused("grouped_prompt", "GroupQueryAttention", [prompt], heads, outputs=3),
        Fused("grouped_step", "GroupQueryAttention", [step], heads, outputs=3),
        Fused("grouped_packed", "GroupQueryAttention", [packed], heads, outputs=3),
        Fused("grouped_window", "GroupQueryAttention", [prompt], {**heads, "local_window_size": 2}, outputs=3),
        Fused("grouped_cap", "GroupQueryAttention", [prompt], {**heads, "softcap": 2.0, "scale": 0.5}, outputs=3),
        Fused("grouped_rotary", "GroupQueryAttention", [{**prompt, **cache}], {**heads, "do_rotary": 1}, outputs=3),
        Fused("grouped_rotary_step", "GroupQueryAttention", [{**step, **cache}],
              {**heads, "do_rotary": 1, "rotary_interleaved": 1}, outputs=3),
    ]  # fmt: skip


def rotary() -> list[Fused]:
    angles = f(10, 2)
    cache = {"cos_cache": np.cos(angles), "sin_cache": np.sin(angles)}
    places = np.int64([[0, 1, 2], [4, 3, 9]])
    partly = {"num_heads": 2, "rotary_embedding_dim": 4}
    return [
        Fused("rotary", "RotaryEmbedding", [{"input": f(2, 3, 8), "position_ids": places, **cache}]),
        Fused("rotary_pairs", "RotaryEmbedding", [{"input": f(2, 3, 8), "position_ids": places, **cache}],
              {"interleaved": 1}),
        Fused("rotary_offset", "RotaryEmbedding", [{"input": f(2, 3, 8), "position_ids": np.int64([2]), **cache}]),
        Fused("rotary_heads", "RotaryEmbedding", [{"input": f(2, 2, 3, 4), "position_ids": places, **cache}]),
        Fused("rotary_partial", "RotaryEmbedding", [{"input": f(2, 3, 12), "position_ids": places, **cache}], partly),
    ]  # fmt: skip


def quantized() -> list[Fused]:
    s, t, z = one(0.05), one(0.11), np.uint8(120)
    pair = {"A": u8(2, 3, 4), "As": s, "Az": np.uint8(100), "B": u8(3, 4), "Bs": t, "Bz": np.uint8(90), "Cs": one(0.2)}
    signed = {"A": i8(2, 5), "As": s, "Az": np.int8(3), "B": i8(2, 5), "Bs": t, "Bz": np.int8(-7), "Cs": one(0.2)}
    x = {"X": u8(2, 3, 6, 6), "Xs": s, "Xz": np.uint8(110), "Ys": one(0.0373), "Yz": np.uint8(125)}
    last = {**x, "X": u8(2, 6, 6, 3)}
    gemm = {"A": u8(3, 4), "As": s, "Az": z, "B": i8(4, 5), "Bs": t, "Bz": np.int8(2)}
    columns = {**gemm, "Bs": np.abs(f(5)) + 0.1, "Bz": i8(5)}
    products = {"A": u8(2, 3, 4), "B": i8(4, 5), "As": s, "Bs": t}
    rows = [
        Fused("quantize", "QuantizeLinear", [{"x": f(2, 3) * 3, "s": s, "z": z}]),
        Fused("quantize_rows", "QuantizeLinear", [{"x": f(2, 3) * 3, "s": f(3) ** 2 + 0.1, "z": u8(3)}], {"axis": 1}),
        Fused("quantize_16", "QuantizeLinear", [{"x": f(2, 3) * 9, "s": one(0.001), "z": np.int16(5)}]),
        Fused("dequantize", "DequantizeLinear", [{"x": u8(2, 3), "s": s, "z": z}]),
        Fused("dequantize_32", "DequantizeLinear", [{"x": np.int32([[-70000, 9]]), "s": s, "z": np.int32(0)}]),
        Fused("qadd", "QLinearAdd", [{**pair, "Cz": np.uint8(99)}]),
        Fused("qadd_signed", "QLinearAdd", [{**signed, "Cz": np.int8(-9)}]),
        Fused("qmul", "QLinearMul", [{**pair, "Cz": np.uint8(99)}]),
        Fused("qmul_signed", "QLinearMul", [{**signed, "Cz": np.int8(-9)}]),
        Fused("qsigmoid", "QLinearSigmoid", [{**x, "Ys": one(1 / 256), "Yz": np.uint8(0)}]),
        Fused("qleaky", "QLinearLeakyRelu", [x], {"alpha": 0.1}),
        Fused("qsoftmax", "QLinearSoftmax", [{**x, "Ys": one(1 / 256), "Yz": np.uint8(0)}], {"opset": 13, "axis": -1}),
        Fused("qpool", "QLinearAveragePool", [x], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        Fused("qpool_pad", "QLinearAveragePool", [x],
              {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [2, 2]}),
        Fused("qpool_last", "QLinearAveragePool", [last], {"kernel_shape": [2, 2], "channels_last": 1}),
        Fused("qglobal", "QLinearGlobalAveragePool", [x]),
        Fused("qglobal_last", "QLinearGlobalAveragePool", [last], {"channels_last": 1}),
        Fused("qconcat", "QLinearConcat",
              [{"Ys": one(0.07), "Yz": z, "a": u8(2, 3), "as": s, "az": np.uint8(3), "b": u8(2, 2), "bs": t,
                "bz": np.uint8(200)}], {"axis": 1}),
        Fused("qgemm_float", "QGemm", [{**gemm, "C": np.int32([5, -9, 100, 0, 7])}], {"alpha": 0.5}),
        Fused("qgemm", "QGemm", [{**gemm, "C": np.int32([5, -9, 100, 0, 7]), "Ys": one(1.5), "Yz": np.uint8(100)}]),
        Fused("qgemm_columns", "QGemm", [{**columns, "C": None, "Ys": one(9.5), "Yz": np.uint8(100)}]),
        Fused("integers_to_float", "MatMulIntegerToFloat", [{**products, "Az": z, "Bz": np.int8(3), "bias": f(5)}]),
        Fused("integers_to_float_columns", "MatMulIntegerToFloat",
              [{**products, "Bs": np.abs(f(5)) + 0.1, "Az": z, "Bz": i8(5)}]),
        Fused("dynamic", "DynamicQuantizeMatMul", [{"A": f(2, 3, 4), "B": i8(4, 5), "Bs": t, "Bz": np.int8(3)}]),
        Fused("dynamic_bias", "DynamicQuantizeMatMul",
              [{"A": f(2, 3, 4), "B": u8(4, 5), "Bs": t, "Bz": np.uint8(130), "bias": f(5)}]),
        Fused("nhwc_max_pool", "NhwcMaxPool", [{"x": u8(2, 6, 6, 3)}], {"kernel_shape": [3, 3], "pads": [1] * 4}),
        Fused("qwhere", "QLinearWhere",
              [{"c": np.array([[True], [False]]), "X": u8(2, 3), "Xs": s, "Xz": np.uint8(3), "Y": u8(2, 3), "Ys": t,
                "Yz": np.uint8(7), "Zs": one(0.1), "Zz": np.uint8(60)}]),
        Fused("qconv_last", "QLinearConv",
              [{"x": u8(1, 5, 5, 3), "xs": s, "xz": z, "w": i8(4, 3, 3, 3), "ws": t, "wz": np.int8(0),
                "ys": one(4.0), "yz": np.uint8(128)}], {"channels_last": 1}),
    ]  # fmt: skip
    sizes = {"K": 40, "N": 3, "block_size": 16}
    points = {"s": np.abs(f(9)), "z": u8(6)}
    return [
        *rows,
        Fused("four_bits", "MatMulNBits", [{"A": f(2, 40), "B": u8(3, 3, 8), "s": np.abs(f(9))}], {**sizes, "bits": 4}),
        Fused("four_bits_points", "MatMulNBits", [{"A": f(2, 40), "B": u8(3, 3, 8), **points}], {**sizes, "bits": 4}),
        Fused("eight_bits", "MatMulNBits", [{"A": f(2, 40), "B": u8(3, 3, 16), "s": np.abs(f(9))}],
              {**sizes, "bits": 8}, atol=1e-3),
    ]  # fmt: skip


def tensors() -> list[Fused]:
    boxes = {"rois": np.float32([[0.1, 0.2, 0.8, 0.87], [0, 0, 1, 1], [-0.2, 0.5, 0.5, 1.3]]),
             "batch_indices": np.int32([0, 1, 1]), "crop_size": np.int32([3, 4])}  # fmt: skip
    ids = np.int64([[1, 2, 3, 1, 2], [4, 4, 4, 4, 4]])
    return [
        Fused("ms_pad", "Pad", [{"data": f(2, 3), "pads": np.int64([1, 0, 0, 2]), "value": np.float32(1.5)}]),
        Fused("ms_pad_reflect", "Pad", [{"data": f(2, 3), "pads": np.int64([0, 1, 0, 2])}], {"mode": "reflect"}),
        Fused("ms_unique", "Unique", [{"x": np.float32([2, 1, 1, 3, 4, 3])}], outputs=3),
        Fused("expand_dims", "ExpandDims", [{"X": f(2, 3), "axis": np.int32(-1)}]),
        Fused("ms_trilu", "Trilu", [{"X": f(3, 4), "k": np.int64(1)}], {"upper": 0}),
        Fused("ms_range", "Range", [{"start": np.float32([1]), "limit": np.float32([5]), "delta": np.float32([1.5])}]),
        Fused("ms_gather_nd", "GatherND", [{"data": f(2, 3, 4), "indices": np.int64([[0, 1], [1, 2]])}]),
        Fused("ms_grid_sample", "GridSample", [{"X": f(1, 2, 4, 4), "Grid": np.tanh(f(1, 3, 3, 2))}],
              {"padding_mode": "border", "align_corners": 1}),
        Fused("distances", "CDist", [{"A": f(3, 4), "B": f(5, 4, start=9)}], {"metric": "euclidean"}, atol=1e-4),
        Fused("crop", "CropAndResize", [{"X": f(2, 2, 5, 6), **boxes}], {"extrapolation_value": 9.0}),
        Fused("crop_nearest", "CropAndResize", [{"X": f(2, 2, 5, 6), **boxes}], {"mode": "nearest"}),
        Fused("ngrams", "NGramRepeatBlock", [{"ids": ids, "scores": f(2, 6)}], {"ngram_size": 3}),
    ]  # fmt: skip


def recurrent() -> list[Fused]:
    """On one thread: on several, ONNX Runtime quantises parts of the batch apart."""

    def fed(directions: int, shape: tuple[int, ...], of_scales: tuple[int, ...]) -> Feeds:
        wide = (directions, *of_scales)
        return {
            "X": f(*shape), "W": i8(directions, 5, 16), "R": i8(directions, 4, 16), "B": f(directions, 32) / 3,
            "lengths": None, "h": None, "c": None, "P": None, "Ws": np.abs(f(*wide)) / 50 + one(0.002),
            "Wz": np.zeros(wide, np.int8), "Rs": np.abs(f(*wide, start=3)) / 50 + one(0.002),
            "Rz": np.zeros(wide, np.int8),
        }  # fmt: skip

    both = {"direction": "bidirectional", "hidden_size": 4}
    one_way, two_ways = fed(1, (3, 2, 5), ()), fed(2, (4, 3, 5), (16,))
    states = {"h": f(1, 2, 4), "c": f(1, 2, 4, start=5)}
    name = "DynamicQuantizeLSTM"
    return [
        Fused("quantised_lstm", name, [one_way, {**one_way, "X": f(5, 1, 5)}], {"hidden_size": 4}, outputs=3),
        Fused("quantised_lstm_columns", name, [two_ways], both, outputs=3),
        Fused("quantised_lstm_back", name, [{**one_way, **states, "B": None}],
              {"direction": "reverse", "hidden_size": 4}, outputs=3),
    ]  # fmt: skip


def quantised_transformers() -> list[Fused]:
    """What quantize_dynamic makes of an optimised BERT."""
    s, z = one(0.02), np.uint8(120)
    x = {"input": u8(2, 4, 8), "weight": i8(8, 24), "bias": f(24), "xs": s, "ws": one(0.01)}
    points = {"mask": np.int32([3, 4]), "xz": z, "wz": np.int8(3)}
    words = {
        "ids": np.int32([[1, 2, 3], [4, 0, 1]]), "segments": np.int32([[0, 0, 1], [0, 1, 1]]), "word": u8(6, 8),
        "position": u8(5, 8), "segment": u8(2, 8), "gamma": u8(8), "beta": u8(8), "mask": np.int32([[1, 1, 0]] * 2),
        **{f"scale{i}": one(0.01 + i / 100) for i in range(5)}, **{f"zero{i}": np.uint8(100 + i) for i in range(5)},
    }  # fmt: skip
    return [
        Fused("qattention", "QAttention", [{**x, **points}], {"num_heads": 2}),
        Fused("qattention_causal", "QAttention", [{**x, **points, "mask": None}],
              {"num_heads": 2, "unidirectional": 1}),
        Fused("qembeddings", "QEmbedLayerNormalization", [words], outputs=2),
    ]  # fmt: skip


SPELLED_OUT = (
    "gelu", "fast_gelu_bias", "fused_matmul_turned", "fused_conv_clip", "skip_norm_bias", "skip_rms_bias", "embeddings",
    "embeddings_alone", "attention_causal_mask", "attention_lengths", "multi_head_bias", "grouped_step", "rotary_pairs",
    "ms_pad", "distances",
)  # fmt: skip


def at_other_opsets() -> list[Fused]:
    """What is written otherwise where ONNX has less, or more."""
    rows = [row for family in (elementwise, products, normalizations, attentions, tensors) for row in family()]
    return [
        replace(row, name=f"{row.name}_{opset}", opset=opset)
        for row in rows
        if row.name in SPELLED_OUT
        for opset in (12, 23)
    ]


def spelled_out() -> dict[str, tuple[onnx.ModelProto, list[Feeds]]]:
    """Small networks in ONNX's own operators, for ONNX Runtime's optimiser to fuse; each at two batch sizes."""
    weights = {
        "w1": f(8, 16) / 3, "b1": f(16), "w2": f(16, 8, start=30) / 4, "b2": f(8), "gamma": f(8), "beta": f(8),
        "half": one(0.5), "root": one(2**0.5), "one": one(1), "kernel": f(4, 3, 3, 3) / 3, "bias": f(4),
    }  # fmt: skip
    node = helper.make_node
    block = [
        node("MatMul", ["x", "w1"], ["h0"]), node("Add", ["h0", "b1"], ["h"]), node("Div", ["h", "root"], ["e0"]),
        node("Erf", ["e0"], ["e1"]), node("Add", ["e1", "one"], ["e2"]), node("Mul", ["h", "e2"], ["e3"]),
        node("Mul", ["e3", "half"], ["g"]), node("MatMul", ["g", "w2"], ["o0"]), node("Add", ["o0", "b2"], ["o"]),
        node("Add", ["o", "x"], ["s"]), node("LayerNormalization", ["s", "gamma", "beta"], ["y"], axis=-1),
    ]  # fmt: skip
    images = [
        node("Conv", ["x", "kernel", "bias"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["r"]),
        node("Sigmoid", ["r"], ["i"]), node("Mul", ["r", "i"], ["y"]),
    ]  # fmt: skip
    shapes: dict[str, tuple[list[onnx.NodeProto], tuple[int, ...]]] = {
        "transformer_block": (block, (5, 8)), "convolutions": (images, (3, 6, 6)),
    }  # fmt: skip
    found = {}
    for name, (nodes, shape) in shapes.items():
        used = {given for each in nodes for given in each.input}
        held = [numpy_helper.from_array(np.asarray(array), key) for key, array in weights.items() if key in used]
        x = helper.make_tensor_value_info("x", 1, ["batch", *shape])
        y = helper.make_tensor_value_info("y", 1, [f"y{axis}" for axis in range(len(shape) + 1)])
        graph = helper.make_graph(nodes, name, [x], [y], held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        found[name] = (model, [{"x": f(batch, *shape)} for batch in (2, 3)])
    return found


def optimised() -> list[Case]:
    """Those networks after the optimiser, with the results from before it."""
    rows = [(model.SerializeToString(), feeds) for model, feeds in spelled_out().values()]
    cases = []
    for name, (_, feeds), graph, results in zip(spelled_out(), rows, run(rows, "--optimised"), run(rows), strict=True):
        data = [(list(feed.values()), list(result)) for feed, result in zip(feeds, results, strict=True)]
        cases.append(Case(f"optimised_{name}", onnx.ModelProto.FromString(graph), data, 1e-4, 1e-5, "microsoft"))
    return cases


def all_fused() -> list[Fused]:
    families = (
        elementwise, products, normalizations, attentions, quantized, recurrent, quantised_transformers, tensors,
        at_other_opsets,
    )  # fmt: skip
    return [row for family in families for row in family()]


def cases() -> list[Case]:
    return judged_by_runtime(all_fused()) + optimised()


def judged_by_runtime(rows: list[Fused]) -> list[Case]:
    """All of them with ONNX Runtime's results; raises where it refuses one, which is then no case."""
    found = []
    for row, results in zip(rows, run([(row.model().SerializeToString(), row.feedings()) for row in rows]),
                            strict=True):  # fmt: skip
        if isinstance(results, str):
            raise AssertionError(f"{row.name}: {results}")  # noqa: TRY004 - what ONNX Runtime said
        model = row.model()
        for i, value in enumerate(model.graph.output):
            array = np.asarray(results[0][i])
            sizes = [f"{value.name}{axis}" for axis in range(array.ndim)]
            value.CopyFrom(helper.make_tensor_value_info(value.name, _kind(array), sizes))
        data = [(list(feed.values()), list(result)) for feed, result in zip(row.feedings(), results, strict=True)]
        found.append(Case(row.name, model, data, 1e-4, row.atol, "microsoft"))
    return found


def run(rows: list[Any], *more: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "in.pickle", Path(folder) / "out.pickle"
        given.write_bytes(pickle.dumps(rows))
        script = Path(__file__).with_name("runtime_reference.py")
        subprocess.run(
            [sys.executable, "-P", str(script), str(given), str(answer), *more], check=True, capture_output=True
        )
        return pickle.loads(answer.read_bytes())
