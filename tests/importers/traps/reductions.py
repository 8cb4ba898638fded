"""Reductions: axes, empty ones, what they keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.importers.traps.trap import I, Trap, batches, f


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
