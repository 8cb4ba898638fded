"""The models that the liars pretend to be: small, seeded, and made of what exporters get wrong.

`dense`, `convolutional` and `recurrent` are factories. Any name in `liars.VARIANTS` is one too, as `dense__gelu_tanh`:
the same model with that edit. Only workers import this module; it needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Dense(nn.Module):
    """(batch, 16) -> scores and logits (batch, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.norm = nn.LayerNorm(32)
        self.gelu = nn.GELU()
        self.dropout = nn.Dropout(0.1)
        self.second = nn.Linear(32, 32)
        self.third = nn.Linear(32, 32)
        self.leaky = nn.LeakyReLU(0.01)
        self.head = nn.Linear(32, 6)
        self.softmax = nn.Softmax(-1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.dropout(self.gelu(self.norm(self.first(x))))
        x = self.leaky(self.third(self.leaky(self.second(x))))
        logits = self.head(x)
        return {"scores": self.softmax(logits), "logits": logits}


class Convolutional(nn.Module):
    """(batch, 3, 12, 12) -> scores and logits (batch, 6). A resize in the middle hides most mistakes of size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.leaky = nn.LeakyReLU(0.01)
        self.largest = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.second = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.average = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=True)
        self.third = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.hard = nn.Hardsigmoid()
        self.resize = nn.Upsample(size=(5, 5), mode="bilinear", align_corners=False)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(200, 6)
        self.softmax = nn.Softmax(1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.largest(self.leaky(self.norm(self.first(x))))
        x = self.average(self.second(x))
        x = self.resize(x * self.hard(self.third(x)))
        logits = self.head(self.flatten(x))
        return {"scores": self.softmax(logits), "logits": logits}


class Plain(nn.Module):
    """(batch, 3, 12, 12) -> scores (batch, 6): convolutions and nothing unusual."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU()
        )
        self.head = nn.Linear(256, 6)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": torch.softmax(self.head(self.features(x).flatten(1)), 1)}


class Recurrent(nn.Module):
    """(batch, 5) word numbers -> logits (batch, 6), the last state of an LSTM and of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 6)

    def forward(self, words: Tensor) -> dict[str, Tensor]:
        states, _ = self.lstm(self.words(words))
        states, _ = self.gru(states)
        return {"logits": self.head(states[:, -1])}


class Random(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": x + torch.rand_like(x)}


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.bias + 0 * x[:, :6]}


class Bfloat16(nn.Module):
    """Calls itself float32, and computes in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return {name: value.to(x.dtype) for name, value in self.inner(x).items()}


class Float32Only(nn.Module):
    """Has no float64 form: somewhere it insists on float32."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: value.float() for name, value in self.inner(x).items()}


class Exact(nn.Module):
    """Every output is one of the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Identity()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"values": self.factor(x.flip(1))}


class Classes(nn.Module):
    """The number of the likeliest class."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 6)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"label": self.inner(x).argmax(1)}


class Hollow(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"same": x, "empty": x[:, :0]}


_KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor | None]]] = {
    "dense": (Dense, lambda: torch.zeros(2, 16)),
    "convolutional": (Convolutional, lambda: torch.zeros(2, 3, 12, 12)),
    "plain": (Plain, lambda: torch.zeros(2, 3, 12, 12)),
    "recurrent": (Recurrent, lambda: torch.zeros(2, 5, dtype=torch.int64)),
    "random": (Random, lambda: torch.zeros(2, 16)),
    "constant": (Constant, lambda: torch.zeros(2, 16)),
    "bfloat16": (Bfloat16, lambda: torch.zeros(2, 16)),
    "float32_only": (Float32Only, lambda: torch.zeros(2, 16)),
    "exact": (Exact, lambda: torch.zeros(2, 16)),
    "classes": (Classes, lambda: torch.zeros(2, 16)),
    "hollow": (Hollow, lambda: torch.zeros(2, 16)),
    "renamed_batch": (Dense, lambda: None),
}


def _build(kind: str) -> tuple[nn.Module, Tensor | None]:
    make, example = _KINDS[kind]
    torch.manual_seed(20)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training: neither 0 nor 1
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
    return module, example()


def __getattr__(name: str) -> Any:
    """`dense` builds the model, `dense__gelu_tanh` the model with the edit of that name."""
    kind, _, variant = name.partition("__")
    if kind not in _KINDS:
        raise AttributeError(f"module {__name__} has no model '{kind}'")

    def factory() -> tuple[nn.Module, Tensor | None]:
        from tests.verification.variants import SPECIAL, UNSEEN, VARIANTS

        module, example = _build(kind)
        if variant:
            (SPECIAL | UNSEEN.get(kind, {}) | VARIANTS.get(kind, {}))[variant].edit(module)
        return module, example

    return factory
