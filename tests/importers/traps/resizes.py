"""Resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.importers.traps.trap import I, Trap, f


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
