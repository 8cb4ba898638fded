"""The two models in PyTorch. `feedforward()` and `fashion()` return an untrained model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from trainers.architectures import BATCH_NORM_DECAY, BATCH_NORM_EPSILON, CLASSES, DROPOUT, Weights


class FeedForward(nn.Module):
    """(batch, 784) -> probabilities (batch, 10), one independent sigmoid per class."""

    def __init__(self, inputs: int = 784, hidden: int = 256, outputs: int = CLASSES, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.bn1 = nn.BatchNorm1d(hidden, eps=BATCH_NORM_EPSILON, momentum=1 - BATCH_NORM_DECAY)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, outputs)

    def logits(self, x: Tensor) -> Tensor:
        """(batch, 784) -> (batch, 10), before the sigmoid: what the loss is computed on."""
        x = torch.relu(self.bn1(self.fc1(x)))
        logits: Tensor = self.fc2(self.dropout(x))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(x))


class Fashion(nn.Module):
    """(batch, 28, 28) -> logits (batch, 10)."""

    def __init__(self, inputs: int = 784, hidden: int = 20, outputs: int = CLASSES) -> None:
        super().__init__()
        self.sequence = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def logits(self, x: Tensor) -> Tensor:
        """(batch, 28, 28) -> (batch, 10)."""
        logits: Tensor = self.sequence(x)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


Model = FeedForward | Fashion


def feedforward(dropout: float = DROPOUT) -> FeedForward:
    """784-256-10 with batch normalisation, ReLU and dropout."""
    return FeedForward(dropout=dropout)


def fashion() -> Fashion:
    """Flatten, 784-20-10 with ReLU."""
    return Fashion()


# Common parameter name -> name in the state_dict. Kernels are transposed: PyTorch holds (outputs, inputs).
_NAMES: dict[type[nn.Module], dict[str, str]] = {
    FeedForward: {
        "fc1.kernel": "fc1.weight",
        "fc1.bias": "fc1.bias",
        "bn1.gamma": "bn1.weight",
        "bn1.beta": "bn1.bias",
        "bn1.mean": "bn1.running_mean",
        "bn1.variance": "bn1.running_var",
        "fc2.kernel": "fc2.weight",
        "fc2.bias": "fc2.bias",
    },
    Fashion: {
        "fc1.kernel": "sequence.1.weight",
        "fc1.bias": "sequence.1.bias",
        "fc2.kernel": "sequence.3.weight",
        "fc2.bias": "sequence.3.bias",
    },
}


def set_weights(model: Model, weights: Weights) -> None:
    """Copy the common weights into `model`."""
    state = model.state_dict()
    for name, own in _NAMES[type(model)].items():
        state[own].copy_(torch.from_numpy(np.ascontiguousarray(weights[name].T)))
