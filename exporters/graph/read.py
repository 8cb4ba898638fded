"""Open an ONNX model as a validated onnx-ir graph; the user's file is only ever read."""

from __future__ import annotations

import math
import mmap
import stat
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx.external_data_helper import uses_external_data

from exporters.graph import adopt, order
from exporters.graph.protos import subgraphs
from toolkit.causes import said
from toolkit.errors import InvalidGraph

type_error_hint = "Give a path, an onnx.ModelProto or an onnx_ir.Model."
IN_MEMORY = "the model in memory"
_LONGEST = 300  # characters of a library's own words
_LARGE = 1024  # bytes; smaller tensors may be shapes and axes, which the checker reads
REORDERED = "reordered"  # key in `Model.meta`: the nodes were not in the order in which they can be computed
_TYPES = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}


def read(model: str | Path | onnx.ModelProto | ir.Model) -> ir.Model:
    """Read and validate an ONNX model.

    Returns an onnx-ir model that the caller may change: neither the file nor the object given is touched. Nodes that
    come before what they read are put behind it, which `meta[REORDERED]` tells.
    Raises InvalidGraph, naming the file and the node, for a file that is no ONNX model, that ONNX's own checker
    refuses, or whose weights are missing or lie outside the model's own folder.
    """
    if isinstance(model, ir.Model):
        return read(ir.to_proto(model))
    if isinstance(model, onnx.ModelProto):
        return _to_ir(model, IN_MEMORY, reorder=_check(model, IN_MEMORY))
    if isinstance(model, str | Path):
        return _read_file(Path(model))
    raise InvalidGraph(f"a {type(model).__name__} is not an ONNX model", hint=type_error_hint)


def name_of(model: object) -> str:
    """How messages call a model: its file name, or 'the model in memory'."""
    return Path(model).name if isinstance(model, str | Path) else IN_MEMORY


def _read_file(path: Path) -> ir.Model:
    if not path.is_file():
        raise InvalidGraph("there is no such file", where=str(path), hint="Give the path of an .onnx file.")
    proto = _parse(path)
    _check_external_data(proto, path)
    model = _to_ir(proto, path.name, reorder=_check(proto, path.name))
    # Weights outside the file are read where they lie, when they are asked for.
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _parse(path: Path) -> onnx.ModelProto:
    """The file's message. Its bytes are mapped, not read: they would be a second copy of the weights."""
    proto = onnx.ModelProto()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            proto.ParseFromString(memoryview(content))
    except OSError as error:
        raise InvalidGraph(f"it cannot be read ({error.strerror})", where=path.name) from error
    except (DecodeError, ValueError) as error:
        raise InvalidGraph(
            "this is not an ONNX model, or it was cut short",
            where=path.name,
            hint="Export it again, or check the download's size.",
        ) from error
    return proto


def _to_ir(proto: onnx.ModelProto, where: str, *, reorder: bool) -> ir.Model:
    try:
        model = adopt.adopt(ir.from_proto(proto))
        if reorder:
            model.graph.sort()
            model.meta[REORDERED] = True
    except Exception as error:  # onnx-ir raises whatever comes of a value that is not what its place asks for
        raise InvalidGraph(
            f"its graph does not hold together ({said(error)})", where=where, hint="Export it again."
        ) from error
    return model


def _check(proto: onnx.ModelProto, where: str) -> bool:
    """Raise InvalidGraph for what is no valid model; whether its nodes are to be brought into another order."""
    if not proto.HasField("graph") or not proto.opset_import:
        raise InvalidGraph("this is not an ONNX model, or it was cut short", where=where)
    _check_sizes(proto, where)
    try:
        light = _without_weights(proto)
        reorder = order.sort(light.graph, where)
        onnx.checker.check_model(adopt.adopted_proto(light) or light)
    except (onnx.checker.ValidationError, EncodeError, DecodeError, ValueError) as error:
        raise InvalidGraph(_first_sentence(str(error)), where=where, hint="ONNX's own checker refuses it.") from error
    return reorder


