"""Write a functional or sequential model as an HDF5 file that plain `keras.models.load_model` reads back.

Keras' own `model.save("x.h5")` writes its legacy configuration, in which `keras.ops` nodes cannot be loaded again. Its
loader, however, takes a new-style configuration as well: each layer's entry names its module. That is what we write.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.layers.preprocessing.index_lookup import IndexLookup
from keras.src.legacy.saving import json_utils, legacy_h5_format

from exporters.onnx_to_keras.tensorflow_calls import ADVICE, TensorFlowCall
from toolkit.errors import UnsupportedOperator


def save(model: keras.Model, path: str | Path) -> None:
    """Write `model`, without its optimizer or loss: a compiled model may not load elsewhere.

    Raises UnsupportedOperator for a model that was not built to be `plain` and has TensorFlow's own operations.
    """
    foreign = [layer.name for layer in model.layers if isinstance(layer, TensorFlowCall)]
    if foreign:
        raise UnsupportedOperator(f"'{foreign[0]}' is TensorFlow's own, which no file of Keras holds", hint=ADVICE)
    kind = "Sequential" if isinstance(model, keras.Sequential) else "Functional"
    with _learned_vocabularies(model):
        config = {"class_name": kind, "config": model.get_config()}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = str(keras.__version__)
        file.attrs["backend"] = keras.backend.backend()
        file.attrs["model_config"] = json.dumps(config, default=_encode)
        legacy_h5_format.save_weights_to_hdf5_group(file.create_group("model_weights"), model)


@contextlib.contextmanager
def _learned_vocabularies(model: keras.Model) -> Iterator[None]:
    """Let configurations tell the vocabularies that layers learned from data, as they tell those that they were given.

    Keras keeps what `adapt` learns beside the configuration, and HDF5 has no place for it: a layer that was loaded
    would know no word.
    """
    layers = model._flatten_layers()  # noqa: SLF001 - the public `layers` leaves out those inside of layers
    lookups = [layer for layer in layers if isinstance(layer, IndexLookup)]
    learned = [layer for layer in lookups if layer.input_vocabulary is None]
    for layer in learned:
        layer.input_vocabulary = layer.get_vocabulary()
        if layer.output_mode == "tf_idf":
            layer.input_idf_weights = layer.idf_weights.numpy()[: len(layer.input_vocabulary)]
    try:
        yield
    finally:
        for layer in learned:
            layer.input_vocabulary = layer.input_idf_weights = None


def _encode(value: Any) -> Any:
    return json_utils.get_json_type(value)
