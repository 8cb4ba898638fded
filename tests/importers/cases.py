"""ONNX's own backend node cases, collected once and kept in pytest's cache folder: collecting takes half a minute."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

CACHE = Path(__file__).parents[2] / ".pytest_cache" / f"onnx-node-cases-{onnx.__version__}.pickle"


SAMPLED = 6  # of so many node cases, pytest runs one; the benchmark runs all


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


def selected(arguments: list[str]) -> list[Case]:
    """All node cases, those of `sample` for `--sample`, the traps for `--traps`, or those whose names hold a part."""
    if arguments == ["--traps"]:
        from tests.importers import traps

        return traps.cases()
    if arguments == ["--sample"]:
        return sample(node_cases())
    return [case for case in node_cases() if not arguments or any(part in case.name for part in arguments)]


def sample(cases: list[Case]) -> list[Case]:
    """The same cases each time: every operator's first, plain and expanded, and one of `SAMPLED`."""
    firsts: dict[tuple[str, bool], Case] = {}
    for case in cases:
        for operator in case.operators:
            firsts.setdefault((operator, "_expanded" in case.name), case)
    chosen = {case.name for case in firsts.values()} | {case.name for case in cases[::SAMPLED]}
    return [case for case in cases if case.name in chosen]


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
