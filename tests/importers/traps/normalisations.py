"""Normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.importers.traps.trap import Feeds, Trap, batches, f


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
