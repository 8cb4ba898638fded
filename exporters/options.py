"""What a user may ask of an export, as plain data that travels to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_OPSET = 18
"""The newest opset that every route here writes by itself; in every ONNX Runtime since 1.14 (2023)."""


@dataclass(frozen=True)
class ExportOptions:
    """What a user may ask of an export.

    Args:
        opset: the ONNX operator set of what is written, and of the hub on the way to the other formats; an ONNX file
            keeps its own where it is not asked for by its number.
        exact_opset: whether an ONNX file of another opset is none: somebody asked for this one by its number.
        optimize: whether a file that is rebuilt from ONNX is made for speed: normalisations folded into the weights
            before them, weights stored in the order that the runtime likes. Without it they keep the source's bits.
        source_lines: whether an ONNX graph says of each operator which line of the source it comes from. These are
            paths of this machine: they stay out of a file that goes elsewhere.
        precision: in how many bits a file holds its weights and computes ("fp32", "fp16", "bf16" or "int8").
        target: the runtime that an ONNX file goes to (`exporters.targets`), which bounds its opset, IR and operators.
        calibration: a file of inputs from which int8 learns its ranges (`exporters.precision.calibration`).
    """

    opset: int = DEFAULT_OPSET
    exact_opset: bool = False
    optimize: bool = True
    source_lines: bool = False
    precision: str = "fp32"
    target: str | None = None
    calibration: str | None = None

    @property
    def recorded(self) -> dict[str, Any]:
        """What a manifest says of them: all but what is a path of this machine."""
        return {name: value for name, value in self.to_json().items() if name != "calibration"}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ExportOptions:
        return ExportOptions(**data)
