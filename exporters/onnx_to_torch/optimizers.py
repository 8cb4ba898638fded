"""The steps of optimisers that ONNX's training preview holds: plain arithmetic on weights, gradients and their past."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH

DOMAIN = "ai.onnx.preview.training"


@TORCH.op("Adagrad", since=1, domain=DOMAIN, outputs=None)
def adagrad(
    R: Tensor,
    T: Tensor,
    inputs: list[Tensor],
    decay_factor: float = 0.0,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
) -> list[Tensor]:
    """ONNX Adagrad: weights, gradients and sums of squared gradients in; new weights and sums out."""
    count = len(inputs) // 3
    rate = R / (1 + T * decay_factor)
    weights: list[Tensor] = []
    sums: list[Tensor] = []
    for i in range(count):
        x = inputs[i]
        gradient = norm_coefficient * x + inputs[count + i]
        total = inputs[2 * count + i] + gradient * gradient
        weights.append((x - rate * gradient / (torch.sqrt(total) + epsilon)).to(x.dtype))
        sums.append(total)
    return weights + sums


@TORCH.op("Adam", since=1, domain=DOMAIN, outputs=None)
def adam(
    R: Tensor,
    T: Tensor,
    inputs: list[Tensor],
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> list[Tensor]:
    """ONNX Adam: weights, gradients and both moments in; new weights and moments out."""
    count = len(inputs) // 4
    steps = int(T.item())
    rate = R * ((1.0 - beta**steps) ** 0.5 / (1.0 - alpha**steps)) if steps > 0 else R
    weights: list[Tensor] = []
    means: list[Tensor] = []
    squares: list[Tensor] = []
    for i in range(count):
        x = inputs[i]
        gradient = norm_coefficient * x + inputs[count + i]
        mean = alpha * inputs[2 * count + i] + (1.0 - alpha) * gradient
        square = beta * inputs[3 * count + i] + (1.0 - beta) * gradient * gradient
        moved = x - rate * (mean / (torch.sqrt(square) + epsilon))
        weights.append(((1.0 - norm_coefficient_post) * moved).to(x.dtype))
        means.append(mean)
        squares.append(square)
    return weights + means + squares


@TORCH.op("Momentum", since=1, domain=DOMAIN, outputs=None)
def momentum(
    R: Tensor, T: Tensor, inputs: list[Tensor], alpha: float, beta: float, mode: str, norm_coefficient: float
) -> list[Tensor]:
    """ONNX Momentum: weights, gradients and momenta in; new weights and momenta out. At step 0, `beta` counts as 1."""
    count = len(inputs) // 3
    fresh = beta if int(T.item()) > 0 else 1.0
    weights: list[Tensor] = []
    momenta: list[Tensor] = []
    for i in range(count):
        x = inputs[i]
        gradient = norm_coefficient * x + inputs[count + i]
        ahead = alpha * inputs[2 * count + i] + fresh * gradient
        step = gradient + alpha * ahead if mode == "nesterov" else ahead
        weights.append((x - R * step).to(x.dtype))
        momenta.append(ahead)
    return weights + momenta
