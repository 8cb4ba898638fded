"""Whether an ONNX model can be run at all: said before a runtime is asked, whose own words name less."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import defs

from exporters.graph import half_guard, read
from exporters.graph.operator_table import unsupported
from toolkit.errors import UnsupportedOperator

if TYPE_CHECKING:
    import onnx_ir as ir

RUNTIME = "ONNX Runtime"
_CONTRIBUTED = "com.microsoft"  # operators of its own, of which ONNX has no schemas
_ADVICE = "Write the model with operators of ONNX's own, or as functions inside the file."

_OLDEST = 7  # ONNX Runtime runs no opset before it
_REORDERED = "the file's nodes were not in the order in which they can be computed; they were sorted"


@dataclass(frozen=True)
class Known:
    """What is known of a file that can be run: what a user should know of how it was read, and the optimizations of
    ONNX Runtime that may end the process on it. `too_old` is the opset of a file from before those that it runs.
    """

    notes: tuple[str, ...]
    without: tuple[str, ...]
    too_old: int | None = None


def require(path: Path) -> Known:
    """Raise InvalidGraph for a file that is no valid model, and UnsupportedOperator for what nobody here can run."""
    model = read.read(path)
    newest = defs.onnx_opset_version()
    opset = model.opset_imports.get("", 0)
    if opset > newest:
        raise UnsupportedOperator(
            f"opset {opset} is above {newest}, the newest that the installed onnx knows",
            where=path.name,
            hint="Write the model at an older opset, for instance with onnx.version_converter.",
        )
    unknown = [node for node in model.graph.all_nodes() if not _is_known(node, model)]
    if unknown:
        raise unsupported(unknown, model, path.name, RUNTIME, _ADVICE)
    notes = (_REORDERED,) if model.meta.get(read.REORDERED) else ()
    too_old = opset if model.opset_imports.get("", _OLDEST) < _OLDEST else None
    return Known(notes, half_guard.GUILTY if half_guard.is_needed(model) else (), too_old)


def _is_known(node: ir.Node, model: ir.Model) -> bool:
    if node.domain.startswith(_CONTRIBUTED) or node.op_identifier() in model.functions:
        return True
    return defs.has(node.op_type, model.opset_imports.get(node.domain, 0), node.domain)
