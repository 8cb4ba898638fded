"""Where an ONNX file goes: which opset, IR version and operators a runtime's release can read (targets.toml)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from exporters.graph.protos import all_nodes
from toolkit.errors import BadInput

_FORM = re.compile(r"(?P<name>[a-z]+(?:-[a-z]+)?)(?:(?:>=|==)?(?P<release>\d+(?:\.\d+)*))?")
_USUAL = 18  # without a release: the oldest that reads the usual opset
_LISTED = 5


@dataclass(frozen=True)
class Target:
    """`text` is what the user wrote; `opset` and `ir` are the newest that it reads; `missing` operators it has not."""

    text: str
    opset: int
    ir: int
    missing: frozenset[str] = frozenset()
    domains: frozenset[str] | None = None  # the only ones that it knows; None: any


def parse(text: str) -> Target:
    """A target such as "ort>=1.17", "ort-web" or "trt10". Raises BadInput for one that is not in the table."""
    match = _FORM.fullmatch(text.replace(" ", "").lower())
    table = _table()
    if match is None or match["name"] not in table:
        raise BadInput(
            f"'{text}' is no target", where="--target",
            hint=f"Choose from {', '.join(table)}, with a release: ort>=1.17, trt10.",
        )  # fmt: skip
    row = table[match["name"]]
    releases = [(_numbers(release), opset, ir) for release, opset, ir in row["releases"]]
    if match["release"] is None:
        opset, ir = next((opset, ir) for _, opset, ir in releases if opset >= _USUAL)
    else:
        known = [found for found in releases if found[0] <= _numbers(match["release"])]
        if not known:
            oldest = row["releases"][0][0]
            raise BadInput(
                f"{match['name']} {match['release']} is older than the table's first ({oldest})", where="--target",
                hint="Say the opset yourself: --opset N.",
            )  # fmt: skip
        _, opset, ir = known[-1]
    domains = frozenset(row["domains"]) if "domains" in row else None
    return Target(text, opset, ir, frozenset(row.get("missing", ())), domains)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("exporters").joinpath("targets.toml").read_text(encoding="utf-8"))


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def troubles(path: Path, target: Target) -> list[str]:
    """Why a file does not fit a target, in words that name the nodes; empty where it does."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    found = []
    if opset > target.opset:
        found.append(f"it is written in opset {opset}, {target.text} reads up to {target.opset}")
    if model.ir_version > target.ir:
        found.append(f"its IR version is {model.ir_version}, {target.text} reads up to {target.ir}")
    places: dict[str, list[str]] = {}
    for node in all_nodes(model.graph):
        known = node.domain == "ai.onnx" or target.domains is None or node.domain in target.domains
        if node.op_type in target.missing or not known:
            title = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            places.setdefault(title, []).append(node.name or next(iter(node.output), "?"))
    for operator, names in places.items():
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        listed = ", ".join(f"'{name}'" for name in names[:_LISTED])
        found.append(f"{target.text} has no operator {operator} (node {listed}{more})")
    return found
