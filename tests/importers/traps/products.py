"""Products of matrices."""

from __future__ import annotations

import numpy as np

from tests.importers.traps.trap import I, Trap, batches, f


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
        Trap(
            "gemm_float64",
            "Gemm",
            [{"x": feeds["x"].astype(np.float64)} for feeds in batches(3)],
            {"transB": 1},
            {"w": f(4, 3).astype(np.float64), "c": f(4).astype(np.float64)},
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
