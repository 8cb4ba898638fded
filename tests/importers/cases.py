"""The cases of ONNX's backend suite, collected once (half a minute) and kept in pytest's cache folder."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from tests.importers import collect, groups

CACHE = Path(__file__).parents[2] / ".pytest_cache" / f"onnx-cases-{onnx.__version__}.pickle"


SAMPLED = 6  # of so many cases, pytest runs one; the benchmark runs all


@dataclass(frozen=True)
class Case:
    """One case: `data` holds pairs of the inputs and the outputs that they must give.

    `kind` is the part of the suite that it comes from: node, simple, pytorch-converted, pytorch-operator or light.
    """

    name: str
    model: onnx.ModelProto
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float
    kind: str = "node"

    @cached_property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the inputs that `data` feeds: old graphs declare their weights as inputs, too."""
        return collect.fed(self.model)

    @cached_property
    def group(self) -> str:
        """Which of `groups.GROUPS` the case belongs to, by what its graph holds."""
        return groups.group_of(self.model, dict(zip(self.inputs, self.data[0][0], strict=False)))


def all_cases() -> list[Case]:
    """All cases of the suite, in order of name."""
    if not CACHE.exists():
        CACHE.parent.mkdir(exist_ok=True)
        partial = CACHE.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(sorted(collect.rows())))
        partial.replace(CACHE)
    rows = pickle.loads(CACHE.read_bytes())
    return [
        Case(name, onnx.ModelProto.FromString(model), data, rtol, atol, kind)
        for name, kind, model, data, rtol, atol in rows
    ]


def selected(arguments: list[str]) -> list[Case]:
    """All cases, or those that the arguments ask for.

    `--sample` asks for those of `sample`, `--traps` for the traps, `--microsoft` for ONNX Runtime's own operators,
    `--learned` for those of classical machine learning; anything else is part of a name.
    """
    if arguments == ["--learned"]:
        from tests.importers import learned

        return learned.cases()
    if arguments == ["--microsoft"]:
        from tests.importers import microsoft

        return microsoft.cases()
    if arguments == ["--traps"]:
        from tests.importers import traps

        return traps.cases()
    if arguments == ["--sample"]:
        return sample(all_cases())
    return [case for case in all_cases() if not arguments or any(part in case.name for part in arguments)]


def sample(cases: list[Case]) -> list[Case]:
    """The same cases each time: every operator's first, plain and expanded, and one of `SAMPLED`; no large model."""
    small = [case for case in cases if case.kind != "light"]
    firsts: dict[tuple[str, bool], Case] = {}
    for case in small:
        for operator in case.operators:
            firsts.setdefault((operator, "_expanded" in case.name), case)
    chosen = {case.name for case in firsts.values()} | {case.name for case in small[::SAMPLED]}
    return [case for case in small if case.name in chosen]


def in_groups(cases: list[Case]) -> Iterator[tuple[str, list[Case]]]:
    """Each group with its cases, in the order of `groups.GROUPS`."""
    for group in groups.GROUPS:
        yield group, [case for case in cases if case.group == group]
