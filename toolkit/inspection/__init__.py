"""Say what a file is without running it: kind, writer, signature, parameters, operators, and what in it is code.

Reads archives' tables of contents, JSON, HDF5 attributes and protobuf fields; no framework is imported, nothing is
unpickled, no graph is built. A model that is no file ("package.module:callable", "timm:resnet18") is told by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from exporters.sources import by_name, factory, pickles, tensorflow_checkpoint, transformers_folder
from exporters.sources.source import Asked, Source
from toolkit import artifact, formats, manifest
from toolkit.inspection import keras_files, onnx_file, own_files, tensorflow_files, torch_files
from toolkit.inspection.found import SAFE, Inspection

__all__ = ["SAFE", "Inspection", "inspect"]

_READERS: dict[str, Callable[[Path], Inspection]] = {
    "onnx": onnx_file.onnx_file,
    "torchscript": torch_files.torchscript,
    "savedmodel": tensorflow_files.savedmodel,
    "hdf5": keras_files.hdf5,
    "keras": keras_files.archive,
    "tflite": keras_files.litert_file,
}
# By the name's end, before the content: what a damaged one lacks is said better so.
_NAMED: dict[str, Callable[[Path], Inspection]] = {
    ".keras": keras_files.archive,
    ".pt2": torch_files.program,
    ".safetensors": torch_files.safetensors,
    ".weights.h5": keras_files.hdf5,
}


def inspect(path: Path | str) -> Inspection:
    """Look at a file, a folder or a name. Raises BadInput or UnknownFormat where it is nothing that can be told."""
    named = _of_name(str(path))
    if named is not None:
        return named
    path = Path(path)
    prefix = tensorflow_checkpoint.prefix_of(path)
    if prefix is not None:
        return tensorflow_files.checkpoint(path, prefix)
    formats.check_readable(path)
    if path.is_dir():
        return _folder(path)
    for end, reader in _NAMED.items():
        if path.name.endswith(end):
            return reader(path)
    content = pickles.content(path)
    if content is not None:
        return torch_files.pickled(path, content)
    return _READERS[formats.of_path(path).name](path)


def _of_name(text: str) -> Inspection | None:
    """A library's model, or a factory of the user's, which is not called."""
    source, asked = Source("", text, search=(str(Path.cwd()),)), Asked(text)
    found = by_name.probe(source, asked) or factory.probe(source, asked)
    if found is None:
        return None
    safe = f"runs the code of {found.kind}" if found.kind in ("timm", "torchvision") else "runs your own code"
    return Inspection(Path(text), found.kind, 0, safe, code=(text,), facts={"opened in": f"the {found.runtime} worker"})


def _folder(path: Path) -> Inspection:
    if (path / manifest.NAME).is_file():
        return own_files.bundle(path)
    if (path / artifact.SIDECAR).is_file():
        return own_files.trained(path)
    if transformers_folder.read_config(path) is not None:
        return torch_files.transformers(path)
    return replace(_READERS[formats.of_path(path).name](path), path=path)
