"""SavedModels, by the fields of their protobuf; and checkpoints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from toolkit import files, metadata, safety
from toolkit.inspection.found import Inspection, size_of, words
from toolkit.safety import savedmodel as reading
from toolkit.signature import Dim, Signature, TensorSpec

# tensorflow.DataType
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64",
           10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16", 22: "uint32", 23: "uint64"}  # fmt: skip
_SERVING = "serving_default"
_PLUMBING = ("Const", "Placeholder", "NoOp", "Identity", "IdentityN", "VarHandleOp", "ReadVariableOp",
             "AssignVariableOp", "PartitionedCall", "StatefulPartitionedCall", "SaveV2", "RestoreV2",
             "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "StaticRegexFullMatch", "Select", "Pack",
             "StridedSlice", "DisableCopyOnRead")  # fmt: skip


def savedmodel(path: Path) -> Inspection:
    extra = path / "assets.extra" / metadata.FILE
    declared = metadata.loads(extra.read_text("utf-8") if extra.is_file() else None)
    safe = words(safety.findings(path, "savedmodel"))
    facts = {"files": ", ".join(file.relative_to(path).as_posix() for file in files.files_below(path))}
    version, operators = "?", Counter[str]()
    signatures: dict[str, Signature | None] = {}
    for meta in reading.read(path).meta_graphs if (path / reading.GRAPH).is_file() else ():
        version = meta.info.tensorflow_version or version
        operators.update(node.op for node in meta.graph.node)
        operators.update(node.op for function in meta.graph.library.function for node in function.node)
        signatures |= {entry.key: _signature(entry.value) for entry in meta.signatures if not _is_internal(entry.key)}
    facts["signatures"] = "; ".join(f"{name}({_listed(found)})" for name, found in signatures.items()) or "none"
    own = signatures.get(_SERVING) or (next(iter(signatures.values())) if len(signatures) == 1 else None)
    return Inspection(
        path, "savedmodel", size_of(path), safe, f"TensorFlow {version}", declared[0] if declared else own,
        declared[1].labels if declared else (), None,
        {name: count for name, count in operators.most_common() if name not in _PLUMBING}, (reading.GRAPH,), facts,
    )  # fmt: skip


def _is_internal(name: str) -> bool:
    return name.startswith("__saved_model")


def _listed(signature: Signature | None) -> str:
    return ", ".join(map(str, signature.inputs)) if signature else "?"


def _signature(message: Any) -> Signature | None:
    """A signature's inputs and outputs; None where one has no rank or a type that is none of ours."""
    sides = [[_spec(entry.key, entry.value) for entry in side] for side in (message.inputs, message.outputs)]
    if any(spec is None for side in sides for spec in side):
        return None
    inputs, outputs = (tuple(spec for spec in side if spec is not None) for side in sides)
    return Signature(inputs, outputs)


def _spec(name: str, tensor: Any) -> TensorSpec | None:
    if tensor.dtype not in _DTYPES or tensor.shape.unknown_rank:
        return None
    shape: list[Dim] = [
        int(dim.size) if dim.size >= 0 else ("batch" if axis == 0 else f"{name}_{axis}")
        for axis, dim in enumerate(tensor.shape.dim)
    ]
    return TensorSpec(name, _DTYPES[tensor.dtype], tuple(shape))


def checkpoint(path: Path, prefix: Path) -> Inspection:
    parts = sorted(prefix.parent.glob(f"{prefix.name}.*"))
    facts = {"prefix": str(prefix), "files": ", ".join(part.name for part in parts),
             "needs": "--factory package.module:callable"}  # fmt: skip
    size = sum(part.stat().st_size for part in parts)
    return Inspection(path, "TensorFlow checkpoint", size, "holds tensors alone", "TensorFlow", facts=facts)