def _without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model for the checker, whose limit is 2 GB and who would copy it twice: large weights are left empty."""
    light = onnx.ModelProto()
    for field, value in proto.ListFields():
        if field.name != "graph":
            _copy_field(light, field, value)
    for field, value in proto.graph.ListFields():
        if field.name != "initializer":
            _copy_field(light.graph, field, value)
    light.graph.SetInParent()
    for tensor in proto.graph.initializer:
        _copy_tensor(tensor, light.graph.initializer.add())
    return light


def _copy_field(message: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).MergeFrom(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _copy_tensor(tensor: onnx.TensorProto, light: onnx.TensorProto) -> None:
    if not uses_external_data(tensor) and (not tensor.HasField("raw_data") or (_byte_size(tensor) or 0) < _LARGE):
        light.CopyFrom(tensor)
        return
    light.name, light.data_type = tensor.name, tensor.data_type
    light.dims.append(0)  # of any other shape the checker would ask for elements


def _check_sizes(proto: onnx.ModelProto, where: str) -> None:
    """Raw bytes must be as many as type and shape say; the checker does not count them."""
    for tensor in _tensors(proto.graph):
        wanted = _byte_size(tensor)
        if wanted is None:
            raise InvalidGraph(
                "its type or its shape is none", where=f"{where}, initializer '{tensor.name}'", hint="Export it again."
            )
        if tensor.HasField("raw_data") and not uses_external_data(tensor) and len(tensor.raw_data) != wanted:
            raise InvalidGraph(
                f"it holds {len(tensor.raw_data)} bytes where its type and shape want {wanted}",
                where=f"{where}, initializer '{tensor.name}'",
                hint="The file was damaged; export or copy it again.",
            )


def _byte_size(tensor: onnx.TensorProto) -> int | None:
    """How many bytes a tensor has; None for one of no known type or of a negative size."""
    if tensor.data_type not in _TYPES or any(size < 0 for size in tensor.dims):
        return None
    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    bits = ir.DataType(tensor.data_type).bitwidth
    return (int(math.prod(tensor.dims)) * bits + 7) // 8


def _first_sentence(message: str) -> str:
    """The checker's message up to its first blank line, in one line, and what it says of the place."""
    told, _, context = message.partition("==> Context:")
    sentence = " ".join(told.strip().partition("\n\n")[0].split()).rstrip(".")
    place = " ".join(context.strip().splitlines()[:1])
    return f"{sentence[:_LONGEST]} {place[:_LONGEST]}".strip() or "it is not valid"


def _check_external_data(proto: onnx.ModelProto, path: Path) -> None:
    """Weights outside the file must lie in regular files of one link inside the model's folder, whole."""
    folder = path.parent.resolve()
    for tensor in _tensors(proto.graph):
        if uses_external_data(tensor):
            location, trouble = _external_trouble(folder, tensor)
            if trouble:
                raise InvalidGraph(
                    f"its data lies in '{location}', {trouble}",
                    where=f"{path.name}, initializer '{tensor.name}'",
                    hint="External data must be a regular file of its own inside the model's folder.",
                )


def _external_trouble(folder: Path, tensor: onnx.TensorProto) -> tuple[str, str | None]:
    """Where a tensor's data is said to lie, and what is wrong with that place."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    trouble = _place_trouble(folder, location)
    return location, trouble or _extent_trouble((folder / location).stat().st_size, entries, tensor)


def _extent_trouble(size: int, entries: dict[str, str], tensor: onnx.TensorProto) -> str | None:
    """What is wrong with the part of the file that the tensor is said to be."""
    wanted = _byte_size(tensor)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", wanted or 0))
    except ValueError:
        return "at an offset or of a length that is no number"
    if offset < 0 or length < 0:
        return f"at offset {offset}, {length} bytes long, which no file holds"
    if wanted is not None and length != wanted:
        return f"{length} bytes long where its type and shape want {wanted}"
    return (
        f"which ends at byte {size}, before the tensor's last ({offset + length})" if offset + length > size else None
    )


def _place_trouble(folder: Path, location: str) -> str | None:
    relative = PurePosixPath(location)
    if not location or "\0" in location:
        return "which is no name of a file"
    if relative.is_absolute() or ".." in relative.parts or "\\" in location:
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
        for inner in subgraphs(node):
            found += _tensors(inner)
    return found
