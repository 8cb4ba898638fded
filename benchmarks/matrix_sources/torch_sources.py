"""PyTorch models of every kind of file and every shape of signature, small ones; `save` writes the files."""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn


class Net(nn.Module):
    """A picture classifier with a normalisation, dropout and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 5)
        self.register_buffer("shift", torch.linspace(-1, 1, 5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(image).mean(dim=(2, 3))) + self.shift


IMAGE = "image:float32[batch,3,16,16]"


def seeded(kind: type[nn.Module], *arguments: Any) -> Any:
    torch.manual_seed(0)
    model = kind(*arguments)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -1, 1)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return model


def build() -> nn.Module:
    return seeded(Net)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 8)
        self.attend = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.out = nn.Linear(8, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.attend(self.embed(ids)))


def tokens() -> nn.Module:
    return seeded(Tokens)


class Masked(nn.Module):
    """An optional input, given or left out, and one that must be passed by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 8)
        self.out = nn.Linear(8, 4)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, scale: torch.Tensor | None = None
    ) -> torch.Tensor:
        found = self.embed(ids)
        if mask is not None:
            found = found * mask.unsqueeze(-1)
        if scale is not None:
            found = found * scale
        return self.out(found.sum(1))


def masked() -> nn.Module:
    return seeded(Masked)


class Pair(NamedTuple):
    total: torch.Tensor
    mean: torch.Tensor


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x: dict[str, torch.Tensor]) -> dict[str, Any]:
        left, right = self.one(x["left"]), self.two(x["right"])
        return {"sides": (left, [right, right * 2]), "pair": Pair(left.sum(1), right.mean(1))}


def nested() -> tuple[nn.Module, Any]:
    return seeded(Nested), ({"left": torch.zeros(2, 4), "right": torch.zeros(2, 4)},)


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: torch.Tensor
    loss: torch.Tensor | None = None


class Dataclass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> Answer:
        hidden = torch.tanh(self.one(x))
        return Answer(logits=self.two(hidden), hidden=hidden)


def answers() -> nn.Module:
    return seeded(Dataclass)


class Shared(nn.Module):
    """Input embedding and output layer are one tensor, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 8)
        self.out = nn.Linear(8, 16, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.embed(ids)))


def shared() -> nn.Module:
    return seeded(Shared)


class Typed(nn.Module):
    """Computes in one dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3).to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.out(x))


def float16() -> nn.Module:
    return seeded(Typed, torch.float16)


def bfloat16() -> nn.Module:
    return seeded(Typed, torch.bfloat16)


def float64() -> nn.Module:
    return seeded(Typed, torch.float64)


class Whole(nn.Module):
    """Integers and booleans in and out."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + x, x > 0


def whole() -> nn.Module:
    return Whole()


class Bools(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return ~x, x.to(torch.float32) * 0.5


def bools() -> nn.Module:
    return Bools()


class Scalars(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, temperature: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.out(x) / (1 + temperature.abs())
        return found, found.sum()


def scalars() -> nn.Module:
    return seeded(Scalars)


class Ranked(nn.Module):
    """Two sequences that share a batch, of two lengths of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Embedding(16, 8), nn.Linear(5, 8)

    def forward(self, ids: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.query(ids) @ self.key(features).transpose(1, 2), dim=-1)


def ranked() -> nn.Module:
    return seeded(Ranked)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.mean() > 0.1):
            return self.one(x)
        return self.two(x)


def branches() -> nn.Module:
    return seeded(Branches)


class Awkward(nn.Module):
    """Outputs whose names hold what file formats forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.out(x)
        return {"head/logits": found, "head:probs": torch.softmax(found, -1), "class": found.argmax(-1), "a b": -found}


def awkward() -> nn.Module:
    return seeded(Awkward)


def save(folder: Path) -> None:
    """Every kind of file that PyTorch and its neighbours write."""
    import warnings

    import safetensors.torch

    model = build().eval()
    weights = model.state_dict()
    torch.save(weights, folder / "state_dict.pt")
    torch.save(weights, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(build(), folder / "pickled.pt")  # in training mode, as trainers leave it
    lightning = {
        "epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.5.0",
        "state_dict": OrderedDict((f"model.{name}", tensor) for name, tensor in weights.items()),
        "loops": {}, "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.1}]}], "lr_schedulers": [],
        "hyper_parameters": {"width": 8},
    }  # fmt: skip
    torch.save(lightning, folder / "lightning.ckpt")
    torch.save(
        {"model": {f"module.{name}": tensor for name, tensor in weights.items()}, "epoch": 3}, folder / "ddp.pth"
    )
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), folder / "scripted.pt")
        torch.jit.save(torch.jit.trace(model, torch.randn(2, 3, 16, 16)), folder / "traced.pt")
    example = (torch.randn(2, 3, 16, 16),)
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=512)}}
    torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), folder / "exported.pt2")


if __name__ == "__main__":
    sys.modules["torch_sources"] = sys.modules["__main__"]
    for kind in (Net,):
        kind.__module__ = "torch_sources"
    save(Path(sys.argv[1]))
