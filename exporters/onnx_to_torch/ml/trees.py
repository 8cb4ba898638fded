"""Ensembles of decision trees: all rows walk down all trees at once.

A tree's nodes and leaves are numbered together, over all trees; a leaf is a node that leads to itself.

No postponed annotations here: TorchScript reads those of a class as they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exporters.onnx_to_torch.ml import DOMAIN
from exporters.onnx_to_torch.ml.scores import transformed
from exporters.onnx_to_torch.table import TORCH

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass
class Forest:
    """Per node: its feature, mode, split, children and where a missing value goes; per leaf: weights and targets."""

    features: list[int]
    modes: list[int]
    splits: Any
    true: list[int]
    false: list[int]
    missing: list[int]
    roots: list[int]
    leaves: list[tuple[int, int, float]]  # node, target, weight
    is_leaf: list[bool]
    members: dict[int, list[float]]

    def depth(self) -> int:
        """How many steps lead from a root to its farthest leaf."""
        deepest, level = 0, {root for root in self.roots if not self.is_leaf[root]}
        while level:
            deepest += 1
            below = {child for node in level for child in (self.true[node], self.false[node])}
            level = {node for node in below if not self.is_leaf[node]}
            if deepest > len(self.features):
                raise ValueError("the trees have a cycle")
        return deepest


class Trees(nn.Module):
    """The leaves that rows reach, and what they add up to: (rows, targets)."""

    features: Tensor
    modes: Tensor
    splits: Tensor
    true: Tensor
    false: Tensor
    missing: Tensor
    roots: Tensor
    weights: Tensor
    given: Tensor
    members: Tensor
    base: Tensor

    def __init__(self, forest: Forest, targets: int, aggregate: str, base: Any) -> None:
        super().__init__()
        self.depth = forest.depth()
        self.aggregate = aggregate
        self.kinds = sorted({mode for mode, leaf in zip(forest.modes, forest.is_leaf, strict=True) if not leaf})
        count = len(forest.features)
        weights, given = np.zeros((count, targets), forest.splits.dtype), np.zeros((count, targets), bool)
        for node, target, weight in forest.leaves:
            weights[node, target] += weight
            given[node, target] = True
        longest = max((len(values) for values in forest.members.values()), default=1)
        members = np.full((count, longest), np.nan, forest.splits.dtype)
        for node, values in forest.members.items():
            members[node, : len(values)] = values
        arrays: dict[str, Any] = {
            "features": forest.features, "modes": forest.modes, "splits": forest.splits, "true": forest.true,
            "false": forest.false, "missing": forest.missing, "roots": forest.roots, "weights": weights,
            "given": given, "members": members, "base": np.asarray(base, forest.splits.dtype),
        }  # fmt: skip
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.array(array)))

    def forward(self, x: Tensor) -> Tensor:
        values = x if x.is_floating_point() else x.to(torch.float32)
        node = self.roots.unsqueeze(0).expand([x.shape[0], self.roots.shape[0]])
        for _ in range(self.depth):
            value = torch.gather(values, 1, self.features[node])
            split, mode = self.splits[node], self.modes[node]
            goes = torch.isnan(value) & (self.missing[node] == 1)
            for kind in self.kinds:
                goes = goes | ((mode == kind) & self.follows(kind, value, split, node))
            node = torch.where(goes, self.true[node], self.false[node])
        weights, given = self.weights[node], self.given[node]  # (rows, trees, targets)
        if self.aggregate == "MIN":
            total = torch.where(given, weights, torch.full_like(weights, float("inf"))).amin([1])
        elif self.aggregate == "MAX":
            total = torch.where(given, weights, torch.full_like(weights, float("-inf"))).amax([1])
        else:
            total = weights.sum([1])
        if self.aggregate == "AVERAGE":
            total = total / self.roots.shape[0]
        total = torch.where(torch.isinf(total), torch.zeros_like(total), total)
        return total + self.base if self.base.numel() > 0 else total

    def follows(self, kind: int, value: Tensor, split: Tensor, node: Tensor) -> Tensor:
        if kind == 0:
            return value <= split
        if kind == 1:
            return value < split
        if kind == 2:
            return value >= split
        if kind == 3:
            return value > split
        if kind == 4:
            return value == split
        if kind == 5:
            return value != split
        return (self.members[node] == value.unsqueeze(-1)).any(-1)


class Regressor(nn.Module):
    """The trees' sum through the final transformation."""

    def __init__(self, trees: Trees, post_transform: str) -> None:
        super().__init__()
        self.trees = trees
        self.post_transform = post_transform

    def forward(self, x: Tensor) -> Tensor:
        return transformed(self.trees(x), self.post_transform)


