"""What a user may ask of an export, as plain data that travels to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_OPSET = 18
"""The newest opset that every route here writes by itself; in every ONNX Runtime since 1.14 (2023)."""


@dataclass(frozen=True)
class ExportOptions:
    """`opset` is the ONNX operator set of what is written, and of the hub on the way to the other formats."""

    opset: int = DEFAULT_OPSET

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ExportOptions:
        return ExportOptions(**data)
