"""The models that the liars pretend to be: small, seeded, and made of what exporters get wrong.

`dense`, `convolutional`, `recurrent`, `attention`, `detection` and `grouped` are factories. Any name of
`variants.VARIANTS` is one too, as `dense__gelu_tanh`: the same model with that edit; and `dense_seed3` is the model
with other weights. Only workers import this module; it needs PyTorch.
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


class Attention(nn.Module):
    """(batch, 6, 16) -> scores and logits (batch, 6): one block of a causal transformer, spelled out."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(6, 16) / 2)
        self.before, self.between = (nn.LayerNorm(16) for _ in range(2))
        self.project = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.wide = nn.Linear(16, 32)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(32, 16)
        self.head = nn.Linear(16, 6)
        self.causal, self.diagonal, self.hidden = True, 1, float("-inf")
        self.scale, self.axis, self.residual = 4**-0.5, -1, 1.0
        self.norm_first, self.pooled = True, "mean"

    def attend(self, x: Tensor) -> Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, 4, 4)).permute(2, 0, 3, 1, 4).unbind()
        scores = query @ key.transpose(-1, -2) * self.scale
        if self.causal:
            scores = scores + torch.full((6, 6), self.hidden).triu(self.diagonal).nan_to_num(nan=0.0, neginf=-1e9)
        return self.out((scores.softmax(self.axis) @ value).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = x + self.positions
        seen = self.attend(self.before(x)) if self.norm_first else self.before(self.attend(x))
        x = self.residual * x + seen
        x = x + self.narrow(self.gelu(self.wide(self.between(x))))
        logits = self.head(x.mean(1) if self.pooled == "mean" else x[:, 0])
        return {"scores": logits.softmax(-1), "logits": logits}


class Detection(nn.Module):
    """(batch, 3, 16, 16) -> boxes (batch, 128, 4), scores (batch, 128, 3) and labels (batch, 128).

    Two levels of features, the deeper one enlarged beside the other; two anchors at each of 8 x 8 places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.leaky = nn.LeakyReLU(0.1)
        self.deep = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.head = nn.Conv2d(16, 14, 1)
        self.scores = nn.Sigmoid()
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        self.grid = nn.Buffer(torch.stack([columns, rows], -1).reshape(64, 1, 2))
        self.anchors = nn.Buffer(torch.tensor([[3.0, 5.0], [6.0, 4.0]]))
        self.stride, self.first_class, self.deep_first = 2.0, 0, True

    def decode(self, raw: Tensor) -> Tensor:
        """(batch, 64, 2, 4) -> centres and sizes in pixels."""
        near = raw.sigmoid() * 2
        return torch.cat([(near[..., :2] - 0.5 + self.grid) * self.stride, near[..., 2:] ** 2 * self.anchors], -1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        shallow = self.leaky(self.norm(self.first(x)))
        deep = self.up(self.leaky(self.deep(shallow)))
        raw = self.head(torch.cat([deep, shallow] if self.deep_first else [shallow, deep], 1))
        raw = raw.flatten(2).transpose(1, 2).unflatten(2, (2, 7))
        boxes, scores = self.decode(raw[..., :4]).flatten(1, 2), self.scores(raw[..., 4:]).flatten(1, 2)
        return {"boxes": boxes, "scores": scores, "labels": scores.argmax(-1) + self.first_class}


class Grouped(nn.Module):
    """(batch, 3, 48, 48) -> logits (batch, 6): normalised by groups and by instances, averaged over 2,304 places.

    A blank picture makes thousands of equal numbers, and a sum of such is where runtimes differ most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.groups = nn.GroupNorm(2, 8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.instances = nn.InstanceNorm2d(8, affine=True)
        self.head = nn.Conv2d(8, 6, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.groups(self.first(x)))
        x = torch.relu(self.instances(self.second(x)))
        return {"logits": self.pool(self.head(x)).flatten(1)}


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
    """Has no float64 form: a weight that PyTorch does not know of stays in float32, and takes nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense()
        self.hidden = [torch.eye(6)]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: value.float() @ self.hidden[0] for name, value in self.inner(x).items()}


class Float32Inside(nn.Module):
    """Asks for float32 by name on its way, as normalisations and softmaxes of language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = Dense(), nn.Parameter(torch.linspace(0.5, 2, 16))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        wide = x.to(torch.float32)
        x = self.scale * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 2.0**-20)).to(x.dtype)
        least = torch.finfo(x.dtype).min
        found = {}
        for name, value in self.inner(x).items():
            hidden = torch.full_like(value, least)  # all of a row: what is left is its mean
            found[name] = torch.softmax(torch.where(value[:, :1] > 0, value, hidden), -1, dtype=torch.float32)
        return {name: value.to(x.dtype) for name, value in found.items()}


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
    "attention": (Attention, lambda: torch.zeros(2, 6, 16)),
    "detection": (Detection, lambda: torch.zeros(2, 3, 16, 16)),
    "grouped": (Grouped, lambda: torch.zeros(2, 3, 48, 48)),
    "random": (Random, lambda: torch.zeros(2, 16)),
    "constant": (Constant, lambda: torch.zeros(2, 16)),
    "bfloat16": (Bfloat16, lambda: torch.zeros(2, 16)),
    "float32_inside": (Float32Inside, lambda: torch.zeros(2, 16)),
    "float32_only": (Float32Only, lambda: torch.zeros(2, 16)),
    "exact": (Exact, lambda: torch.zeros(2, 16)),
    "classes": (Classes, lambda: torch.zeros(2, 16)),
    "hollow": (Hollow, lambda: torch.zeros(2, 16)),
    "renamed_batch": (Dense, lambda: None),
}


def _build(kind: str, seed: int) -> tuple[nn.Module, Tensor | None]:
    make, example = _KINDS[kind]
    torch.manual_seed(seed)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training: neither 0 nor 1
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
        trained = nn.BatchNorm2d | nn.GroupNorm | nn.InstanceNorm2d
        if isinstance(part, trained) or (isinstance(part, nn.LayerNorm) and kind == "attention"):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)
    for parameter in module.parameters():
        parameter.requires_grad_(requires_grad=False)
    return module, example()


_SEED = 20


def __getattr__(name: str) -> Any:
    """`dense` builds the model, `dense__gelu_tanh` it with that edit, `dense_seed3` it with other weights."""
    whole, _, variant = name.partition("__")
    kind, _, seed = whole.partition("_seed")
    if kind not in _KINDS:
        raise AttributeError(f"module {__name__} has no model '{kind}'")

    def factory() -> tuple[nn.Module, Tensor | None]:
        from tests.verification.variants import SPECIAL, UNSEEN, VARIANTS

        module, example = _build(kind, int(seed or _SEED))
        if variant:
            (SPECIAL | UNSEEN.get(kind, {}) | VARIANTS.get(kind, {}))[variant].edit(module)
        return module, example

    return factory
