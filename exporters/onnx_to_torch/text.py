"""Counts of what occurs in sequences of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from exporters.onnx_to_torch.table import TORCH


@TORCH.op("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    X: Tensor,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: list[int],
    ngram_indexes: list[int],
    pool_int64s: list[int] | None = None,
    pool_strings: list[str] | None = None,
    weights: list[float] | None = None,
) -> Tensor:
    """ONNX TfIdfVectorizer of integers: how often each n-gram of the pool occurs in a row, its tokens up to
    `max_skip_count` places apart.
    """
    assert pool_int64s is not None, "PyTorch has no tensors of strings"
    rows = X.reshape([1, -1]) if X.dim() < 2 else X
    found = torch.zeros([rows.shape[0], max(ngram_indexes) + 1], dtype=torch.float32, device=X.device)
    first = 0
    for place, start in enumerate(ngram_counts):
        n = place + 1
        end = ngram_counts[n] if n < len(ngram_counts) else len(pool_int64s)
        many = (end - start) // n
        columns = torch.tensor(ngram_indexes[first : first + many], dtype=torch.int64, device=X.device)
        grams = torch.tensor(pool_int64s[start:end], dtype=rows.dtype, device=X.device).reshape([many, n])
        first += many
        for skipped in range(1 if n == 1 else max_skip_count + 1):
            reach = (n - 1) * (skipped + 1) + 1
            if n >= min_gram_length and n <= max_gram_length and rows.shape[1] >= reach:
                windows = rows.unfold(1, reach, 1)[:, :, :: skipped + 1]
                hits = (windows.unsqueeze(2) == grams).all(-1).sum(1)
                found = found.index_add(1, columns, hits.to(torch.float32))
    if mode != "TF":
        found = torch.clamp(found, max=1.0) if mode == "IDF" else found
        if weights is not None and len(weights) > 0:
            found = found * torch.tensor(weights, dtype=torch.float32, device=X.device)
    return found.reshape([-1]) if X.dim() < 2 else found
