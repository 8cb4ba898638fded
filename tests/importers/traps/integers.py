"""Casts and integers: what saturates, wraps or rounds."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from tests.importers.traps.trap import FAR, HALVES, LARGE, NUMBERS, I, Trap, f, node, u64


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
