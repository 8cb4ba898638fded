"""Lies about the convolutional model."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import DOUBLE, NOISE, WEIGHTS, Variant, replacing, setting, tf32, weight


def _batch_statistics(module: Any) -> None:
    """BatchNorm as in training: with the batch's own mean and variance, and without a memory."""
    module.norm.track_running_stats = False
    module.norm.running_mean = module.norm.running_var = None


def _flatten_channels_last(module: Any) -> None:
    from torch import Tensor, nn

    class ChannelsLast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1).flatten(1)

    module.flatten = ChannelsLast()


def _hard_sigmoid_of_old(module: Any) -> None:
    """Keras' hard sigmoid of old, x / 5 + 1/2 between -2.5 and 2.5, where PyTorch has x / 6 + 1/2."""
    from torch import Tensor, nn

    class HardSigmoid(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 0.2 + 0.5).clamp(0, 1)

    module.hard = HardSigmoid()


VARIANTS = WEIGHTS | {
    "epsilon_1e_3": Variant(setting("norm", eps=1e-3)),
    "epsilon_1_1e_5": Variant(setting("norm", eps=1.1e-5), (NOISE, DOUBLE)),
    "batch_statistics": Variant(_batch_statistics),
    "momentum": Variant(weight("norm.running_mean", lambda tensor: tensor * 9)),
    "leaky_slope": Variant(setting("leaky", negative_slope=0.0101)),
    "elu_for_leaky": Variant(replacing("leaky", lambda nn: nn.ELU(0.01))),
    "ceil_mode": Variant(setting("largest", ceil_mode=False)),
    "average_for_max": Variant(replacing("largest", lambda nn: nn.AvgPool2d(3, stride=2, ceil_mode=True))),
    "same_padding": Variant(replacing("largest", lambda nn: nn.MaxPool2d(3, stride=2, padding=1))),
    "padding_zero": Variant(setting("first", padding=(0, 0))),
    "padding_reflect": Variant(setting("first", padding_mode="reflect", _reversed_padding_repeated_twice=[1, 1, 1, 1])),
    "dilation_dropped": Variant(setting("second", dilation=(1, 1), padding=(1, 1))),
    "groups_dropped": Variant(weight("second.weight", lambda tensor: tensor.roll(4, 0))),
    "count_include_pad": Variant(setting("average", count_include_pad=False)),
    "align_corners": Variant(setting("resize", align_corners=True)),
    "nearest": Variant(replacing("resize", lambda nn: nn.Upsample(size=(5, 5), mode="nearest"))),
    "hard_sigmoid_slope": Variant(_hard_sigmoid_of_old),
    "sigmoid_for_hard": Variant(replacing("hard", lambda nn: nn.Sigmoid())),
    "flatten_order": Variant(_flatten_channels_last),
    "swapped_layers": Variant(weight("third.weight", lambda tensor: tensor.roll(1, 0))),
    "kernel_transposed": Variant(weight("first.weight", lambda tensor: tensor.transpose(2, 3))),
    "kernel_flipped": Variant(weight("first.weight", lambda tensor: tensor.flip(2, 3))),
    "tf32": Variant(tf32),
}

# Below what rounding a model's scalars to float32 may change, as every file format does: no verdict sees them.
UNSEEN = {"epsilon_1_01e_5": Variant(setting("norm", eps=1.01e-5), (DOUBLE,))}