class Classifier(nn.Module):
    """The label of the highest score, and the scores.

    Where all weights are of one class out of two, the sum is the second label's score: a chance where no weight is
    negative, so that the first has what is missing to one, and else a number whose sign decides. If that class is the
    second, the first one's score stays 0.
    """

    labels: Tensor

    def __init__(self, trees: Trees, labels: list[int], post_transform: str, binary: bool, positive: bool) -> None:
        super().__init__()
        self.trees = trees
        self.post_transform = post_transform
        self.binary = binary
        self.positive = positive
        self.register_buffer("labels", torch.tensor(labels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.trees(x).to(torch.float32)
        if not self.binary:
            return self.labels[torch.argmax(scores, 1)], transformed(scores, self.post_transform)
        score = scores[:, -1:]
        if scores.shape[1] == 2:
            above = (score > (0.5 if self.positive else 0.0)).squeeze(1)
            return self.labels[above.to(torch.int64)], transformed(scores, self.post_transform)
        if self.positive:
            chosen, both = (score > 0.5).squeeze(1), torch.cat([1.0 - score, score], 1)
        else:
            chosen, both = (score > 0).squeeze(1), torch.cat([-score, score], 1)
            if self.post_transform == "LOGISTIC":
                both = torch.sigmoid(both)
        return self.labels[chosen.to(torch.int64)], both


def _floats(values: list[float] | None, tensor: Tensor | None) -> Any:
    if tensor is not None:
        return tensor.numpy()
    return np.array(values if values is not None else [], np.float32)


def _named_forest(
    treeids: list[int],
    nodeids: list[int],
    modes: list[str],
    features: list[int],
    values: Any,
    true: list[int],
    false: list[int],
    missing: list[int] | None,
    leaves: list[tuple[int, int, int, float]],
) -> Forest:
    """The form of the older operators, in which nodes are named by their tree and a number within it."""
    place = {name: index for index, name in enumerate(zip(treeids, nodeids, strict=True))}
    is_leaf = [mode == "LEAF" for mode in modes]
    targets = {place[tree, child] for tree, t, f, leaf in zip(treeids, true, false, is_leaf, strict=True) if not leaf
               for child in (t, f)}  # fmt: skip
    roots: dict[int, int] = {}
    for index, tree in enumerate(treeids):
        if index not in targets:
            roots.setdefault(tree, index)
    if len(roots) < len(set(treeids)):
        raise ValueError("the trees have a cycle")

    def children(names: list[int]) -> list[int]:
        return [i if is_leaf[i] else place[treeids[i], name] for i, name in enumerate(names)]

    return Forest(
        features=[0 if leaf else feature for feature, leaf in zip(features, is_leaf, strict=True)],
        modes=[0 if leaf else MODES.index(mode) for mode, leaf in zip(modes, is_leaf, strict=True)],
        splits=values,
        true=children(true),
        false=children(false),
        missing=missing or [0] * len(modes),
        roots=[roots[tree] for tree in sorted(roots)],
        leaves=[(place[tree, node], target, weight) for tree, node, target, weight in leaves],
        is_leaf=is_leaf,
        members={},
    )


@TORCH.op("TreeEnsemble", since=5, domain=DOMAIN, layout="module")
def tree_ensemble(
    X: Tensor | None,
    leaf_targetids: list[int],
    leaf_weights: Tensor,
    nodes_falseleafs: list[int],
    nodes_falsenodeids: list[int],
    nodes_featureids: list[int],
    nodes_modes: Tensor,
    nodes_splits: Tensor,
    nodes_trueleafs: list[int],
    nodes_truenodeids: list[int],
    tree_roots: list[int],
    aggregate_function: int = 1,
    membership_values: Tensor | None = None,
    n_targets: int | None = None,
    nodes_hitrates: Tensor | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    post_transform: int = 0,
) -> nn.Module:
    """ONNX TreeEnsemble: splits and leaves apart, each split telling of its children whether they are leaves."""
    count, leaves = len(nodes_modes), len(leaf_targetids)
    modes: list[int] = nodes_modes.tolist()
    numbers = [] if membership_values is None else membership_values.tolist()
    sets: list[list[float]] = [[]]
    for number in numbers:
        if np.isnan(number):
            sets.append([])
        else:
            sets[-1].append(number)
    own = list(range(count, count + leaves))
    true = [n + count if leaf else n for n, leaf in zip(nodes_truenodeids, nodes_trueleafs, strict=True)]
    false = [n + count if leaf else n for n, leaf in zip(nodes_falsenodeids, nodes_falseleafs, strict=True)]
    forest = Forest(
        features=nodes_featureids + [0] * leaves,
        modes=modes + [0] * leaves,
        splits=np.concatenate([nodes_splits.numpy(), np.zeros(leaves, nodes_splits.numpy().dtype)]),
        true=true + own,
        false=false + own,
        missing=(nodes_missing_value_tracks_true or [0] * count) + [0] * leaves,
        roots=tree_roots,
        leaves=list(zip(own, leaf_targetids, leaf_weights.tolist(), strict=True)),
        is_leaf=[False] * count + [True] * leaves,
        members=dict(zip([n for n, mode in enumerate(modes) if mode == 6], sets, strict=False)),
    )
    trees = Trees(forest, n_targets or max(leaf_targetids) + 1, AGGREGATES[aggregate_function], [])
    return Regressor(trees, TRANSFORMS[post_transform])


@TORCH.op("TreeEnsembleRegressor", since=3, domain=DOMAIN, layout="module")
def tree_ensemble_regressor(
    X: Tensor | None,
    aggregate_function: str = "SUM",
    base_values: list[float] | None = None,
    base_values_as_tensor: Tensor | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: list[int] | None = None,
    nodes_featureids: list[int] | None = None,
    nodes_hitrates: list[float] | None = None,
    nodes_hitrates_as_tensor: Tensor | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    nodes_modes: list[str] | None = None,
    nodes_nodeids: list[int] | None = None,
    nodes_treeids: list[int] | None = None,
    nodes_truenodeids: list[int] | None = None,
    nodes_values: list[float] | None = None,
    nodes_values_as_tensor: Tensor | None = None,
    post_transform: str = "NONE",
    target_ids: list[int] | None = None,
    target_nodeids: list[int] | None = None,
    target_treeids: list[int] | None = None,
    target_weights: list[float] | None = None,
    target_weights_as_tensor: Tensor | None = None,
) -> nn.Module:
    weights = _floats(target_weights, target_weights_as_tensor).tolist()
    forest = _named_forest(
        nodes_treeids or [],
        nodes_nodeids or [],
        nodes_modes or [],
        nodes_featureids or [],
        _floats(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids or [],
        nodes_falsenodeids or [],
        nodes_missing_value_tracks_true,
        list(zip(target_treeids or [], target_nodeids or [], target_ids or [], weights, strict=True)),
    )
    base = _floats(base_values, base_values_as_tensor)
    return Regressor(Trees(forest, n_targets or 1, aggregate_function, base), post_transform)


@TORCH.op("TreeEnsembleRegressor", since=1, domain=DOMAIN, layout="module")
def tree_ensemble_regressor_1(
    X: Tensor | None,
    aggregate_function: str = "SUM",
    base_values: list[float] | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: list[int] | None = None,
    nodes_featureids: list[int] | None = None,
    nodes_hitrates: list[float] | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    nodes_modes: list[str] | None = None,
    nodes_nodeids: list[int] | None = None,
    nodes_treeids: list[int] | None = None,
    nodes_truenodeids: list[int] | None = None,
    nodes_values: list[float] | None = None,
    post_transform: str = "NONE",
    target_ids: list[int] | None = None,
    target_nodeids: list[int] | None = None,
    target_treeids: list[int] | None = None,
    target_weights: list[float] | None = None,
) -> nn.Module:
    return tree_ensemble_regressor(
        X,
        aggregate_function,
        base_values,
        None,
        n_targets,
        nodes_falsenodeids,
        nodes_featureids,
        None,
        None,
        nodes_missing_value_tracks_true,
        nodes_modes,
        nodes_nodeids,
        nodes_treeids,
        nodes_truenodeids,
        nodes_values,
        None,
        post_transform,
        target_ids,
        target_nodeids,
        target_treeids,
        target_weights,
        None,
    )


@TORCH.op("TreeEnsembleClassifier", since=3, domain=DOMAIN, outputs=2, layout="module")
def tree_ensemble_classifier(
    X: Tensor | None,
    base_values: list[float] | None = None,
    base_values_as_tensor: Tensor | None = None,
    class_ids: list[int] | None = None,
    class_nodeids: list[int] | None = None,
    class_treeids: list[int] | None = None,
    class_weights: list[float] | None = None,
    class_weights_as_tensor: Tensor | None = None,
    classlabels_int64s: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    nodes_falsenodeids: list[int] | None = None,
    nodes_featureids: list[int] | None = None,
    nodes_hitrates: list[float] | None = None,
    nodes_hitrates_as_tensor: Tensor | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    nodes_modes: list[str] | None = None,
    nodes_nodeids: list[int] | None = None,
    nodes_treeids: list[int] | None = None,
    nodes_truenodeids: list[int] | None = None,
    nodes_values: list[float] | None = None,
    nodes_values_as_tensor: Tensor | None = None,
    post_transform: str = "NONE",
) -> nn.Module:
    labels, ids = classlabels_int64s or [], class_ids or []
    weights = _floats(class_weights, class_weights_as_tensor).tolist()
    binary = len(labels) == 2 and len(set(ids)) == 1
    first = binary and ids[0] == 0
    forest = _named_forest(
        nodes_treeids or [],
        nodes_nodeids or [],
        nodes_modes or [],
        nodes_featureids or [],
        _floats(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids or [],
        nodes_falsenodeids or [],
        nodes_missing_value_tracks_true,
        [
            (tree, node, target, weight)
            for tree, node, target, weight in zip(class_treeids or [], class_nodeids or [], ids, weights, strict=True)
        ],
    )
    base = _floats(base_values, base_values_as_tensor)
    trees = Trees(forest, 1 if first else len(labels), "SUM", base[-1:] if first else base)
    return Classifier(trees, labels, post_transform, binary, min(weights) >= 0)


@TORCH.op("TreeEnsembleClassifier", since=1, domain=DOMAIN, outputs=2, layout="module")
def tree_ensemble_classifier_1(
    X: Tensor | None,
    base_values: list[float] | None = None,
    class_ids: list[int] | None = None,
    class_nodeids: list[int] | None = None,
    class_treeids: list[int] | None = None,
    class_weights: list[float] | None = None,
    classlabels_int64s: list[int] | None = None,
    classlabels_strings: list[str] | None = None,
    nodes_falsenodeids: list[int] | None = None,
    nodes_featureids: list[int] | None = None,
    nodes_hitrates: list[float] | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None,
    nodes_modes: list[str] | None = None,
    nodes_nodeids: list[int] | None = None,
    nodes_treeids: list[int] | None = None,
    nodes_truenodeids: list[int] | None = None,
    nodes_values: list[float] | None = None,
    post_transform: str = "NONE",
) -> nn.Module:
    return tree_ensemble_classifier(
        X,
        base_values,
        None,
        class_ids,
        class_nodeids,
        class_treeids,
        class_weights,
        None,
        classlabels_int64s,
        None,
        nodes_falsenodeids,
        nodes_featureids,
        None,
        None,
        nodes_missing_value_tracks_true,
        nodes_modes,
        nodes_nodeids,
        nodes_treeids,
        nodes_truenodeids,
        nodes_values,
        None,
        post_transform,
    )
