"""Lies of arithmetic: the same model with one thing changed, by model and name.

An edit gets the module and changes it in place. Imports PyTorch only when an edit runs: the table itself is read where
no framework is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NOISE = "x the source's own"  # the outputs show it
BITS = "weights: '"  # the outputs may not show it, the weights' bits do
DOUBLE = "float64: in float64 the outputs differ"  # only a run in float64 shows it


@dataclass(frozen=True)
class Variant:
    """A lie and what the verdict's reason must say of it; `any of` where it depends on the model's noise."""

    edit: Callable[[Any], None]
    because: tuple[str, ...] = (NOISE,)


def _set(path: str, **values: Any) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        for name, value in values.items():
            setattr(module.get_submodule(path), name, value)

    return edit


def _replace(path: str, make: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Put another layer in a layer's place; `make` gets torch.nn."""

    def edit(module: Any) -> None:
        from torch import nn

        setattr(module, path, make(nn))

    return edit


def _weight(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Give a parameter or buffer other values."""

    def edit(module: Any) -> None:
        tensor = dict([*module.named_parameters(), *module.named_buffers()])[name]
        tensor.copy_(change(tensor.clone()))

    return edit


def _every_weight(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        for tensor in module.parameters():
            tensor.copy_(change(tensor.clone()))

    return edit


def _cast(dtype: str) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        import torch

        return tensor.to(getattr(torch, dtype)).float()

    return change


def _int8(tensor: Any) -> Any:
    step = tensor.abs().max().clamp_min(1e-9) / 127
    return (tensor / step).round() * step


def _one_element(factor: float) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        tensor.view(-1)[tensor.numel() // 2] *= factor
        return tensor

    return change


def _flip(bit: int) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        import torch

        bits = tensor.reshape(-1).view(torch.int32)
        bits[tensor.numel() // 2] ^= 1 << bit
        return bits.view(torch.float32).reshape(tensor.shape)

    return change


def _swap(first: str, second: str) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        a, b = module.get_submodule(first), module.get_submodule(second)
        setattr(module, first, b)
        setattr(module, second, a)

    return edit


def _always_dropout(module: Any) -> None:
    from torch import Tensor, nn

    class AlwaysDropout(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, 0.1, training=True)

    module.dropout = AlwaysDropout()


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


def _tf32(module: Any) -> None:
    """Round what goes into every matrix product and convolution to 10 mantissa bits, as tensor cores do."""
    from torch import Tensor, nn

    def rounded(tensor: Tensor) -> Tensor:
        large = tensor * (2.0**13 + 1)  # Dekker's split: the upper half of the 24 bits
        return large - (large - tensor)

    class Rounded(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            layer.weight.copy_(rounded(layer.weight))
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(rounded(x))

    for name, layer in list(module.named_children()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            setattr(module, name, Rounded(layer))


def _hard_sigmoid_of_old(module: Any) -> None:
    """Keras' hard sigmoid of old, x / 5 + 1/2 between -2.5 and 2.5, where PyTorch has x / 6 + 1/2."""
    from torch import Tensor, nn

    class HardSigmoid(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 0.2 + 0.5).clamp(0, 1)

    module.hard = HardSigmoid()


def _random_constant(module: Any) -> None:
    """A noise that was drawn once, while exporting."""
    import torch

    generator = torch.Generator().manual_seed(1)
    module.head.bias += 1e-3 * torch.randn(module.head.bias.shape, generator=generator)


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


_WEIGHTS = {
    "fp16_weights": Variant(_every_weight(_cast("float16"))),
    "bf16_weights": Variant(_every_weight(_cast("bfloat16"))),
    "int8_weights": Variant(_every_weight(_int8)),
    "one_weight_off": Variant(_weight("head.weight", _one_element(1.001)), (NOISE, BITS)),
    "flipped_bit_low": Variant(_weight("head.weight", _flip(0)), (NOISE, BITS)),
    "flipped_bit_middle": Variant(_weight("head.weight", _flip(12)), (NOISE, BITS)),
    "flipped_bit_high": Variant(_weight("head.weight", _flip(22))),
    "bias_dropped": Variant(_weight("head.bias", lambda tensor: tensor * 0)),
    "random_constant": Variant(_random_constant),
    "stale_weights": Variant(_every_weight(lambda tensor: tensor * 0.99)),
}

VARIANTS: dict[str, dict[str, Variant]] = {
    "dense": _WEIGHTS
    | {
        "relu_for_gelu": Variant(_replace("gelu", lambda nn: nn.ReLU())),
        "identity_for_gelu": Variant(_replace("gelu", lambda nn: nn.Identity())),
        "gelu_tanh": Variant(_set("gelu", approximate="tanh")),
        "silu_for_gelu": Variant(_replace("gelu", lambda nn: nn.SiLU())),
        "epsilon_1e_3": Variant(_set("norm", eps=1e-3)),
        "epsilon_1_01e_5": Variant(_set("norm", eps=1.01e-5), (NOISE, DOUBLE)),
        "leaky_slope": Variant(_set("leaky", negative_slope=0.0101)),
        "relu_for_leaky": Variant(_replace("leaky", lambda nn: nn.ReLU())),
        "swapped_layers": Variant(_swap("second", "third")),
        "softmax_axis": Variant(_set("softmax", dim=0)),
        "log_softmax": Variant(_replace("softmax", lambda nn: nn.LogSoftmax(-1))),
        "sigmoid_for_softmax": Variant(_replace("softmax", lambda nn: nn.Sigmoid())),
        "dropout_left_on": Variant(_always_dropout),
        "tf32": Variant(_tf32),
        "transposed_weight": Variant(_weight("second.weight", lambda tensor: tensor.T)),
    },
    "convolutional": _WEIGHTS
    | {
        "epsilon_1e_3": Variant(_set("norm", eps=1e-3)),
        "epsilon_1_1e_5": Variant(_set("norm", eps=1.1e-5), (NOISE, DOUBLE)),
        "batch_statistics": Variant(_batch_statistics),
        "momentum": Variant(_weight("norm.running_mean", lambda tensor: tensor * 9)),
        "leaky_slope": Variant(_set("leaky", negative_slope=0.0101)),
        "elu_for_leaky": Variant(_replace("leaky", lambda nn: nn.ELU(0.01))),
        "ceil_mode": Variant(_set("largest", ceil_mode=False)),
        "average_for_max": Variant(_replace("largest", lambda nn: nn.AvgPool2d(3, stride=2, ceil_mode=True))),
        "same_padding": Variant(_replace("largest", lambda nn: nn.MaxPool2d(3, stride=2, padding=1))),
        "padding_zero": Variant(_set("first", padding=(0, 0))),
        "padding_reflect": Variant(
            _set("first", padding_mode="reflect", _reversed_padding_repeated_twice=[1, 1, 1, 1])
        ),
        "dilation_dropped": Variant(_set("second", dilation=(1, 1), padding=(1, 1))),
        "groups_dropped": Variant(_weight("second.weight", lambda tensor: tensor.roll(4, 0))),
        "count_include_pad": Variant(_set("average", count_include_pad=False)),
        "align_corners": Variant(_set("resize", align_corners=True)),
        "nearest": Variant(_replace("resize", lambda nn: nn.Upsample(size=(5, 5), mode="nearest"))),
        "hard_sigmoid_slope": Variant(_hard_sigmoid_of_old),
        "sigmoid_for_hard": Variant(_replace("hard", lambda nn: nn.Sigmoid())),
        "flatten_order": Variant(_flatten_channels_last),
        "swapped_layers": Variant(_weight("third.weight", lambda tensor: tensor.roll(1, 0))),
        "kernel_transposed": Variant(_weight("first.weight", lambda tensor: tensor.transpose(2, 3))),
        "kernel_flipped": Variant(_weight("first.weight", lambda tensor: tensor.flip(2, 3))),
        "tf32": Variant(_tf32),
    },
    "recurrent": {
        "lstm_gate_order": Variant(_gates("lstm", (0, 2, 1, 3))),
        "gru_gate_order": Variant(_gates("gru", (1, 0, 2))),
        "forget_bias": Variant(_forget_bias),
        "linear_before_reset": Variant(_linear_before_reset),
        "padding_token_counted": Variant(_weight("words.weight", lambda tensor: tensor.clamp_min(-1.0).roll(1, 0))),
        "fp16_weights": Variant(_every_weight(_cast("float16"))),
        "one_weight_off": Variant(_weight("head.weight", _one_element(1.001)), (NOISE, BITS)),
        "flipped_bit_low": Variant(_weight("head.weight", _flip(0)), (NOISE, BITS)),
        "random_constant": Variant(_random_constant),
    },
}


def _two_ulp(module: Any) -> None:
    from torch import Tensor, nn

    class Factor(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * (1 + 2.0**-21)

    module.factor = Factor()


def _next_class(module: Any) -> None:
    module.inner.weight.copy_(module.inner.weight.roll(1, 0))


def _gelu_tanh_inside(module: Any) -> None:
    module.inner.gelu.approximate = "tanh"


def _one_output(module: Any) -> None:
    from types import MethodType

    whole = type(module).forward

    def forward(self: Any, x: Any) -> dict[str, Any]:
        return {"logits": whole(self, x)["logits"]}

    module.forward = MethodType(forward, module)


# Below what rounding a model's scalars to float32 may change, as every file format does: no verdict sees them.
UNSEEN = {"convolutional": {"epsilon_1_01e_5": Variant(_set("norm", eps=1.01e-5), (DOUBLE,))}}

# Edits for tests of their own, of models that only one test uses.
SPECIAL = {
    "two_ulp": Variant(_two_ulp),
    "next_class": Variant(_next_class),
    "one_output": Variant(_one_output),
    "gelu_tanh": Variant(_gelu_tanh_inside),
}
