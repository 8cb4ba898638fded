"""Convolutions and pooling."""

from __future__ import annotations

import numpy as np

from tests.importers.traps.trap import IMAGE, POOL, Trap, f


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
