"""Open an ONNX model as a validated onnx-ir graph; the user's file is only ever read."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from exporters.graph import adopt
from toolkit.errors import InvalidGraph

type_error_hint = "Give a path, an onnx.ModelProto or an onnx_ir.Model."
IN_MEMORY = "the model in memory"


def read(model: str | Path | onnx.ModelProto | ir.Model) -> ir.Model:
    """Read and validate an ONNX model.

    Returns an onnx-ir model that the caller may change: neither the file nor the object given is touched.
    Raises InvalidGraph, naming the file and the node, for a file that is no ONNX model, that ONNX's own checker
    refuses, or whose weights are missing or lie outside the model's own folder.
    """
    if isinstance(model, ir.Model):
        return read(ir.to_proto(model))
    if isinstance(model, onnx.ModelProto):
        _check(model, IN_MEMORY)
        return adopt.adopt(ir.from_proto(model))
    if isinstance(model, str | Path):
        return _read_file(Path(model))
    raise InvalidGraph(f"a {type(model).__name__} is not an ONNX model", hint=type_error_hint)


def name_of(model: object) -> str:
    """How messages call a model: its file name, or 'the model in memory'."""
    return Path(model).name if isinstance(model, str | Path) else IN_MEMORY


def _read_file(path: Path) -> ir.Model:
    if not path.is_file():
        raise InvalidGraph("there is no such file", where=str(path), hint="Give the path of an .onnx file.")
    try:
        proto = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise InvalidGraph(
            "this is not an ONNX model, or it was cut short",
            where=path.name,
            hint="Export it again, or check the download's size.",
        ) from error
    _check_external_data(proto, path)
    _check(proto, path.name, path)
    return adopt.adopt(ir.load(path))


def _check(proto: onnx.ModelProto, where: str, path: Path | None = None) -> None:
    if not proto.HasField("graph") or not proto.opset_import:
        raise InvalidGraph("this is not an ONNX model, or it was cut short", where=where)
    try:
        # A path lets the checker read models of more than 2 GB, and follow their external data.
        onnx.checker.check_model(adopt.adopted_proto(proto) or (str(path) if path else proto))
    except (onnx.checker.ValidationError, EncodeError) as error:
        raise InvalidGraph(_first_sentence(str(error)), where=where, hint="ONNX's own checker refuses it.") from error


def _first_sentence(message: str) -> str:
    """The checker's message without the dump of the node that follows it."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    context = next((line for line in lines if line.startswith("==> Context:")), "")
    return f"{lines[0].rstrip('.')} {context.removeprefix('==> Context: ')}".strip() if lines else "it is not valid"


def _check_external_data(proto: onnx.ModelProto, path: Path) -> None:
    """Weights outside the file must be regular files of one link inside the model's folder."""
    folder = path.parent.resolve()
    for tensor in _tensors(proto.graph):
        if uses_external_data(tensor):
            location = ExternalDataInfo(tensor).location
            trouble = _external_trouble(folder, location)
            if trouble:
                raise InvalidGraph(
                    f"its data lies in '{location}', {trouble}",
                    where=f"{path.name}, initializer '{tensor.name}'",
                    hint="External data must be a regular file of its own inside the model's folder.",
                )


def _external_trouble(folder: Path, location: str) -> str | None:
    relative = PurePosixPath(location)
    if not location or relative.is_absolute() or ".." in relative.parts or "\\" in location:
        return "which is outside the model's folder"
    file = folder / relative
    if file.is_symlink() or not file.resolve().is_relative_to(folder) or file.resolve() != file:
        return "which is a link"
    if not file.exists():
        return "which does not exist"
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        return "which is not a regular file"
    return "which has more than one name (hard links)" if status.st_nlink > 1 else None


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for sparse in graph.sparse_initializer:
        found += [sparse.values, sparse.indices]
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t] if attribute.HasField("t") else []
            found += attribute.tensors
            for subgraph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                found += _tensors(subgraph)
    return found
