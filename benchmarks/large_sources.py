"""A model of a few large weights: what a model of several GB costs shows as well with these as with a trained one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 2048
HIDDEN = 8192


class Block(nn.Module):
    """What stands between the attentions of a transformer: two wide layers beside a residual path."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def build(blocks: int = 24) -> nn.Module:
    """`blocks` times 134 MB of float32 weights; 24 of them are 3.2 GB."""
    torch.manual_seed(0)
    return nn.Sequential(*(Block() for _ in range(blocks)), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10))


def small() -> nn.Module:
    """The same with eight blocks, to try the benchmark itself."""
    return build(8)
