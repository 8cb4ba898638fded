"""Lies about the attention model."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import (
    DOUBLE,
    NOISE,
    WEIGHTS,
    Variant,
    replacing,
    setting,
    swap,
    tf32,
    weight,
)


def _unbiased_variance(module: Any) -> None:
    """A LayerNorm that divides by n - 1."""
    from torch import Tensor, nn

    class Unbiased(nn.Module):
        def __init__(self, norm: nn.LayerNorm) -> None:
            super().__init__()
            self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

        def forward(self, x: Tensor) -> Tensor:
            centred = x - x.mean(-1, keepdim=True)
            return centred / (x.var(-1, keepdim=True) + self.eps).sqrt() * self.weight + self.bias

    module.before = Unbiased(module.before)


def _positions(shift: int) -> Any:
    return weight("positions", lambda tensor: tensor.roll(shift, 0))


def _swap_query_and_key(tensor: Any) -> Any:
    import torch

    query, key, value = tensor.chunk(3)
    return torch.cat([key, query, value])


def _heads_interleaved(tensor: Any) -> Any:
    """The features of a head taken with a stride: (head, feature) read as (feature, head)."""
    return tensor.view(16, 4, 4).transpose(1, 2).reshape(16, 16)


VARIANTS = WEIGHTS | {
    "mask_dropped": Variant(setting("", causal=False)),
    "mask_off_by_one": Variant(setting("", diagonal=2)),
    "mask_too_soft": Variant(setting("", hidden=-4.0)),
    "scale_dropped": Variant(setting("", scale=1.0)),
    "scale_of_the_model": Variant(setting("", scale=16**-0.5)),
    "scale_rounded": Variant(setting("", scale=0.50001), (NOISE, DOUBLE)),
    "softmax_axis": Variant(setting("", axis=-2)),
    "heads_interleaved": Variant(weight("out.weight", _heads_interleaved)),
    "query_and_key_exchanged": Variant(weight("project.weight", _swap_query_and_key)),
    "positions_shifted": Variant(_positions(1)),
    "positions_dropped": Variant(weight("positions", lambda tensor: tensor * 0)),
    "residual_dropped": Variant(setting("", residual=0.0)),
    "norm_after": Variant(setting("", norm_first=False)),
    "norms_exchanged": Variant(swap("before", "between")),
    "norm_without_affine": Variant(weight("between.weight", lambda tensor: tensor * 0 + 1)),
    "unbiased_variance": Variant(_unbiased_variance),
    "epsilon_1e_6": Variant(setting("before", eps=1e-6), (NOISE, DOUBLE)),
    "epsilon_1e_3": Variant(setting("between", eps=1e-3)),
    "gelu_tanh": Variant(setting("gelu", approximate="tanh")),
    "quick_gelu": Variant(replacing("gelu", lambda nn: nn.SiLU())),
    "first_token_for_mean": Variant(setting("", pooled="first")),
    "tf32": Variant(tf32),
}
