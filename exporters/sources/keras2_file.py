"""Files that Keras 2 wrote (.h5, .keras): opened by Keras 2, which the package tf_keras is, in a worker of its own.

Without that package Keras 3 reads some of them; which of the two did is told. The worker is called "tf_keras", so that
`--python tf_keras=other/bin/python` can name an interpreter that has it.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.sources import hdf5_attributes, keras_file
from exporters.sources.keras_model import KerasRunner
from exporters.sources.source import Asked, Kind, Source
from toolkit import safety
from toolkit.causes import said
from toolkit.errors import BadInput, UnsafeFile
from toolkit.files import digest

KINDS = (
    Kind("keras2-file", "tf_keras", "exporters.sources.keras2_file:open_file",
         "an `.h5` or `.keras` file of Keras 2, opened by `tf_keras` where that is installed", "old.h5"),
)  # fmt: skip

_PYTHON = ("Lambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
_CALLS = ("TFOpLambda", "SlicingOpLambda")
# Functions of TensorFlow that a layer may call: what computes, and nothing that reads, writes, prints or runs Python.
_ARITHMETIC = re.compile(
    r"(compat\.v[12]\.)?((math|nn|linalg|signal|image|keras\.(activations|backend)|__operators__|strings|bitwise|sets|ragged)\..+|"
    r"argmax|argmin|argsort|broadcast_to|cast|clip_by_value|concat|convert_to_tensor|cumsum|einsum|expand_dims|eye|fill|"
    r"gather|gather_nd|identity|linspace|logical_\w+|matmul|norm|one_hot|ones|ones_like|pad|range|rank|realdiv|"
    r"reduce_\w+|repeat|reshape|reverse|roll|scatter_nd|searchsorted|sequence_mask|shape|size|slice|sort|split|squeeze|"
    r"stack|tensordot|tile|transpose|truncatediv|unique|unstack|where|zeros|zeros_like)"
)
PIP = "pip install tf_keras"


def probe(source: Source, asked: Asked) -> Source | None:
    """A file that says a version of Keras before 3, and holds a model."""
    version = writer(asked.path) if asked.path.is_file() else None
    if version is None or version.partition(".")[0] not in ("1", "2"):
        return None
    return replace(source, kind="keras2-file", facts={"version": version, "trusted": _is_safe(asked)})


def writer(path: Path) -> str | None:
    """The version of Keras that wrote a model's file; None where the file does not say, or is none."""
    if path.suffix == keras_file.SUFFIX:
        try:
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError):
            return None
    found = hdf5_attributes.read(path)
    return found.get("keras_version") if found and "model_config" in found else None


def code_in(path: Path) -> list[str]:
    """What in a file of Keras 2 is code, or calls more than arithmetic: Lambda layers, and functions of TensorFlow."""
    return list(dict.fromkeys(_code(_config(path))))


def _is_safe(asked: Asked) -> bool:
    """False where nothing in the file is code, True where the user trusts it. Raises UnsafeFile for the rest."""
    found = code_in(asked.path)
    if not found:
        return False
    if safety.trusted(asked.path, asked.trust):
        return True
    raise UnsafeFile(
        f"it may do more than compute: {', '.join(found[:3])}",
        where=asked.text,
        hint=f"If you know where the file comes from, allow exactly this one: --trust {digest(asked.path)[:16]}",
    )


def _config(path: Path) -> Any:
    try:
        if path.suffix == keras_file.SUFFIX:
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        return json.loads((hdf5_attributes.read(path) or {}).get("model_config", "null"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError) as error:
        raise BadInput(f"its configuration cannot be read ({error})", where=str(path)) from None


def _code(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        kind, inner = config.get("class_name"), config.get("config")
        inner = inner if isinstance(inner, dict) else {}
        if kind in _PYTHON:
            yield f"the {kind} layer '{inner.get('name')}'"
        elif kind in _CALLS and not _ARITHMETIC.fullmatch(str(inner.get("function"))):
            yield f"a call of tf.{inner.get('function')}"
        for value in config.values():
            yield from _code(value)
    elif isinstance(config, list):
        for value in config:
            yield from _code(value)


def open_file(source: Source, device: str, threads: int | None) -> KerasRunner:
    return Keras2Runner(source, device, threads)


class Keras2Runner(KerasRunner):
    """A model of Keras 2, run by it; by Keras 3 where only that is installed and can read the file."""

    def __init__(self, source: Source, device: str, threads: int | None) -> None:
        super().__init__(source, self._load, device, threads)

    def _import_keras(self) -> Any:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # read when TensorFlow first looks for its Keras
        try:
            import tf_keras
        except ModuleNotFoundError:
            import keras

            return keras
        return tf_keras

    def _load(self, keras: Any) -> tuple[Any, Any]:
        path, version = str(self.source.path), self.source.facts["version"]
        legacy = keras.__name__ == "tf_keras"
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=not self.source.facts["trusted"])
        except Exception as error:
            reason = said(error)
            raise BadInput(
                f"Keras {version} wrote it, and Keras {keras.__version__} cannot open it ({reason})",
                where=path,
                hint="It is damaged, or needs a class of its own: use a factory."
                if legacy
                else f"Keras 2 is a package of its own now: {PIP}",
            ) from error
        if not legacy:
            self.notes.append(
                f"Keras {version} wrote the file, Keras {keras.__version__} opened it; with Keras 2 itself ({PIP})"
                " nothing of it is left to how Keras 3 reads it"
            )
        return model, None
