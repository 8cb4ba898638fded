"""What classifiers do to their scores at the end."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def transformed(scores: Tensor, name: str) -> Tensor:
    """Scores (rows, classes) after the transformation that a model names."""
    if name == "LOGISTIC":
        return torch.sigmoid(scores)
    if name == "SOFTMAX":
        return torch.softmax(scores, 1)
    if name == "SOFTMAX_ZERO":  # a score of zero stays nothing
        powers = torch.exp(scores - scores.amax([1], keepdim=True))
        powers = torch.where(torch.abs(scores) > 1e-7, powers, scores * torch.exp(-scores.amax([1], keepdim=True)))
        total = powers.sum([1], keepdim=True)
        return torch.where(total == 0, torch.full_like(powers, 0.5), powers / total)
    if name == "PROBIT":
        return math.sqrt(2.0) * torch.erfinv(2.0 * scores - 1.0)
    return scores
