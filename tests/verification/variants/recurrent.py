"""Lies about the recurrent model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.verification.variants.edits import (
    BITS,
    NOISE,
    Variant,
    cast,
    every_weight,
    flip,
    one_element,
    random_constant,
    weight,
)


def _gates(name: str, order: tuple[int, ...]) -> Callable[[Any], None]:
    """The gates of a recurrent layer in another order."""

    def edit(module: Any) -> None:
        import torch

        for tensor in module.get_submodule(name).parameters():
            tensor.copy_(torch.cat([tensor.chunk(len(order))[index] for index in order]))

    return edit


def _forget_bias(module: Any) -> None:
    module.lstm.bias_ih_l0[8:16] += 1.0


def _linear_before_reset(module: Any) -> None:
    """A GRU that adds the hidden bias of its new gate outside the reset gate."""
    module.gru.bias_ih_l0[16:] += module.gru.bias_hh_l0[16:]
    module.gru.bias_hh_l0[16:] = 0.0


VARIANTS = {
    "lstm_gate_order": Variant(_gates("lstm", (0, 2, 1, 3))),
    "gru_gate_order": Variant(_gates("gru", (1, 0, 2))),
    "forget_bias": Variant(_forget_bias),
    "linear_before_reset": Variant(_linear_before_reset),
    "padding_token_counted": Variant(weight("words.weight", lambda tensor: tensor.clamp_min(-1.0).roll(1, 0))),
    "fp16_weights": Variant(every_weight(cast("float16"))),
    "one_weight_off": Variant(weight("head.weight", one_element(1.001)), (NOISE, BITS)),
    "flipped_bit_low": Variant(weight("head.weight", flip(0)), (NOISE, BITS)),
    "random_constant": Variant(random_constant),
}
