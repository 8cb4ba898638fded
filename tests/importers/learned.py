"""Operators of classical machine learning as cases; what they must give is what ONNX Runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from tests.importers.cases import Case
from tests.importers.microsoft import Fused, judged_by_runtime
from tests.importers.traps import f

DOMAIN = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def learned(name: str, operator: str, feeds: list[dict[str, Any]], version: int = 1, **attributes: Any) -> Fused:
    outputs = attributes.pop("outputs", 1)
    return Fused(name, operator, feeds, attributes, outputs, DOMAIN, version=version)


def linear() -> list[Fused]:
    x = [{"X": f(4, 3)}, {"X": f(7, 3, start=40)}]
    holes = np.float32([[1, np.nan, 3], [np.nan, 5, 6]])
    rows = [
        learned("scaler", "Scaler", x, offset=[0.5, -1.0, 2.0], scale=[2.0, 3.0, 0.25]),
        learned("scaler_one", "Scaler", x, offset=[0.5], scale=[2.0]),
        *[learned(f"normalizer_{norm.lower()}", "Normalizer", x, norm=norm) for norm in ("MAX", "L1", "L2")],
        learned("imputer", "Imputer", [{"X": holes}], imputed_value_floats=[9.0, 8.0, 7.0],
                replaced_value_float=float("nan")),
        learned("imputer_one", "Imputer", [{"X": np.int64([[1, 2], [2, 3]])}], imputed_value_int64s=[5],
                replaced_value_int64=2),
        learned("one_hot", "OneHotEncoder", [{"X": np.int64([1, 7, 3])}], cats_int64s=[3, 1, 2], zeros=1),
        learned("features", "FeatureVectorizer", [{"a": f(2, 3), "b": f(2, 2)}], inputdimensions=[3, 2]),
        learned("regressor", "LinearRegressor", x, coefficients=f(6).tolist(), intercepts=[1.0, 2.0], targets=2),
        learned("array_feature", "ArrayFeatureExtractor", [{"X": f(2, 4), "Y": np.int64([3, 0])}]),
        learned("binarizer", "Binarizer", x, threshold=0.25),
    ]  # fmt: skip
    classes = {"coefficients": f(9).tolist(), "intercepts": [0.1, 0.2, -0.3], "classlabels_ints": [5, 3, 9]}
    rows += [
        learned(f"classifier_{name.lower()}", "LinearClassifier", x, outputs=2, post_transform=name, **classes)
        for name in ("NONE", "LOGISTIC", "SOFTMAX")
    ]
    pair = {"coefficients": f(3).tolist(), "intercepts": [0.1], "classlabels_ints": [0, 1]}
    rows += [
        learned(f"classifier_two_{name.lower()}", "LinearClassifier", x, outputs=2, post_transform=name, **pair)
        for name in ("NONE", "LOGISTIC")
    ]
    return rows


def encoders() -> list[Fused]:
    return [
        learned("label_ints", "LabelEncoder", [{"X": np.int64([[3, 1], [4, 2]])}], 2,
                keys_int64s=[1, 2, 3], values_floats=[0.5, 1.5, 2.5], default_float=-7.0),
        learned("label_floats", "LabelEncoder", [{"X": np.float32([1.5, np.nan, 2.5, 9])}], 4,
                keys_floats=[1.5, float("nan"), 2.5], values_int64s=[10, 20, 30], default_int64=-3),
        learned("label_tensors", "LabelEncoder", [{"X": np.int64([5, 6, 7])}], 4,
                keys_tensor=helper.make_tensor("k", 7, [2], [7, 5]),
                values_tensor=helper.make_tensor("v", 1, [2], [0.7, 0.5]),
                default_tensor=helper.make_tensor("d", 1, [1], [-1.0])),
    ]  # fmt: skip


def forest(trees: int, depth: int, mode: str, seed: int) -> dict[str, list[Any]]:
    """Random trees over three features, cut short at random, in the form of the older operators."""
    random = np.random.default_rng(seed)
    table: dict[str, list[Any]] = {
        key: [] for key in ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids",
                            "missing_value_tracks_true")
    }  # fmt: skip
    for tree in range(trees):
        for node, true, false in _nodes(depth, random):
            is_leaf = true < 0
            table["treeids"].append(tree)
            table["nodeids"].append(node)
            table["modes"].append("LEAF" if is_leaf else mode)
            table["featureids"].append(0 if is_leaf else int(random.integers(3)))
            table["values"].append(0.0 if is_leaf else float(random.integers(-4, 5) / 2))
            table["truenodeids"].append(max(true, 0))
            table["falsenodeids"].append(max(false, 0))
            table["missing_value_tracks_true"].append(int(random.integers(2)))
    return {f"nodes_{key}": values for key, values in table.items()}


def _nodes(depth: int, random: np.random.Generator) -> list[tuple[int, int, int]]:
    """Node, true and false child, which are -1 for a leaf; the root comes first."""
    found, level = [], [0]
    for step in range(depth + 1):
        below: list[int] = []
        for node in level:
            if step == depth or (step and random.random() < 0.3):
                found.append((node, -1, -1))
                continue
            first = 1 + max([*level, *below])
            found.append((node, first, first + 1))
            below += [first, first + 1]
        level = below
    return found


def leaves(table: dict[str, list[Any]], targets: int, seed: int, lowest: float = -0.5) -> list[Any]:
    """Tree, node, target and weight, for each leaf one."""
    random = np.random.default_rng(seed)
    names = zip(table["nodes_treeids"], table["nodes_nodeids"], table["nodes_modes"], strict=True)
    return [
        (tree, node, int(random.integers(targets)), float(np.float32(random.random() + lowest)))
        for tree, node, mode in names
        if mode == "LEAF"
    ]


def trees() -> list[Fused]:
    values = np.float32(np.random.default_rng(3).integers(-5, 6, (6, 3)) / 2)
    values[0, 1] = np.nan
    x = [{"X": values}, {"X": np.concatenate([values, -values])}]
    rows = []
    for mode in MODES:
        table = forest(3, 3, mode, 4)
        rows.append(_regressor(f"trees_{mode.lower()}", x, table, leaves(table, 2, 5), {}))
    table = forest(4, 3, "BRANCH_LEQ", 6)
    several, single = leaves(table, 2, 7), leaves(table, 1, 7)
    more: dict[str, dict[str, Any]] = {
        "average": {"aggregate_function": "AVERAGE"}, "base": {"base_values": [1.0, -2.0]},
    }  # fmt: skip
    rows += [_regressor(f"trees_{name}", x, table, several, attributes) for name, attributes in more.items()]
    rows += [
        _regressor(f"trees_{name.lower()}", x, table, single, {"aggregate_function": name}) for name in ("MIN", "MAX")
    ]
    for name in ("NONE", "LOGISTIC", "SOFTMAX"):
        rows.append(_classifier(f"trees_classes_{name.lower()}", x, table, leaves(table, 3, 8), [4, 5, 9], name))
    signed = leaves(table, 1, 9)
    chances = [(tree, node, 0, weight / 4) for tree, node, _, weight in leaves(table, 1, 9, lowest=0.0)]
    rows += [
        _classifier("trees_second_none", x, table, [(*leaf[:2], 1, leaf[3]) for leaf in signed], [0, 1], "NONE"),
        _classifier("trees_second_chances", x, table, [(*leaf[:2], 1, leaf[3]) for leaf in chances], [0, 1], "NONE"),
        _classifier("trees_two_none", x, table, signed, [0, 1], "NONE"),
        _classifier("trees_two_logistic", x, table, signed, [0, 1], "LOGISTIC"),
        _classifier("trees_two_chances", x, table, chances, [0, 1], "NONE"),
    ]
    return rows


def _regressor(name: str, x: Any, table: Any, found: Any, more: dict[str, Any]) -> Fused:
    tree, node, target, weight = (list(column) for column in zip(*found, strict=True))
    own = {"target_treeids": tree, "target_nodeids": node, "target_ids": target, "target_weights": weight}
    return learned(name, "TreeEnsembleRegressor", x, **table, **own, n_targets=max(target) + 1, **more)


def _classifier(name: str, x: Any, table: Any, found: Any, labels: list[int], transform: str) -> Fused:
    tree, node, target, weight = (list(column) for column in zip(*found, strict=True))
    own = {"class_treeids": tree, "class_nodeids": node, "class_ids": target, "class_weights": weight}
    more = {"classlabels_int64s": labels, "post_transform": transform}
    return learned(name, "TreeEnsembleClassifier", x, outputs=2, **table, **own, **more)


def all_learned() -> list[Fused]:
    return [*linear(), *encoders(), *trees()]


def cases() -> list[Case]:
    return judged_by_runtime(all_learned())
