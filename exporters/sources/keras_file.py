"""A .keras file of Keras 3, in safe mode: it may name built-in layers and registered classes, and run no code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporters.sources import factory
from exporters.sources.keras_model import KerasRunner
from exporters.sources.source import Asked, Kind, Source
from toolkit import formats
from toolkit.causes import said
from toolkit.errors import BadInput

KINDS = (
    Kind("keras-file", "tensorflow", "exporters.sources.keras_file:open_file",
         "a `.keras` file; with the factory that registers its classes where it has any of its own",
         "model.keras [--factory package.module:callable]"),
)  # fmt: skip

SUFFIX = ".keras"


def probe(source: Source, asked: Asked) -> Source | None:
    """By its name, or as an archive of that layout; what is in it is read when it is opened."""
    if not asked.path.is_file() or not (asked.path.suffix == SUFFIX or formats.by_name("keras").probe(asked.path)):
        return None
    return replace(source, kind="keras-file")


def open_file(source: Source, device: str, threads: int | None) -> KerasRunner:
    return KerasRunner(source, lambda keras: _load(keras, source), device, threads)


def _load(keras: Any, source: Source) -> tuple[Any, Any]:
    example = None
    if source.factory is not None:
        # Its module registers the classes that the file names; the model that it builds only knows the inputs.
        _, example = factory.build(source.factory, source.search)
    return load(keras, str(source.path)), example


def load(keras: Any, path: str) -> Any:
    """The model in a file. Raises BadInput where Keras cannot open it."""
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise BadInput(
            f"Keras cannot open it ({said(error)})",
            where=path,
            hint="It is truncated or damaged, or needs a class of its own: --factory package.module:callable, whose"
            " module registers it.",
        ) from error
