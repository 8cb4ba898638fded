"""Lies about the dense model."""

from __future__ import annotations

from typing import Any

from tests.verification.variants.edits import DOUBLE, NOISE, WEIGHTS, Variant, replacing, setting, swap, tf32, weight


def _always_dropout(module: Any) -> None:
    from torch import Tensor, nn

    class AlwaysDropout(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, 0.1, training=True)

    module.dropout = AlwaysDropout()


VARIANTS = WEIGHTS | {
    "relu_for_gelu": Variant(replacing("gelu", lambda nn: nn.ReLU())),
    "identity_for_gelu": Variant(replacing("gelu", lambda nn: nn.Identity())),
    "gelu_tanh": Variant(setting("gelu", approximate="tanh")),
    "silu_for_gelu": Variant(replacing("gelu", lambda nn: nn.SiLU())),
    "epsilon_1e_3": Variant(setting("norm", eps=1e-3)),
    "epsilon_1_01e_5": Variant(setting("norm", eps=1.01e-5), (NOISE, DOUBLE)),
    "leaky_slope": Variant(setting("leaky", negative_slope=0.0101)),
    "relu_for_leaky": Variant(replacing("leaky", lambda nn: nn.ReLU())),
    "swapped_layers": Variant(swap("second", "third")),
    "softmax_axis": Variant(setting("softmax", dim=0)),
    "log_softmax": Variant(replacing("softmax", lambda nn: nn.LogSoftmax(-1))),
    "sigmoid_for_softmax": Variant(replacing("softmax", lambda nn: nn.Sigmoid())),
    "dropout_left_on": Variant(_always_dropout),
    "tf32": Variant(tf32),
    "transposed_weight": Variant(weight("second.weight", lambda tensor: tensor.T)),
}
