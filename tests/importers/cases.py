"""ONNX's own backend node cases, collected once and kept in pytest's cache folder: collecting takes half a minute."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

CACHE = Path(__file__).parents[2] / ".pytest_cache" / f"onnx-node-cases-{onnx.__version__}.pickle"


@dataclass(frozen=True)
class Case:
    name: str
    model: onnx.ModelProto
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}


def node_cases() -> list[Case]:
    """All node cases, in order of name."""
    if not CACHE.exists():
        _collect()
    rows = pickle.loads(CACHE.read_bytes())
    return [Case(name, onnx.ModelProto.FromString(model), data, rtol, atol) for name, model, data, rtol, atol in rows]


def _collect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = sorted(collect_testcases(None), key=lambda case: case.name)
    rows = [(c.name, c.model.SerializeToString(), c.data_sets, c.rtol, c.atol) for c in cases]
    CACHE.parent.mkdir(exist_ok=True)
    partial = CACHE.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(rows))
    partial.replace(CACHE)
