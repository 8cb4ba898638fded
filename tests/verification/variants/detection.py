"""Lies about the detection model."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import (
    DOUBLE,
    NOISE,
    WEIGHTS,
    Variant,
    replacing,
    setting,
    tf32,
    weight,
)


def _corners(module: Any) -> None:
    """Corners of boxes where centres and sizes are meant."""
    from types import MethodType

    import torch

    decode = type(module).decode

    def corners(self: Any, raw: Any) -> Any:
        centre, size = decode(self, raw).chunk(2, -1)
        return torch.cat([centre - size / 2, centre + size / 2], -1)

    module.decode = MethodType(corners, module)


def _exponential_sizes(module: Any) -> None:
    """Sizes as of older detectors: exp(t), not (2 sigmoid(t)) squared."""
    from types import MethodType

    import torch

    decode = type(module).decode

    def older(self: Any, raw: Any) -> Any:
        return torch.cat([decode(self, raw)[..., :2], raw[..., 2:4].exp() * self.anchors], -1)

    module.decode = MethodType(older, module)


def _grid_transposed(tensor: Any) -> Any:
    return tensor.flip(-1)


def _same_padding(module: Any) -> None:
    """TensorFlow's way: with a stride of 2 all of the padding is at the end."""
    from torch import nn

    module.first.padding = (0, 0)
    module.first = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), module.first)


VARIANTS = {name: variant for name, variant in WEIGHTS.items() if name != "bias_dropped"} | {
    "anchors_exchanged": Variant(weight("anchors", lambda tensor: tensor.flip(0))),
    "anchors_transposed": Variant(weight("anchors", lambda tensor: tensor.flip(1))),
    "grid_transposed": Variant(weight("grid", _grid_transposed)),
    "half_a_pixel": Variant(weight("grid", lambda tensor: tensor + 0.5)),
    "stride_doubled": Variant(setting("", stride=4.0)),
    "corners": Variant(_corners),
    "exponential_sizes": Variant(_exponential_sizes, ("Inf that the source does not have",)),
    "softmax_for_sigmoid": Variant(replacing("scores", lambda nn: nn.Softmax(-1))),
    "classes_from_one": Variant(setting("", first_class=1)),
    "bilinear_for_nearest": Variant(
        replacing("up", lambda nn: nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False))
    ),
    "levels_exchanged": Variant(setting("", deep_first=False)),
    "epsilon_1e_3": Variant(setting("norm", eps=1e-3)),
    "epsilon_1_1e_5": Variant(setting("norm", eps=1.1e-5), (NOISE, DOUBLE)),
    "leaky_slope": Variant(setting("leaky", negative_slope=0.1001)),
    "relu_for_leaky": Variant(replacing("leaky", lambda nn: nn.ReLU())),
    "same_padding": Variant(_same_padding),
    "tf32": Variant(tf32),
}
