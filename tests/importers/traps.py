"""Small graphs at the places where converters are known to go wrong without a word.

Each has its expected values from onnx.reference, or in numbers where the reference itself does not follow the
specification. An axis whose size differs between the two sets of inputs is a symbol in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.importers import recurrent_cases
from tests.importers.cases import Case

Feeds = dict[str, Any]
FLOATS = np.random.default_rng(0).normal(size=(1000,)).astype(np.float32) * 2


def f(*shape: int, start: int = 0) -> Any:
    """Random numbers, the same ones each time."""
    count = int(np.prod(shape))
    return FLOATS[start : start + count].reshape(shape).copy()


def u64(*values: int) -> Any:
    return np.array(values, np.uint64)


@dataclass(frozen=True)
class Trap:
    """One operator (or several nodes), fed once or at two batch sizes.

    `weights` are initializers; `wanted` replaces the reference's results, one list per feeding.
    """

    name: str
    operator: str | list[onnx.NodeProto]
    feeds: Feeds | list[Feeds]
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: Feeds = field(default_factory=dict)
    opset: int = 17
    outputs: tuple[str, ...] = ("y",)
    inputs: tuple[str, ...] | None = None  # the node's inputs, where they are not `feeds` and then `weights`
    wanted: list[Any] | None = None

    def case(self) -> Case:
        feeds = self.feeds if isinstance(self.feeds, list) else [self.feeds]
        model = self._model(feeds)
        wanted = self.wanted or [ReferenceEvaluator(model).run(None, feed) for feed in feeds]
        for i, value in enumerate(model.graph.output):
            array = np.asarray(wanted[0][i])
            sizes = [f"{value.name}{axis}" for axis in range(array.ndim)]
            value.CopyFrom(helper.make_tensor_value_info(value.name, _kind(array), sizes))
        data = [(list(feed.values()), list(results)) for feed, results in zip(feeds, wanted, strict=True)]
        return Case(self.name, model, data, 1e-5, 3e-6)

    def _model(self, feeds: list[Feeds]) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(name, _kind(feeds[0][name]), _shape(feeds, name)) for name in feeds[0]]
        nodes = self.operator
        if isinstance(nodes, str):
            names = self.inputs if self.inputs is not None else (*feeds[0], *self.weights)
            nodes = [helper.make_node(nodes, list(names), list(self.outputs), **self.attributes)]
        weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in self.weights.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs if name]
        graph = helper.make_graph(nodes, "trap", inputs, outputs, weights)
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _kind(array: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype))


def _shape(feeds: list[Feeds], name: str) -> list[int | str]:
    shapes = [np.shape(feed[name]) for feed in feeds]
    return [
        sizes[0] if len(set(sizes)) == 1 else f"{name}{axis}" for axis, sizes in enumerate(zip(*shapes, strict=True))
    ]


def batches(*shape: int) -> list[Feeds]:
    """`x` of this shape with a batch of 2 and of 3."""
    return [{"x": f(2, *shape)}, {"x": f(3, *shape)}]


def node(*arguments: Any, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(*arguments, **attributes)


FAR = np.float32([0.1, 1, -300, 460, 1e6, -1e6, np.inf, -np.inf, np.nan])
HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
with np.errstate(over="ignore", invalid="ignore"):
    LARGE = HALVES.astype(np.float32) * np.float32(2.0**120)
NUMBERS = HALVES[~np.isnan(HALVES)]
IMAGE = np.arange(1, 51, dtype=np.float32).reshape(1, 2, 5, 5)
POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
KERNEL = {"w": FLOATS[:54].reshape(2, 3, 3, 3)}
I = np.array  # noqa: E741 - short, for the tables below


def casts() -> list[Trap]:
    rows: list[Trap] = []
    for saturate in (0, 1):
        rows += [
            Trap(
                f"cast_{name}_saturate{saturate}",
                "Cast",
                {"x": FAR},
                {"to": getattr(TensorProto, name), "saturate": saturate},
                opset=19,
            )
            for name in ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")
        ]
        rows += [
            Trap(
                f"cast_every_half_{name}_saturate{saturate}",
                "Cast",
                {"x": HALVES},
                {"to": getattr(TensorProto, name), "saturate": saturate},
                opset=19,
            )
            for name in ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")
        ]
    rows += [
        Trap(
            f"cast_every_half_e8m0_{mode}_{saturate}",
            "Cast",
            {"x": LARGE},
            {"to": TensorProto.FLOAT8E8M0, "saturate": saturate, "round_mode": mode},
            opset=25,
        )
        for mode in ("up", "down", "nearest")
        for saturate in (0, 1)
    ]
    rows.append(Trap("cast_every_half_float4", "Cast", {"x": NUMBERS}, {"to": TensorProto.FLOAT4E2M1}, opset=23))
    return [
        *rows,
        Trap(
            "cast_float_to_int4",
            "Cast",
            {"x": np.float32([-9, -8.6, -1.5, 0.7, 7, 8])},
            {"to": TensorProto.INT4},
            opset=21,
        ),
        Trap("cast_float_to_uint4", "Cast", {"x": np.float32([0, 0.7, 15, 16])}, {"to": TensorProto.UINT4}, opset=21),
        Trap("cast_negative_to_int", "Cast", {"x": np.float32([-1.7, -0.5, 1.7])}, {"to": TensorProto.INT32}),
        Trap(
            "bitcast",
            "BitCast",
            {"x": np.float32([[1, -2], [0, 3]])},
            {"to": TensorProto.INT32},
            opset=26,
            wanted=[[np.float32([[1, -2], [0, 3]]).view(np.int32)]],
        ),
        Trap("bitcast_size_one", "BitCast", {"x": np.float32([1, 2])}, {"to": TensorProto.UINT32}, opset=26),
        Trap("trilu_beyond", "Trilu", {"x": f(2, 3)}, {"upper": 0}, {"k": I(9)}),
        Trap("triu_beyond", "Trilu", {"x": f(2, 3)}, weights={"k": I(9)}),
        Trap("triu_far_below", "Trilu", {"x": f(2, 3)}, weights={"k": I(-9)}),
        Trap("cast_float_to_bool", "Cast", {"x": np.float32([0.0, 0.3, -2, np.nan])}, {"to": TensorProto.BOOL}),
        Trap("cast_bool_to_float", "Cast", {"x": I([True, False])}, {"to": TensorProto.FLOAT}),
        Trap("cast_int64_to_int8_wraps", "Cast", {"x": I([300, -129, 5])}, {"to": TensorProto.INT8}),
        Trap("cast_uint64_to_float", "Cast", {"x": u64(3, 2**63 + 2**40)}, {"to": TensorProto.FLOAT}),
        Trap("cast_uint64_to_double", "Cast", {"x": u64(3, 2**63 + 2**40)}, {"to": TensorProto.DOUBLE}),
    ]


def integers() -> list[Trap]:
    big, small = u64(2**63 + 9, 2**40 + 3, 17), u64(3, 2**33, 5)
    pair = {"x": big, "z": small}
    names = ("Add", "Sub", "Mul", "Div", "Mod", "BitwiseAnd", "BitwiseXor", "Greater", "LessOrEqual", "Max", "Min")
    signs = {"x": I([-7, 7, -7, 7, 6]), "z": I([2, -2, -2, 2, 3])}
    floats = {"x": np.float32([-7.5, 7.5, -6.0]), "z": np.float32([2, -2, 4])}
    i8 = {"x": I([100, -100, 3], np.int8), "z": I([100, -100, 2], np.int8)}
    shifts = {"x": I([1, 2**31, 255, 12], np.uint32), "z": I([31, 1, 40, 32], np.uint32)}
    shifts_wanted = {"LEFT": I([2**31, 0, 0, 0], np.uint32), "RIGHT": I([0, 2**30, 0, 0], np.uint32)}
    return [
        *(Trap(f"uint64_{name}", name, pair, opset=18) for name in names),
        Trap("uint64_reduce_sum", "ReduceSum", {"x": big}, {"keepdims": 0}),
        Trap("uint64_where", [node("Greater", ["x", "z"], ["c"]), node("Where", ["c", "x", "z"], ["y"])], pair),
        Trap("uint64_shift", "BitShift", {"x": big, "z": u64(1, 3, 2)}, {"direction": "RIGHT"}),
        *(
            Trap(f"uint32_shift_{way}", "BitShift", shifts, {"direction": way}, wanted=[[shifts_wanted[way]]])
            for way in shifts_wanted
        ),
        Trap("int64_div_truncates", "Div", signs),
        Trap("int64_mod_sign", "Mod", signs),
        Trap("int64_fmod_sign", "Mod", signs, {"fmod": 1}),
        Trap("float_fmod_sign", "Mod", floats, {"fmod": 1}),
        Trap("int8_wraps_add", "Add", i8),
        Trap("int8_wraps_mul", "Mul", i8),
        Trap("int_pow_float", "Pow", {"x": I([2, 3, 9]), "z": np.float32([2, 2, 0.5])}),
        Trap("float_pow_int", "Pow", {"x": np.float32([2, 3, -2]), "z": I([2, -1, 3])}),
        Trap("int_pow_int", "Pow", {"x": I([2, -3, 5]), "z": I([10, 3, 0])}),
        Trap("int32_abs_sign", [node("Abs", ["x"], ["a"]), node("Sign", ["a"], ["y"])], {"x": I([-3, 0, 5], np.int32)}),
        Trap("int_mean", "ReduceMean", {"x": I([[1, 2], [-3, -4]], np.int32)}, {"axes": [1]}),
        Trap("int_l2", "ReduceL2", {"x": I([[1, 2], [3, 4]], np.int32)}, {"axes": [1]}),
        Trap("int64_exact_sum", "Sum", {"x": I([2**53 + 1]), "z": I([1])}, wanted=[[I([2**53 + 2])]]),
        Trap("int64_exact_max", "Max", {"x": I([2**53 + 1]), "z": I([2**53])}),
        Trap(
            "int32_matmul_beyond_float",
            "MatMul",
            {"x": I([[2**24 + 1, 3]], np.int32)},
            weights={"w": I([[1], [5]], np.int32)},
        ),
        Trap("int32_mean_beyond_float", "ReduceMean", {"x": I([2**24 + 1, 2**24 + 1], np.int32)}),
        Trap("int64_matmul", "MatMul", {"x": I([[2**31 + 1, 3]]), "z": I([[2**31], [5]])}),
        Trap("int64_argmax_exact", "ArgMax", {"x": I([2**53, 2**53 + 1])}),
        Trap("int64_clip_exact", "Clip", {"x": I([2**53 + 1, 7])}, weights={"low": I(2**53 - 1)}),
        Trap("uint8_neg_reduce_min", "ReduceMin", {"x": I([[200, 3], [255, 254]], np.uint8)}, {"axes": [1]}),
        Trap("round_half_even", "Round", {"x": np.float32([0.5, 1.5, 2.5, -0.5, -2.5])}),
    ]


def reductions() -> list[Trap]:
    empty = {"axes": I([], np.int64)}
    x, nan = {"x": f(2, 3, 4)}, {"x": np.float32([[1, np.nan, 3], [np.nan, 2, 1]])}
    return [
        Trap("reduce_negative_axes", "ReduceSum", batches(3, 4), {"keepdims": 0}, {"axes": I([-1, 1])}, 18),
        Trap("reduce_all_by_default", "ReduceMean", x, {"keepdims": 1}, opset=18),
        Trap("reduce_empty_axes_all", "ReduceMax", x, weights=empty, opset=18),
        *(
            Trap(
                f"reduce_empty_axes_noop_{name}",
                name,
                {"x": np.abs(f(2, 3)) + 1},
                {"noop_with_empty_axes": 1},
                empty,
                18,
            )
            for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceProd")
        ),
        *(
            Trap(
                f"reduce_empty_axes_noop_{name}",
                name,
                {"x": np.float32([[-2, 3]])},
                {"noop_with_empty_axes": 1},
                empty,
                18,
                wanted=[[np.float32(wanted)]],
            )
            for name, wanted in {
                "ReduceL1": [[2, 3]],
                "ReduceL2": [[2, 3]],
                "ReduceSumSquare": [[4, 9]],
                "ReduceLogSumExp": [[-2, 3]],
            }.items()
        ),
        Trap(
            "reduce_empty_axes_noop_ReduceLogSum",
            "ReduceLogSum",
            {"x": np.float32([[2, 3]])},
            {"noop_with_empty_axes": 1},
            empty,
            18,
            wanted=[[np.log(np.float32([[2, 3]]))]],
        ),
        Trap("reduce_max_nan", "ReduceMax", nan, {"axes": [1]}),
        Trap(
            "argmax_last_of_equals",
            "ArgMax",
            {"x": np.float32([[2, 2, 1], [0, 5, 5]])},
            {"axis": -1, "select_last_index": 1},
        ),
        Trap("argmin_no_keepdims", "ArgMin", batches(4), {"axis": -1, "keepdims": 0}),
        *(
            Trap(
                f"cumsum_{exclusive}{reverse}",
                "CumSum",
                batches(4),
                {"exclusive": exclusive, "reverse": reverse},
                {"axis": I(-1)},
            )
            for exclusive in (0, 1)
            for reverse in (0, 1)
        ),
        Trap(
            "cumsum_exclusive_of_infinity",
            "CumSum",
            {"x": np.float32([1, np.inf, 2])},
            {"exclusive": 1},
            {"axis": I(0)},
            wanted=[[np.float32([0, 1, np.inf])]],
        ),
        Trap("logsumexp_large", "ReduceLogSumExp", {"x": np.float32([[1000, 1000], [-1000, -1000]])}, {"axes": [1]}),
        Trap(
            "softmax_1_flattens",
            "Softmax",
            batches(3, 4),
            {"axis": 1},
            opset=11,
            wanted=[[_softmax_from(f(2, 3, 4), 1)], [_softmax_from(f(3, 3, 4), 1)]],
        ),
        Trap("softmax_13_default_axis", "Softmax", batches(3, 4), opset=13),
        Trap("topk_smallest", "TopK", batches(6), {"largest": 0}, {"k": I([3])}, outputs=("y", "i")),
        Trap("topk_ties", "TopK", {"x": np.float32([[1, 3, 3, 3, 2]])}, weights={"k": I([2])}, outputs=("y", "i")),
        Trap(
            "topk_smallest_ints",
            "TopK",
            {"x": I([[-(2**63), 5, 2**63 - 1]])},
            {"largest": 0},
            {"k": I([2])},
            outputs=("y", "i"),
        ),
        Trap(
            "topk_uint8_smallest",
            "TopK",
            {"x": I([[3, 0, 255]], np.uint8)},
            {"largest": 0},
            {"k": I([2])},
            outputs=("y", "i"),
        ),
        Trap("hardmax_ties", "Hardmax", {"x": np.float32([[1, 3, 3]])}),
    ]


def _softmax_from(x: Any, axis: int) -> Any:
    flat = x.reshape(*x.shape[:axis], -1)
    e = np.exp(flat - flat.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).reshape(x.shape)


def elementwise() -> list[Trap]:
    edge = {"x": np.float32([-np.inf, -2, -0.0, 0, 2, np.inf, np.nan])}
    return [
        Trap("clip_only_max", "Clip", batches(4), inputs=("x", "", "high"), weights={"high": np.float32(0.3)}),
        Trap("clip_only_min", "Clip", batches(4), weights={"low": np.float32(0.3)}),
        Trap(
            "clip_min_above_max",
            "Clip",
            batches(4),
            weights={"low": np.float32(1), "high": np.float32(-1)},
            wanted=[[np.full((2, 4), -1, np.float32)], [np.full((3, 4), -1, np.float32)]],
        ),
        Trap(
            "clip_6_infinity",
            "Clip",
            edge,
            opset=6,
            wanted=[[np.clip(edge["x"], -3.4028234663852886e38, 3.4028234663852886e38)]],
        ),
        Trap("max_nan", "Max", {"x": np.float32([np.nan, 1]), "z": np.float32([2, np.nan])}),
        Trap("sign_nan", "Sign", {"x": np.float32([-2, 0, 3])}),
        Trap("isinf_only_negative", "IsInf", edge, {"detect_positive": 0}, opset=20),
        Trap("isinf_only_positive", "IsInf", edge, {"detect_negative": 0}, opset=20),
        Trap("isinf_none", "IsInf", edge, {"detect_negative": 0, "detect_positive": 0}, opset=20),
        Trap("elu_large", "Elu", {"x": np.float32([-100, -1, 0, 100])}, {"alpha": 0.5}),
        Trap("celu", "Celu", batches(4), {"alpha": 2.0}),
        Trap("softplus_large", "Softplus", {"x": np.float32([-100, 0, 100])}),
        Trap("gelu_tanh", "Gelu", batches(4), {"approximate": "tanh"}, opset=20),
        Trap("hard_sigmoid", "HardSigmoid", {"x": np.float32([-9, -0.3, 0.4, 9])}, {"alpha": 0.3, "beta": 0.4}),
        Trap("thresholded_at_alpha", "ThresholdedRelu", {"x": np.float32([0.5, 0.6, -1])}, {"alpha": 0.5}),
        Trap("shrink", "Shrink", {"x": np.float32([-2, -0.5, 0.5, 2])}, {"bias": 1.0, "lambd": 0.5}),
        Trap("prelu_channels", "PRelu", [{"x": f(2, 3, 4)}, {"x": f(3, 3, 4)}], weights={"slope": f(3, 1)}),
        Trap(
            "add_6_axis",
            "Add",
            {"x": f(2, 3, 3)},
            {"broadcast": 1, "axis": 1},
            {"b": f(3)},
            6,
            wanted=[[f(2, 3, 3) + f(3)[:, None]]],
        ),
        Trap(
            "mul_6_axis",
            "Mul",
            {"x": f(2, 3, 3)},
            {"broadcast": 1, "axis": 0},
            {"b": f(2)},
            6,
            wanted=[[f(2, 3, 3) * f(2)[:, None, None]]],
        ),
        Trap("mean_broadcasts", "Mean", {"x": f(2, 3), "z": f(3), "u": f(2, 1)}),
        Trap("sum_broadcasts", "Sum", {"x": f(3), "z": f(3, 1), "u": f(2, 1, 1)}),
        Trap("add_square", "Add", {"x": f(4, 4)}, weights={"b": f(4, 1)}),
        Trap("add_nchw_square", "Add", batches(3, 3, 3), weights={"b": f(3, 1, 1)}),
        Trap("dropout_mask", "Dropout", batches(4), outputs=("y", "mask"), opset=13),
        Trap(
            "dropout_training_false", "Dropout", batches(4), weights={"ratio": np.float32(0.5), "t": I(False)}, opset=13
        ),
        Trap(
            "dropout_training_nothing_dropped",
            "Dropout",
            batches(4),
            weights={"ratio": np.float32(0), "t": I(True)},
            opset=13,
        ),
        Trap("dropout_7_inference", "Dropout", batches(4), {"ratio": 0.5}, opset=7, wanted=[[f(2, 4)], [f(3, 4)]]),
    ]


def moves() -> list[Trap]:
    pad = {"x": f(2, 3, 4)}
    return [
        Trap(
            "pad_2_value",
            "Pad",
            batches(3),
            {"pads": [0, 1, 0, 2], "value": 1.5},
            opset=10,
            wanted=[[np.pad(x["x"], [(0, 0), (1, 2)], constant_values=1.5)] for x in batches(3)],
        ),
        Trap(
            "pad_2_value_negative",
            "Pad",
            batches(4),
            {"pads": [0, -1, 0, 2], "value": 1.5},
            opset=10,
            wanted=[[np.pad(x["x"][:, 1:], [(0, 0), (0, 2)], constant_values=1.5)] for x in batches(4)],
        ),
        Trap("pad_int_default", "Pad", {"x": I([[1, 2]])}, weights={"p": I([0, 1, 0, 1])}),
        Trap(
            "pad_negative",
            "Pad",
            pad,
            weights={"p": I([0, -1, 1, 0, 0, -1])},
            wanted=[[np.pad(f(2, 3, 4)[:, 1:, :3], [(0, 0), (0, 0), (1, 0)])]],
        ),
        Trap(
            "pad_axes_negative",
            "Pad",
            pad,
            inputs=("x", "p", "", "axes"),
            weights={"p": I([1, 2]), "axes": I([-1])},
            opset=18,
        ),
        Trap("pad_reflect", "Pad", pad, {"mode": "reflect"}, {"p": I([0, 0, 2, 0, 1, 3])}),
        Trap(
            "pad_reflect_twice_around",
            "Pad",
            {"x": f(1, 3)},
            {"mode": "reflect"},
            {"p": I([0, 0, 0, 5])},
            wanted=[[f(1, 3)[:, [0, 1, 2, 1, 0, 1, 2, 1]]]],
        ),
        Trap("pad_wrap", "Pad", {"x": f(2, 4)}, {"mode": "wrap"}, {"p": I([0, 2, 0, 3])}, opset=19),
        Trap("pad_wrap_beyond", "Pad", {"x": f(1, 2)}, {"mode": "wrap"}, {"p": I([0, 3, 0, 4])}, opset=19),
        Trap(
            "pad_edge_cut",
            "Pad",
            {"x": f(2, 4)},
            {"mode": "edge"},
            {"p": I([0, -1, 0, 2])},
            wanted=[[np.pad(f(2, 4)[:, 1:], [(0, 0), (0, 2)], "edge")]],
        ),
        Trap(
            "slice_backwards",
            "Slice",
            batches(5),
            weights={"s": I([-1]), "e": I([-(2**31)]), "a": I([1]), "t": I([-2])},
        ),
        Trap("slice_negative_batch", "Slice", batches(5), weights={"s": I([-1]), "e": I([2**31 - 1]), "a": I([0])}),
        Trap(
            "slice_batch_backwards",
            "Slice",
            batches(5),
            weights={"s": I([2**63 - 1]), "e": I([-(2**63)]), "a": I([0]), "t": I([-1])},
        ),
        Trap(
            "slice_batch_backwards_part",
            "Slice",
            [{"x": f(4, 2)}, {"x": f(5, 2)}],
            weights={"s": I([-1]), "e": I([-9]), "a": I([0]), "t": I([-2])},
        ),
        Trap("slice_clamped", "Slice", batches(5), weights={"s": I([-9]), "e": I([99]), "a": I([-1])}),
        Trap("slice_empty", "Slice", {"x": f(2, 5)}, weights={"s": I([4]), "e": I([2]), "a": I([1])}),
        Trap("gather_negative", "Gather", batches(5), {"axis": 1}, {"i": I([[-1, 0], [2, -5]])}),
        Trap("gather_negative_batch", "Gather", batches(5), {"axis": 0}, {"i": I([-1, 0])}),
        Trap("gather_scalar", "Gather", batches(5), {"axis": -1}, {"i": I(-2)}),
        Trap(
            "gather_elements_negative",
            "GatherElements",
            {"x": f(3, 3)},
            {"axis": -1},
            {"i": I([[-1, 0, 0], [1, -3, 2], [2, -2, 1]])},
        ),
        Trap(
            "gather_elements_batch",
            "GatherElements",
            [{"x": f(2, 4), "i": I([[-1], [2]])}, {"x": f(3, 4), "i": I([[-1], [2], [0]])}],
            {"axis": 1},
        ),
        Trap("gather_nd_negative", "GatherND", {"x": f(2, 3, 2)}, weights={"i": I([[-1, 0], [0, -2]])}),
        Trap("scatter_nd_negative", "ScatterND", {"x": f(4, 2)}, weights={"i": I([[-1], [0]]), "u": f(2, 2, start=20)}),
        Trap(
            "scatter_nd_add_twice",
            "ScatterND",
            {"x": f(4)},
            {"reduction": "add"},
            {"i": I([[1], [1]]), "u": np.float32([1, 2])},
        ),
        Trap("split_uneven", "Split", batches(7), {"axis": -1, "num_outputs": 3}, opset=18, outputs=("a", "b", "y")),
        Trap("split_sizes", "Split", batches(7), {"axis": 1}, {"s": I([2, 4, 1])}, outputs=("a", "b", "y")),
        Trap("reshape_zero_and_minus", "Reshape", batches(3, 4), weights={"s": I([0, -1])}),
        Trap("reshape_allowzero", "Reshape", {"x": f(0, 3)}, {"allowzero": 1}, {"s": I([3, 0])}),
        Trap("flatten_negative", "Flatten", {"x": f(2, 3, 4)}, {"axis": -1}),
        Trap("flatten_0", "Flatten", {"x": f(2, 3)}, {"axis": 0}),
        Trap("squeeze_axes", "Squeeze", [{"x": f(2, 1, 3)}, {"x": f(3, 1, 3)}], weights={"a": I([-2])}),
        Trap("squeeze_all", "Squeeze", {"x": f(1, 3, 1)}),
        Trap("unsqueeze_negative", "Unsqueeze", batches(3), weights={"a": I([-1, 1])}),
        Trap("transpose_default", "Transpose", batches(3, 4)),
        Trap("concat_negative", "Concat", {"x": f(2, 3), "z": f(2, 1)}, {"axis": -1}),
        Trap("expand_both_ways", "Expand", {"x": f(3, 1)}, weights={"s": I([2, 1, 4])}),
        Trap("tile_batch", "Tile", batches(3), weights={"r": I([1, 2])}),
        Trap("nonzero", "NonZero", {"x": I([[1, 0], [1, 1]])}),
        Trap("trilu_negative_k", "Trilu", batches(3, 3), {"upper": 0}, {"k": I(-1)}),
        Trap(
            "onehot_negative_axis", "OneHot", {"x": I([0, -1, 5])}, {"axis": 0}, {"d": I(3), "v": np.float32([-1, 2])}
        ),
        Trap("depth_to_space_crd", "DepthToSpace", batches(8, 2, 3), {"blocksize": 2, "mode": "CRD"}),
        Trap("depth_to_space_dcr", "DepthToSpace", batches(8, 2, 3), {"blocksize": 2}),
        Trap("space_to_depth", "SpaceToDepth", batches(2, 4, 6), {"blocksize": 2}),
        Trap("eye_k", "EyeLike", {"x": f(3, 4)}, {"k": -1}),
        Trap("shape_slice", "Shape", batches(3, 4), {"start": -2}),
        Trap("reverse_sequence", "ReverseSequence", {"x": f(4, 2)}, weights={"n": I([1, 3])}),
        Trap("compress_flat", "Compress", {"x": f(2, 3)}, weights={"c": I([False, True, True])}),
        Trap("where_broadcast", "Where", {"c": I([[True], [False]]), "x": f(3), "z": f(2, 3)}),
        Trap("range_floats", "Range", {"x": np.float32(1), "l": np.float32(0), "d": np.float32(-0.3)}),
        Trap("einsum_diagonal", "Einsum", {"x": f(3, 3)}, {"equation": "ii->i"}),
        Trap("einsum_implicit", "Einsum", {"x": f(2, 3), "z": f(3, 2)}, {"equation": "ij, jk"}),
        Trap("einsum_ellipsis", "Einsum", {"x": f(2, 3, 4), "z": f(2, 4, 2)}, {"equation": "...ij,...jk->...ik"}),
    ]


def windows() -> list[Trap]:
    weight = {"w": f(3, 2, 3, 3)}
    image = [{"x": f(2, 2, 6, 5)}, {"x": f(3, 2, 6, 5)}]
    transposed = {"w": f(2, 3, 3, 3)}
    return [
        Trap("maxpool_same_lower", "MaxPool", image, {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}),
        Trap("maxpool_same_upper_strides", "MaxPool", image, {"auto_pad": "SAME_UPPER", **POOL}),
        Trap("maxpool_ceil", "MaxPool", image, {"ceil_mode": 1, **POOL}),
        Trap("maxpool_ceil_pads", "MaxPool", {"x": IMAGE}, {"ceil_mode": 1, "pads": [1, 1, 1, 1], **POOL}),
        Trap("maxpool_of_negatives", "MaxPool", {"x": -IMAGE}, {"pads": [1, 1, 1, 1], **POOL}),
        Trap(
            "maxpool_indices_storage_order", "MaxPool", {"x": IMAGE}, {"storage_order": 1, **POOL}, outputs=("y", "i")
        ),
        Trap("maxpool_uint8", "MaxPool", {"x": IMAGE.astype(np.uint8)}, {**POOL}),
        Trap("maxpool_dilated", "MaxPool", {"x": IMAGE}, {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        Trap("averagepool_same_lower", "AveragePool", {"x": IMAGE}, {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}),
        Trap("averagepool_pads", "AveragePool", image, {"pads": [1, 1, 1, 1], **POOL}),
        Trap("averagepool_pads_counted", "AveragePool", image, {"pads": [1, 1, 1, 1], "count_include_pad": 1, **POOL}),
        Trap("averagepool_uneven_pads", "AveragePool", {"x": IMAGE}, {"pads": [0, 1, 1, 0], **POOL}),
        Trap("averagepool_ceil", "AveragePool", {"x": f(1, 1, 6, 6)}, {"ceil_mode": 1, **POOL}, opset=19),
        Trap(
            "averagepool_ceil_counted",
            "AveragePool",
            {"x": f(1, 1, 6, 6)},
            {"ceil_mode": 1, "count_include_pad": 1, "pads": [1, 1, 1, 1], **POOL},
            opset=19,
        ),
        Trap(
            "conv_same_lower",
            "Conv",
            image,
            {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
            {"w": f(3, 2, 2, 2)},
            wanted=None,
        ),
        Trap("conv_same_upper_dilated", "Conv", image, {"auto_pad": "SAME_UPPER", "dilations": [2, 2]}, weight),
        Trap("conv_uneven_pads", "Conv", image, {"pads": [0, 1, 2, 0]}, weight),
        Trap("conv_groups", "Conv", [{"x": f(2, 4, 5)}, {"x": f(3, 4, 5)}], {"group": 2}, {"w": f(6, 2, 3), "b": f(6)}),
        Trap("conv_depthwise_multiplier", "Conv", image, {"group": 2}, {"w": f(4, 1, 3, 3), "b": f(4)}),
        Trap("conv_strided_dilated", "Conv", image, {"strides": [2, 1], "dilations": [1, 2]}, {"w": f(3, 2, 2, 2)}),
        Trap(
            "conv_bias_channels_equal_width",
            "Conv",
            [{"x": f(2, 2, 5, 5)}, {"x": f(3, 2, 5, 5)}],
            weights={"w": f(3, 2, 3, 3), "b": f(3)},
        ),
        Trap(
            "convtranspose_pads",
            "ConvTranspose",
            image,
            {"pads": [1, 0, 0, 1], "strides": [2, 2]},
            {**transposed, "b": f(3)},
        ),
        Trap(
            "convtranspose_output_padding",
            "ConvTranspose",
            image,
            {"strides": [2, 3], "output_padding": [1, 1]},
            {**transposed, "b": f(3)},
        ),
        Trap(
            "convtranspose_same_upper",
            "ConvTranspose",
            {"x": f(1, 2, 3, 3)},
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            transposed,
        ),
        Trap(
            "convtranspose_same_lower",
            "ConvTranspose",
            {"x": f(1, 2, 3, 3)},
            {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
            transposed,
        ),
        Trap(
            "convtranspose_output_shape",
            "ConvTranspose",
            {"x": f(1, 2, 3, 3)},
            {"strides": [3, 2], "output_shape": [10, 8]},
            transposed,
        ),
        Trap("convtranspose_dilated", "ConvTranspose", {"x": f(1, 2, 3, 3)}, {"dilations": [2, 2]}, transposed),
        Trap("global_average", "GlobalAveragePool", image),
        Trap("lrn_even", "LRN", {"x": f(5, 5, 3, 3)}, {"size": 4, "alpha": 0.5}),
    ]


def normalisations() -> list[Trap]:
    image = [{"x": f(2, 4, 3, 3)}, {"x": f(3, 4, 3, 3)}]
    scale, spread = {"s": f(4), "b": f(4, start=4)}, {"m": f(4, start=8), "v": np.abs(f(4, start=12)) + 0.5}
    each = {"s": f(3, 4), "b": f(3, 4, start=12), "m": f(3, 4, start=24), "v": np.abs(f(3, 4, start=36)) + 0.5}
    x = [{"x": f(2, 3, 4)}, {"x": f(3, 3, 4)}]
    element = [[(r["x"] - each["m"]) / np.sqrt(each["v"] + np.float32(1e-5)) * each["s"] + each["b"]] for r in x]
    channel = [
        [(r["x"] - spread["m"][:, None, None]) / np.sqrt(spread["v"] + np.float32(1e-5))[:, None, None]
         * scale["s"][:, None, None] + scale["b"][:, None, None]]
        for r in image
    ]  # fmt: skip
    return [
        Trap("batchnorm_spatial_0", "BatchNormalization", x, {"spatial": 0}, each, 7, wanted=element),
        Trap("batchnorm_7", "BatchNormalization", image, {}, {**scale, **spread}, 7, wanted=channel),
        Trap("batchnorm_epsilon", "BatchNormalization", image, {"epsilon": 0.1}, {**scale, **spread}, 15),
        Trap("batchnorm_rank_2", "BatchNormalization", batches(4), {}, {**scale, **spread}, 15),
        Trap(
            "batchnorm_training",
            "BatchNormalization",
            image,
            {"training_mode": 1},
            {**scale, **spread},
            15,
            outputs=("y", "m2", "v2"),
        ),
        Trap(
            "batchnorm_training_y",
            "BatchNormalization",
            image,
            {"training_mode": 1},
            {**scale, **spread},
            15,
            outputs=("y",),
            wanted=[[_batch(r["x"], scale)] for r in image],
        ),
        Trap("layernorm_three_outputs", "LayerNormalization", x, {"axis": -1}, scale, 17, outputs=("y", "m", "d")),
        Trap(
            "layernorm_middle_axis",
            "LayerNormalization",
            x,
            {"axis": 1, "epsilon": 1e-2},
            {"s": f(3, 4), "b": f(3, 4)},
            17,
        ),
        Trap("layernorm_broadcast_scale", "LayerNormalization", x, {"axis": 1}, {"s": f(4)}, 17),
        Trap("instancenorm", "InstanceNormalization", image, {"epsilon": 1e-2}, scale),
        Trap("groupnorm_21", "GroupNormalization", image, {"num_groups": 2}, scale, 21),
        Trap("lpnorm_zero", "LpNormalization", {"x": np.float32([[0, 0], [3, 4]])}, {"p": 2}, opset=22),
        Trap("rmsnorm", "RMSNormalization", x, {"axis": -1, "epsilon": 1e-2}, {"s": f(4)}, 23),
        Trap("mvn_default_axes", "MeanVarianceNormalization", image),
    ]


def _batch(x: Any, scale: Feeds) -> Any:
    """Normalised by the batch's own mean and variance."""
    axes = (0, 2, 3)
    normal = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return (normal * scale["s"][:, None, None] + scale["b"][:, None, None]).astype(np.float32)


