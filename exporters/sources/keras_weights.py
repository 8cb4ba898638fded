"""Keras weights alone, put into what a factory builds: .weights.h5, or an .h5 file that holds no model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporters.sources import factory, hdf5_attributes
from exporters.sources.keras_model import KerasRunner, example_signature, zeros
from exporters.sources.source import Asked, Kind, Source, require_factory
from toolkit.causes import said
from toolkit.errors import BadInput

KINDS = (
    Kind("keras-weights", "tensorflow", "exporters.sources.keras_weights:open_weights",
         "Keras weights alone", "model.weights.h5 --factory package.module:callable"),
)  # fmt: skip

_SUFFIX = ".weights.h5"


def probe(source: Source, asked: Asked) -> Source | None:
    """By its name, or an HDF5 file without a model's configuration."""
    if not asked.path.is_file():
        return None
    if not asked.path.name.endswith(_SUFFIX):
        found = hdf5_attributes.read(asked.path)
        if found is None or "model_config" in found or not any(name in found for name in ("layer_names", "backend")):
            return None
    require_factory(source)
    return replace(source, kind="keras-weights")


def open_weights(source: Source, device: str, threads: int | None) -> KerasRunner:
    return KerasRunner(source, lambda keras: _with_weights(keras, source), device, threads)


def _with_weights(keras: Any, source: Source) -> tuple[Any, Any]:
    assert source.factory is not None
    model, example = factory.build(source.factory, source.search)
    if not isinstance(model, keras.Model):
        raise factory.wrong_type(source.factory, model, "keras.Model")
    _build(model, source, example)
    try:
        model.load_weights(source.path)
    except Exception as error:
        raise BadInput(
            f"the weights do not fit the model of {source.factory} ({said(error)})",
            where=source.path,
        ) from error
    return model, example


def _build(model: Any, source: Source, example: Any) -> None:
    """A model of a class of the user's has no weights before it is called."""
    if model.built:
        return
    signature = source.declared_inputs() or (example_signature(example) if example is not None else None)
    if signature is None:
        raise BadInput(
            "a subclassed model has no weights to load into before its inputs are known",
            where=source.factory,
            hint="Describe them: --input NAME:DTYPE[batch,...]; or let the factory return (model, example_inputs).",
        )
    zeros(model, signature)
