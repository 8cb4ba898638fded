"""What a lie of arithmetic is, and the edits that most models share.

An edit gets the module and changes it in place. Imports PyTorch only when an edit runs.
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


def setting(path: str, **values: Any) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        for name, value in values.items():
            setattr(module.get_submodule(path), name, value)

    return edit


def replacing(path: str, make: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Put another layer in a layer's place; `make` gets torch.nn."""

    def edit(module: Any) -> None:
        from torch import nn

        setattr(module, path, make(nn))

    return edit


def weight(name: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Give a parameter or buffer other values."""

    def edit(module: Any) -> None:
        tensor = dict([*module.named_parameters(), *module.named_buffers()])[name]
        tensor.copy_(change(tensor.clone()))

    return edit


def every_weight(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        for tensor in module.parameters():
            tensor.copy_(change(tensor.clone()))

    return edit


def cast(dtype: str) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        import torch

        return tensor.to(getattr(torch, dtype)).float()

    return change


def int8(tensor: Any) -> Any:
    step = tensor.abs().max().clamp_min(1e-9) / 127
    return (tensor / step).round() * step


def one_element(factor: float) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        tensor.view(-1)[tensor.numel() // 2] *= factor
        return tensor

    return change


def flip(bit: int) -> Callable[[Any], Any]:
    def change(tensor: Any) -> Any:
        import torch

        bits = tensor.reshape(-1).view(torch.int32)
        bits[tensor.numel() // 2] ^= 1 << bit
        return bits.view(torch.float32).reshape(tensor.shape)

    return change


def swap(first: str, second: str) -> Callable[[Any], None]:
    def edit(module: Any) -> None:
        a, b = module.get_submodule(first), module.get_submodule(second)
        setattr(module, first, b)
        setattr(module, second, a)

    return edit


def tf32(module: Any) -> None:
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


def random_constant(module: Any) -> None:
    """A noise that was drawn once, while exporting."""
    import torch

    generator = torch.Generator().manual_seed(1)
    module.head.bias += 1e-3 * torch.randn(module.head.bias.shape, generator=generator)


WEIGHTS = {
    "fp16_weights": Variant(every_weight(cast("float16"))),
    "bf16_weights": Variant(every_weight(cast("bfloat16"))),
    "int8_weights": Variant(every_weight(int8)),
    "one_weight_off": Variant(weight("head.weight", one_element(1.001)), (NOISE, BITS)),
    "flipped_bit_low": Variant(weight("head.weight", flip(0)), (NOISE, BITS)),
    "flipped_bit_middle": Variant(weight("head.weight", flip(12)), (NOISE, BITS)),
    "flipped_bit_high": Variant(weight("head.weight", flip(22))),
    "bias_dropped": Variant(weight("head.bias", lambda tensor: tensor * 0)),
    "random_constant": Variant(random_constant),
    "stale_weights": Variant(every_weight(lambda tensor: tensor * 0.99)),
}
