"""Keras archives, HDF5 files of Keras 2 and 3, and weights alone; and LiteRT files."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exporters.sources import hdf5_attributes, keras2_file
from toolkit import litert, metadata
from toolkit.errors import BadInput
from toolkit.inspection.found import SAFE, Inspection, product, safe, size_of, words


def hdf5(path: Path) -> Inspection:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            attributes = {name: hdf5_attributes.text(file.attrs[name]) for name in file.attrs}
            sizes: list[int] = []
            file.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    except OSError as error:
        raise BadInput("it is truncated or damaged", where=str(path), hint="Export or copy it again.") from error
    declared = metadata.loads(attributes.get(metadata.KEY))
    config = json.loads(attributes.get("model_config") or "{}")
    layers = Counter(_layers(config))
    code = keras2_file.code_in(path) if config else []
    return Inspection(
        path,
        "hdf5" if config else "hdf5, weights alone",
        size_of(path),
        words(code) if code else SAFE,
        f"Keras {attributes.get('keras_version', '?')} ({attributes.get('backend', '?')})",
        declared[0] if declared else None,
        declared[1].labels if declared else (),
        sum(sizes),
        dict(layers.most_common()),
        tuple(code),
        _advice(attributes.get("keras_version", "")) if config else {"needs": "--factory package.module:callable"},
    )


def archive(path: Path) -> Inspection:
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
    layers = Counter(_layers(config))
    code = keras2_file.code_in(path)
    opens = f"needs the class {own}" if own else SAFE
    version = str(about.get("keras_version", "?"))
    return Inspection(
        path, "keras", size_of(path), words(code) if code else opens, f"Keras {version}",
        declared[0] if declared else None, declared[1].labels if declared else (), parameters,
        dict(layers.most_common()), tuple(code), _advice(version),
    )  # fmt: skip


def _layers(config: Any) -> Iterator[str]:
    """The classes of a model's layers, those of models in it too."""
    for layer in config.get("config", {}).get("layers", ()) if isinstance(config.get("config"), dict) else ():
        yield str(layer.get("class_name", "?"))
        if isinstance(layer.get("config"), dict) and "layers" in layer["config"]:
            yield from _layers(layer)


def _advice(version: str) -> dict[str, str]:
    """What a file of Keras 2 wants to be opened with."""
    return {"opened by": f"Keras 2: {keras2_file.PIP}"} if version.startswith(("1.", "2.")) else {}


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


def litert_file(path: Path) -> Inspection:
    found = litert.read(path)
    declared = metadata.loads(metadata.of_archive(path))
    return Inspection(
        path, "tflite", size_of(path), safe(path, "tflite"), "LiteRT", declared[0] if declared else found.signature,
        declared[1].labels if declared else (), sum(product(weight.shape) for weight in found.weights),
        found.operators, code=found.custom,
    )  # fmt: skip
