"""Say what a file is without running it: kind, writer, signature, parameters, operators, and what in it is code.

Reads archives' tables of contents, JSON, HDF5 attributes and protobuf fields; no framework is imported, nothing is
unpickled, no graph is built.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporters.sources import pickles
from toolkit import artifact, files, formats, litert, manifest, metadata, safety
from toolkit.errors import BadInput, RuntimeMissing
from toolkit.signature import Signature

SAFE = "opens without running code of its own"
_CODE = ("torchscript", "savedmodel", "tflite")


@dataclass(frozen=True)
class Inspection:
    """What was found. `code` names the parts that are code; empty means there are none. `safe` says it in words."""

    path: Path
    kind: str
    size: int
    safe: str
    writer: str | None = None
    signature: Signature | None = None
    labels: tuple[str, ...] = ()
    parameters: int | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "kind": self.kind,
            "size": self.size,
            "writer": self.writer,
            "signature": self.signature.to_json() if self.signature else None,
            "labels": list(self.labels),
            "parameters": self.parameters,
            "operators": dict(self.operators),
            "code": list(self.code),
            "safe": self.safe,
            "facts": dict(self.facts),
        }


def inspect(path: Path) -> Inspection:
    """Look at a file or folder. Raises BadInput or UnknownFormat where it is nothing that can be told."""
    formats.check_readable(path)
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".keras":
        return _keras(path)  # what a damaged one lacks is said better so than by its format
    content = pickles.content(path)
    if content is not None:
        return _pickle(path, content)
    form = formats.of_path(path)
    return _READERS[form.name](path)


def _folder(path: Path) -> Inspection:
    if (path / manifest.NAME).is_file():
        return _bundle(path)
    if (path / artifact.SIDECAR).is_file():
        return _trained(path)
    return _READERS[formats.of_path(path).name](path)


def _bundle(path: Path) -> Inspection:
    found = manifest.check(path)
    facts = {name: f"{file}, {files.describe_size(_size(path / file))}" for name, file in found.formats.items()}
    facts |= {"source": str(found.source.get("name")), "verified": _verified(found), "files": "all as exported"}
    writer = f"toolkit {found.versions.get('toolkit', '?')}, {found.created}"
    code = tuple(file for name, file in found.formats.items() if name in _CODE)
    found_unsafe = [
        text for name in _CODE if name in found.formats for text in safety.findings(path / found.formats[name], name)
    ]
    safe = _words(found_unsafe) if code else SAFE
    return Inspection(
        path, "bundle", _size(path), safe, writer, found.signature, found.contract.labels, code=code, facts=facts
    )


def _verified(found: manifest.Manifest) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.verification.get("counts", {}).items())
    return f"{counts}; {found.verification.get('inputs', '')}"


def _trained(path: Path) -> Inspection:
    found = artifact.load(path)
    facts = dict(found.files) | {str(k): str(v) for k, v in found.facts.items()}
    return Inspection(
        path, f"trained {found.format} model", _size(path), SAFE, None, found.signature, found.contract.labels,
        code=(found.factory,) if found.factory else (), facts=facts,
    )  # fmt: skip


def _onnx(path: Path) -> Inspection:
    try:
        import onnx
    except ModuleNotFoundError:
        raise RuntimeMissing("the package 'onnx' is not installed", hint="`toolkit doctor` says what to run.") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own DecodeError comes without types
        raise BadInput(
            "it is no ONNX file, or a truncated one", where=str(path), hint="Export or copy it again."
        ) from error
    props = {item.key: item.value for item in model.metadata_props}
    declared = metadata.loads(props.get(metadata.KEY))
    external = sorted({e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"})
    domains = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    facts = {"IR": str(model.ir_version), "opsets": ", ".join(f"{name} {v}" for name, v in domains.items())}
    if external:
        facts["external data"] = ", ".join(external)
    return Inspection(
        path,
        "onnx",
        _size(path),
        SAFE,
        f"{model.producer_name} {model.producer_version}".strip() or None,
        declared[0] if declared else _onnx_signature(path),
        declared[1].labels if declared else (),
        sum(_product(tensor.dims) for tensor in model.graph.initializer),
        dict(Counter(node.op_type for node in model.graph.node).most_common()),
        facts=facts,
    )


def _onnx_signature(path: Path) -> Signature | None:
    from exporters.graph import read, signature

    try:
        return signature.signature(read.read(path))
    except BadInput:
        return None


def _torchscript(path: Path) -> Inspection:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        extra = next((name for name in names if name.endswith(f"extra/{metadata.FILE}")), None)
        declared = metadata.loads(archive.read(extra) if extra else None)
        code = tuple(name for name in names if "/code/" in name and name.endswith(".py"))
    return Inspection(
        path, "torchscript", _size(path), _safe(path, "torchscript"), "PyTorch", declared[0] if declared else None,
        declared[1].labels if declared else (), code=code,
    )  # fmt: skip


def _savedmodel(path: Path) -> Inspection:
    extra = path / "assets.extra" / metadata.FILE
    declared = metadata.loads(extra.read_text("utf-8") if extra.is_file() else None)
    listed = [file.relative_to(path).as_posix() for file in files.files_below(path)]
    return Inspection(
        path, "savedmodel", _size(path), _safe(path, "savedmodel"), "TensorFlow",
        declared[0] if declared else None, declared[1].labels if declared else (), code=("saved_model.pb",),
        facts={"files": ", ".join(listed)},
    )  # fmt: skip


def _safe(path: Path, kind: str) -> str:
    return _words(safety.findings(path, kind))


def _words(found: Sequence[str]) -> str:
    if not found:
        return "its operators only compute"
    return f"may do more than compute: {', '.join(found)}"


def _hdf5(path: Path) -> Inspection:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            attributes = {name: _text(file.attrs[name]) for name in file.attrs}
            sizes: list[int] = []
            file.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    except OSError as error:
        raise BadInput("it is truncated or damaged", where=str(path), hint="Export or copy it again.") from error
    declared = metadata.loads(attributes.get(metadata.KEY))
    config = json.loads(attributes.get("model_config") or "{}")
    layers = Counter(layer.get("class_name", "?") for layer in config.get("config", {}).get("layers", ()))
    return Inspection(
        path,
        "hdf5" if config else "hdf5, weights alone",
        _size(path),
        SAFE,
        f"Keras {attributes.get('keras_version', '?')} ({attributes.get('backend', '?')})",
        declared[0] if declared else None,
        declared[1].labels if declared else (),
        sum(sizes),
        dict(layers.most_common()),
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _keras(path: Path) -> Inspection:
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("metadata.json"))
            config = json.loads(archive.read("config.json"))
            declared = metadata.loads(metadata.of_archive(path))
            parameters = _parameters(archive)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise BadInput(
            "it is no .keras archive, or a truncated one", where=str(path), hint="Save or copy it again."
        ) from error
    is_keras = str(config.get("module") or "").partition(".")[0] == "keras"
    own = "" if is_keras else str(config.get("registered_name") or "")
    layers = Counter(layer.get("class_name", "?") for layer in config.get("config", {}).get("layers", ()))
    safe = f"needs the class {own}" if own else SAFE
    return Inspection(
        path, "keras", _size(path), safe, f"Keras {about.get('keras_version', '?')}",
        declared[0] if declared else None, declared[1].labels if declared else (), parameters,
        dict(layers.most_common()),
    )  # fmt: skip


def _parameters(archive: zipfile.ZipFile) -> int:
    """How many numbers the layers of a .keras archive hold; an optimizer's are not the model's."""
    import h5py

    sizes: list[int] = []

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            sizes.append(item.size)

    with archive.open("model.weights.h5") as content, h5py.File(content, "r") as file:
        file.visititems(count)
    return sum(sizes)


def _litert(path: Path) -> Inspection:
    found = litert.read(path)
    declared = metadata.loads(metadata.of_archive(path))
    return Inspection(
        path, "tflite", _size(path), _safe(path, "tflite"), "LiteRT", declared[0] if declared else found.signature,
        declared[1].labels if declared else (), sum(_product(weight.shape) for weight in found.weights),
        found.operators, code=found.custom,
    )  # fmt: skip


def _pickle(path: Path, content: pickles.Content) -> Inspection:
    if content.holds_only_weights:
        return Inspection(path, "PyTorch weights (a state_dict)", _size(path), SAFE, "PyTorch")
    return Inspection(
        path, "pickled PyTorch model", _size(path), "runs code when it is opened", "PyTorch", code=content.globals
    )


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in files.files_below(path))


def _product(dims: Any) -> int:
    total = 1
    for dim in dims:
        total *= int(dim)
    return total


_READERS: dict[str, Callable[[Path], Inspection]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "savedmodel": _savedmodel,
    "hdf5": _hdf5,
    "keras": _keras,
    "tflite": _litert,
}
