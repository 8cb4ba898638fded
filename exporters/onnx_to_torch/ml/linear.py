"""Linear models, and what prepares their features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from exporters.onnx_to_torch.ml import DOMAIN
from exporters.onnx_to_torch.ml.scores import transformed
from exporters.onnx_to_torch.table import TORCH


def _real(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.to(torch.float32)


@TORCH.op("ArrayFeatureExtractor", since=1, domain=DOMAIN)
def array_feature_extractor(X: Tensor, Y: Tensor) -> Tensor:
    """Elements of the last axis by their indices; a vector counts as one row."""
    picked = X.index_select(X.dim() - 1, Y.reshape([-1]))
    return picked.unsqueeze(0) if X.dim() == 1 else picked


@TORCH.op("Binarizer", since=1, domain=DOMAIN)
def binarizer(X: Tensor, threshold: float = 0.0) -> Tensor:
    return (threshold < X).to(X.dtype)


@TORCH.op("Scaler", since=1, domain=DOMAIN)
def scaler(X: Tensor, offset: list[float] | None = None, scale: list[float] | None = None) -> Tensor:
    y = _real(X)
    if offset is not None and len(offset) > 0:
        y = y - torch.tensor(offset, dtype=y.dtype, device=y.device)
    if scale is not None and len(scale) > 0:
        y = y * torch.tensor(scale, dtype=y.dtype, device=y.device)
    return y


@TORCH.op("Normalizer", since=1, domain=DOMAIN)
def normalizer(X: Tensor, norm: str = "MAX") -> Tensor:
    """Rows divided by their largest element, by the sum of their sizes, or by their length."""
    x = _real(X)
    if norm == "MAX":
        size = x.amax([-1], keepdim=True)
    elif norm == "L1":
        size = torch.abs(x).sum([-1], keepdim=True)
    else:
        size = torch.sqrt((x * x).sum([-1], keepdim=True))
    return torch.where(size == 0, x, x / size)


@TORCH.op("Imputer", since=1, domain=DOMAIN)
def imputer(
    X: Tensor,
    imputed_value_floats: list[float] | None = None,
    imputed_value_int64s: list[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Tensor:
    """What equals the replaced value (or is NaN, if that is what it is) made the imputed value of its column."""
    if X.is_floating_point():
        assert imputed_value_floats is not None, "Imputer without values"
        values = torch.tensor(imputed_value_floats, dtype=X.dtype, device=X.device)
        missing = torch.isnan(X) if math.isnan(replaced_value_float) else torch.eq(X, replaced_value_float)
    else:
        assert imputed_value_int64s is not None, "Imputer without values"
        values = torch.tensor(imputed_value_int64s, dtype=X.dtype, device=X.device)
        missing = torch.eq(X, replaced_value_int64)
    return torch.where(missing, values, X)


@TORCH.op("OneHotEncoder", since=1, domain=DOMAIN)
def one_hot_encoder(
    X: Tensor, cats_int64s: list[int] | None = None, cats_strings: list[str] | None = None, zeros: int = 1
) -> Tensor:
    """A last axis with a 1 at the element's category; all zeros for what is no category."""
    assert cats_int64s is not None, "OneHotEncoder without categories"
    categories = torch.tensor(cats_int64s, dtype=torch.int64, device=X.device)
    return (X.to(torch.int64).unsqueeze(-1) == categories).to(torch.float32)


@TORCH.op("FeatureVectorizer", since=1, domain=DOMAIN)
def feature_vectorizer(X: list[Tensor], inputdimensions: list[int] | None = None) -> Tensor:
    """Columns joined; of each matrix as many as are declared."""
    parts: list[Tensor] = []
    for i, x in enumerate(X):
        columns = _real(x).reshape([x.shape[0], -1])
        parts.append(columns if inputdimensions is None else columns[:, : inputdimensions[i]])
    return torch.cat(parts, 1)


@TORCH.op("LinearRegressor", since=1, domain=DOMAIN)
def linear_regressor(
    X: Tensor,
    coefficients: list[float] | None = None,
    intercepts: list[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Tensor:
    assert coefficients is not None, "LinearRegressor without coefficients"
    x = _real(X)
    weights = torch.tensor(coefficients, dtype=x.dtype, device=x.device).reshape([targets, -1])
    y = torch.mm(x, weights.t())
    if intercepts is not None and len(intercepts) > 0:
        y = y + torch.tensor(intercepts, dtype=x.dtype, device=x.device)
    return transformed(y, post_transform)


@TORCH.op("LinearClassifier", since=1, domain=DOMAIN, outputs=2)
def linear_classifier(
    X: Tensor,
    coefficients: list[float],
    classlabels_ints: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    intercepts: list[float] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[Tensor, Tensor]:
    """The label with the highest score, and the scores; one score for two labels is that of the second."""
    x = _real(X)
    weights = torch.tensor(coefficients, dtype=x.dtype, device=x.device).reshape([-1, x.shape[1]])
    scores = torch.mm(x, weights.t())
    if intercepts is not None and len(intercepts) > 0:
        scores = scores + torch.tensor(intercepts, dtype=x.dtype, device=x.device)
    labels = torch.arange(scores.shape[1], device=x.device)
    if classlabels_ints is not None:
        labels = torch.tensor(classlabels_ints, dtype=torch.int64, device=x.device)
    chosen = labels[torch.argmax(scores, 1)]
    if scores.shape[1] == 1 and labels.shape[0] == 2:
        chosen = labels[(scores[:, 0] > 0).to(torch.int64)]
        scores = torch.cat([1.0 - scores if post_transform == "NONE" else -scores, scores], 1)
    return chosen, transformed(scores, post_transform)
