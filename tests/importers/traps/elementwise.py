"""Element by element: edges of their domain, broadcasting."""

from __future__ import annotations

import numpy as np

from tests.importers.traps.trap import I, Trap, batches, f


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
