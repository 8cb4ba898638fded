"""Lies about the grouped model."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import WEIGHTS, Variant, replacing, setting, weight


def _unbiased(module: Any) -> None:
    """The instances' variance divided by one number less than there are."""
    from torch import Tensor, nn

    class Unbiased(nn.Module):
        def __init__(self, norm: Any) -> None:
            super().__init__()
            self.norm = norm

        def forward(self, x: Tensor) -> Tensor:
            scale, bias = (each[:, None, None] for each in (self.norm.weight, self.norm.bias))
            variance = x.var((2, 3), keepdim=True)
            return (x - x.mean((2, 3), keepdim=True)) / (variance + self.norm.eps).sqrt() * scale + bias

    module.instances = Unbiased(module.instances)


def _interleaved(module: Any) -> None:
    """Channels in turn, not side by side, make a group."""
    from torch import Tensor, nn

    class Interleaved(nn.Module):
        def __init__(self, norm: Any) -> None:
            super().__init__()
            self.norm = norm

        def forward(self, x: Tensor) -> Tensor:
            scale, bias = (each[:, None, None] for each in (self.norm.weight, self.norm.bias))
            turned = x.unflatten(1, (4, 2)).transpose(1, 2).flatten(1, 2)
            turned = nn.functional.group_norm(turned, 2, eps=self.norm.eps)
            return turned.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2) * scale + bias

    module.groups = Interleaved(module.groups)


VARIANTS = WEIGHTS | {
    "twice_as_many_groups": Variant(setting("groups", num_groups=4)),
    "one_group": Variant(setting("groups", num_groups=1)),
    "interleaved_groups": Variant(_interleaved),
    "epsilon_1e_3": Variant(setting("groups", eps=1e-3)),
    "unbiased_variance": Variant(_unbiased),
    "batch_for_instances": Variant(replacing("instances", lambda nn: nn.BatchNorm2d(8).eval())),
    "factor_dropped": Variant(weight("instances.weight", lambda tensor: tensor * 0 + 1)),
    "largest_for_mean": Variant(replacing("pool", lambda nn: nn.AdaptiveMaxPool2d(1))),
    "padding_counted": Variant(
        replacing("pool", lambda nn: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AdaptiveAvgPool2d(1)))
    ),
}