def resizes() -> list[Trap]:
    x = {"x": f(1, 1, 4, 5)}
    down, up = np.float32([1, 1, 0.6, 0.6]), np.float32([1, 1, 1.7, 2])

    def row(name: str, attributes: dict[str, Any], sizes: Any = None, scales: Any = None, axes: Any = None) -> Trap:
        weights = {"scales": scales} if scales is not None else {"sizes": I(sizes)}
        inputs = ("x", "", "scales") if scales is not None else ("x", "", "", "sizes")
        return Trap(f"resize_{name}", "Resize", x, attributes, weights, 19, inputs=inputs)

    modes = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
    nearest = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    transform = "coordinate_transformation_mode"
    return [
        *(
            row(f"{mode}_{transformation}", {"mode": mode, transform: transformation}, [1, 1, 7, 3])
            for mode in ("linear", "cubic", "nearest")
            for transformation in modes
        ),
        *(row(f"nearest_{kind}", {"nearest_mode": kind, transform: "asymmetric"}, scales=up) for kind in nearest),
        row("cubic_coeff", {"mode": "cubic", "cubic_coeff_a": -0.5}, scales=up),
        row("cubic_exclude_outside", {"mode": "cubic", "exclude_outside": 1}, scales=up),
        row("antialias", {"mode": "linear", "antialias": 1}, scales=down),
        row("antialias_cubic", {"mode": "cubic", "antialias": 1}, scales=down),
        row("not_larger", {"mode": "linear", "keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]}, [7, 8]),
        row("not_smaller", {"mode": "nearest", "keep_aspect_ratio_policy": "not_smaller", "axes": [2, 3]}, [7, 8]),
        row("axes_swapped", {"mode": "linear", "axes": [3, 2]}, [8, 6]),
        row("to_one", {"mode": "linear", transform: "pytorch_half_pixel"}, [1, 1, 1, 1]),
        Trap(
            "resize_10_linear",
            "Resize",
            {"x": f(1, 1, 3, 3)},
            {"mode": "linear"},
            {"s": np.float32([1, 1, 2, 2])},
            10,
            wanted=[[_doubled(f(1, 1, 3, 3))]],
        ),
        Trap(
            "resize_uint8_linear",
            "Resize",
            {"x": I([[[[0, 255, 10]]]], np.uint8)},
            {"mode": "linear"},
            {"scales": np.float32([1, 1, 1, 2])},
            19,
            inputs=("x", "", "scales"),
            wanted=[[I([[[[0, 63, 191, 193, 71, 10]]]], np.uint8)]],
        ),
    ]


def _doubled(x: Any) -> Any:
    """Twice as large along both spatial axes: every second place is halfway to the next element."""
    for axis in (2, 3):
        after = np.concatenate([np.delete(x, 0, axis), np.take(x, [-1], axis)], axis)
        x = np.stack([x, (x + after) / 2], axis + 1).reshape([2 * n if a == axis else n for a, n in enumerate(x.shape)])
    return x


def products() -> list[Trap]:
    return [
        Trap("gemm_factors", "Gemm", batches(3), {"alpha": 0.5, "beta": 2.0, "transB": 1}, {"w": f(4, 3), "c": f(4)}),
        Trap("gemm_beta_only", "Gemm", batches(3), {"beta": 2.0}, {"w": f(3, 4), "c": f(1, 4)}),
        Trap("gemm_square_c", "Gemm", {"x": f(4, 3)}, {}, {"w": f(3, 4), "c": f(4, 1)}),
        Trap("gemm_transA", "Gemm", {"x": f(3, 2)}, {"transA": 1}, {"w": f(3, 4), "c": np.float32(2)}),
        Trap(
            "gemm_6_broadcast",
            "Gemm",
            batches(3),
            {"broadcast": 1},
            {"w": f(3, 4), "c": f(4)},
            6,
            wanted=[[r["x"] @ f(3, 4) + f(4)] for r in batches(3)],
        ),
        Trap("matmul_vector", "MatMul", batches(3), weights={"w": f(3)}),
        Trap("matmul_constant_left", "MatMul", {"x": f(2, 3, 4)}, inputs=("w", "x"), weights={"w": f(5, 3)}),
        Trap("matmul_batched_constant", "MatMul", [{"x": f(2, 2, 3)}, {"x": f(2, 4, 3)}], weights={"w": f(2, 3, 4)}),
        Trap(
            "matmul_integer",
            "MatMulInteger",
            {"x": I([[1, 200]], np.uint8)},
            weights={"w": I([[3], [-4]], np.int8), "a": I(5, np.uint8)},
        ),
        Trap(
            "quantize_half_even",
            "QuantizeLinear",
            {"x": np.float32([0.5, 1.5, 2.5, -9, 300])},
            weights={"s": np.float32(1), "z": I(1, np.uint8)},
        ),
        Trap(
            "quantize_axis_default",
            "QuantizeLinear",
            {"x": f(2, 3, 2)},
            weights={"s": np.float32([1, 0.5, 2]), "z": I([1, 2, 3], np.int8)},
        ),
        Trap(
            "dequantize_axis",
            "DequantizeLinear",
            {"x": I([[1, 2], [3, 255]], np.uint8)},
            {"axis": 0},
            {"s": np.float32([1, 0.5]), "z": I([128, 1], np.uint8)},
            21,
        ),
    ]


def graphs() -> list[Trap]:
    split = [node("Split", ["x"], ["a", "b"], axis=1), node("Relu", ["a"], ["unused"])]
    bias = {"w": f(3, 4), "b": f(4)}
    return [
        Trap("outputs_in_another_order", split[:1], batches(4), outputs=("b", "a")),
        Trap("input_is_output", [node("Relu", ["x"], ["y"])], batches(4), outputs=("x", "y")),
        Trap(
            "same_output_through_identity",
            [node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])],
            batches(4),
            outputs=("z", "y"),
        ),
        Trap("input_through_identity", [node("Identity", ["x"], ["y"])], batches(4)),
        Trap("second_output_alone", [node("TopK", ["x", "k"], ["unread", "y"])], batches(4), weights={"k": I([2])}),
        Trap(
            "matmul_add", [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])], batches(3), weights=bias
        ),
        Trap(
            "bias_first",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["b", "p"], ["y"])],
            batches(5, 3),
            weights=bias,
        ),
        Trap(
            "product_read_twice",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["q"]), node("Mul", ["p", "q"], ["y"])],
            batches(3),
            weights=bias,
        ),
        Trap(
            "product_is_output",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights=bias,
            outputs=("p", "y"),
        ),
        Trap(
            "bias_raises_rank",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights={"w": f(3, 4), "b": f(2, 1, 4)},
        ),
        Trap(
            "bias_per_row",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            {"x": f(4, 3)},
            weights={"w": f(3, 4), "b": f(4, 1)},
        ),
        Trap(
            "bias_widens_one_column",
            [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(3),
            weights={"w": f(3, 1), "b": f(4)},
        ),
        Trap(
            "conv_add",
            [node("Conv", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "b": f(3, 1, 1)},
        ),
        Trap(
            "conv_add_per_column",
            [node("Conv", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "b": f(3)},
        ),
        Trap(
            "conv_with_bias_add",
            [node("Conv", ["x", "w", "c"], ["p"]), node("Add", ["p", "b"], ["y"])],
            batches(2, 5, 5),
            weights={"w": f(3, 2, 3, 3), "c": f(3), "b": f(3, 1, 1)},
        ),
        Trap(
            "transpose_square",
            [node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), node("Add", ["t", "b"], ["y"])],
            batches(3, 3, 3),
            weights={"b": f(3, 1)},
        ),
        Trap(
            "equal_axes_cnn",
            [
                node("Conv", ["x", "w"], ["p"], pads=[1, 1, 1, 1]),
                node("Add", ["p", "x"], ["q"]),
                node("ReduceMean", ["q"], ["m"], axes=[1], keepdims=1),
                node("Mul", ["q", "m"], ["r"]),
                node("Reshape", ["r", "s"], ["y"]),
            ],
            batches(4, 4, 4),
            weights={"w": f(4, 4, 3, 3) / 50, "s": I([0, -1])},
        ),
    ]


def free_sizes() -> list[Trap]:
    """Sizes that are known only when the model runs, where a shape cannot simply be left open."""
    images = [{"x": f(1, 3, 7, 9)}, {"x": f(2, 3, 10, 6)}]
    rows = [{"x": f(2, 5, 12)}, {"x": f(3, 4, 12)}]
    heads = node("Reshape", ["x", "split"], ["s"]), node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3])
    doubled = node("Reshape", ["t", "merged"], ["y"])
    size_of = [node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "two", "four", "zero"], ["hw"])]
    twice = [*size_of, node("Mul", ["hw", "two"], ["double"]), node("Concat", ["nc", "double"], ["sizes"], axis=0)]
    numbers = {"zero": I([0]), "two": I([2]), "four": I([4])}
    lead = [node("Slice", ["shape", "zero", "two", "zero"], ["nc"])]
    found = [
        Trap("reshape_heads", [*heads, doubled], rows, weights={"split": I([0, -1, 3, 4]), "merged": I([-1, 3, 4])}),
        Trap(
            "heads_merged_behind_two_free_sizes",
            [
                *heads, node("Transpose", ["t"], ["back"], perm=[0, 2, 1, 3]), node("Shape", ["x"], ["sh"]),
                node("Slice", ["sh", "zero", "two", "zero"], ["bt"]),
                node("Concat", ["bt", "minus"], ["target"], axis=0), node("Reshape", ["back", "target"], ["joined"]),
                node("MatMul", ["joined", "w"], ["y"]),
            ],
            rows,
            weights={"split": I([0, -1, 3, 4]), "zero": I([0]), "two": I([2]), "minus": I([-1]), "w": f(12, 5)},
        ),
        Trap(
            "reshape_batch_and_heads_into_one",
            [
                *heads, node("Shape", ["t"], ["sh"]), node("Gather", ["sh", "at"], ["len"]),
                node("Concat", ["minus", "len", "last"], ["target"], axis=0), node("Reshape", ["t", "target"], ["y"]),
            ],
            rows,
            weights={"split": I([0, -1, 3, 4]), "at": I([2]), "minus": I([-1]), "last": I([4])},
        ),
        Trap(
            "channels_shuffled_in_an_image_of_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "two", "four", "zero"], ["hw"]),
                node("Slice", ["shape", "zero", "one", "zero"], ["n"]),
                node("Concat", ["n", "groups", "hw"], ["apart"], axis=0), node("Reshape", ["x", "apart"], ["a"]),
                node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["b", "shape"], ["c"]),
                node("Reshape", ["c", "apart"], ["d"]), node("Reshape", ["d", "shape"], ["e"]),
                node("Add", ["c", "e"], ["y"]),
            ],
            [{"x": f(1, 6, 3, 4)}, {"x": f(2, 6, 5, 2)}],
            weights={"one": I([1]), "groups": I([2, 3]), **numbers},
        ),
        Trap(
            "reshape_one_open_axis_into_two",
            [
                node("Reshape", ["x", "flat"], ["rows"]), node("Mul", ["rows", "factor"], ["scaled"]),
                node("Shape", ["x"], ["shape"]), node("Reshape", ["scaled", "shape"], ["y"]),
            ],
            rows,
            weights={"flat": I([-1, 12]), "factor": np.arange(12, dtype=np.float32)},
        ),
        Trap("conv_same_upper_of_free_size", "Conv", images, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, KERNEL),
        Trap("conv_same_lower_of_free_size", "Conv", images, {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, KERNEL),
        Trap("pool_ceil_of_free_size", "MaxPool", images, {"ceil_mode": 1, "pads": [1, 1, 1, 1], **POOL}),
        Trap("average_ceil_of_free_size", "AveragePool", images, {"ceil_mode": 1, "pads": [1, 0, 1, 1], **POOL}),
        Trap("pad_reflect_of_free_size", "Pad", images, {"mode": "reflect"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}),
        Trap("pad_edge_of_free_size", "Pad", images, {"mode": "edge"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}),
        Trap("pad_wrap_of_free_size", "Pad", images, {"mode": "wrap"}, {"pads": I([0, 0, 2, 3, 0, 0, 4, 1])}, opset=19),
        Trap("flatten_in_the_middle", "Flatten", images, {"axis": 2}),
        Trap("depth_to_space_after_free_size", "DepthToSpace", batches(8, 3, 5), {"blocksize": 2}),
        Trap(
            "expand_to_the_shape_of_another",
            [
                node("Shape", ["x"], ["shape"]), node("Expand", ["column", "shape"], ["e"]),
                node("Add", ["x", "e"], ["y"]),
            ],
            rows,
            weights={"column": f(5, 1)[:1]},
        ),
        Trap(
            "range_of_a_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "at"], ["n"]),
                node("Range", ["from", "n", "step"], ["places"]), node("Gather", ["x", "places"], ["y"], axis=1),
            ],
            rows,
            weights={"at": I(1), "from": I(1), "step": I(2)},
        ),
        Trap(
            "slice_to_half_of_a_free_size",
            [
                node("Shape", ["x"], ["shape"]), node("Slice", ["shape", "one", "two", "zero"], ["n"]),
                node("Div", ["n", "two"], ["half"]), node("Slice", ["x", "half", "n", "one"], ["y"]),
            ],
            rows,
            weights={"one": I([1]), **numbers},
        ),
        Trap(
            "grid_sample_of_free_size",
            "GridSample",
            [{"x": f(1, 2, 5, 4), "grid": f(1, 3, 6, 2) / 4}, {"x": f(2, 2, 3, 7), "grid": f(2, 4, 2, 2) / 4}],
            {"align_corners": 1, "padding_mode": "reflection"},
        ),
    ]  # fmt: skip
    for mode, coordinates in (
        ("nearest", "asymmetric"), ("nearest", "half_pixel"), ("linear", "half_pixel"), ("linear", "align_corners"),
        ("cubic", "half_pixel"), ("linear", "pytorch_half_pixel"),
    ):  # fmt: skip
        options = {"mode": mode, "coordinate_transformation_mode": coordinates}
        name = f"{mode}_{coordinates}_of_free_size"
        by_sizes = node("Resize", ["x", "", "", "sizes"], ["y"], **options)
        found += [
            Trap(f"resize_by_scale_{name}", [node("Resize", ["x", "", "scales"], ["y"], **options)], images,
                 weights={"scales": np.float32([1, 1, 1.7, 2])}),
            Trap(f"resize_to_sizes_{name}", [*twice[:2], *lead, *twice[2:], by_sizes],
                 images, weights=numbers),
        ]  # fmt: skip
    return found


def all_traps() -> list[Trap]:
    families = (
        casts,
        integers,
        reductions,
        elementwise,
        moves,
        windows,
        normalisations,
        resizes,
        products,
        graphs,
        free_sizes,
    )
    return [trap for family in families for trap in family()]


# Loops that are layers, which are named after their forms in `recurrent_cases`.
LOOPS = ("lstm, transposed weights, two biases", "gru, update exchanged", "gru, reset after", "rnn")


def loop_case(name: str) -> Case:
    model, data = recurrent_cases.FORMS[name].model(), []
    for sizes in ({"T": 1, "B": 1}, {"T": 4, "B": 3}):
        feeds = recurrent_cases.arrays(model, sizes)
        data.append((list(feeds.values()), list(ReferenceEvaluator(model).run(None, feeds))))
    return Case(name, model, data, 1e-5, 3e-6)


def cases() -> list[Case]:
    return [trap.case() for trap in all_traps()] + [loop_case(name) for name in LOOPS]


# What the Keras importer refuses, and says so.
REFUSED_BY_KERAS = frozenset({
    "cast_FLOAT8E4M3FNUZ_saturate0", "cast_FLOAT8E4M3FNUZ_saturate1",
    "cast_FLOAT8E4M3FN_saturate0", "cast_FLOAT8E4M3FN_saturate1", "cast_FLOAT8E5M2FNUZ_saturate0",
    "cast_FLOAT8E5M2FNUZ_saturate1", "cast_FLOAT8E5M2_saturate0", "cast_FLOAT8E5M2_saturate1",
    "cast_float_to_int4", "cast_float_to_uint4",
}) | {trap.name for trap in casts() if trap.name.startswith("cast_every_half")}  # fmt: skip
