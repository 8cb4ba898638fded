"""Write any opened model as an HDF5 file that plain `keras.models.load_model` opens, with nothing of ours installed.

A Keras model of built-in layers is written as it is. One with classes of its own (a subclassed model) cannot be read
without them, so it goes through its ONNX graph and comes back as built-in layers, as do all other frameworks' models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.runtime.runner import Runner
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]


def strategies(model: Runner) -> dict[str, Strategy]:
    """The native way where the model is made of Keras' own classes alone; else none, and the hub is the way."""
    keras_model = getattr(model, "model", None)
    if not type(keras_model).__module__.startswith("keras") or not is_plain(keras_model):
        return {}
    return {"keras": _native}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, _: ExportOptions) -> None:
    """Rebuild an ONNX graph as a functional Keras model of built-in layers and save it."""
    from exporters import onnx_to_keras
    from exporters.to_torchscript import positional
    from toolkit.runtime.savedmodel_runner import import_tensorflow

    import_tensorflow()
    _save(onnx_to_keras.build(path), target, positional(signature), contract)


def _native(model: Any, path: Path, _: ExportOptions) -> None:
    _save(model.model, path, model.signature, model.contract)


def is_plain(model: Any) -> bool:
    """Whether a Keras model's configuration names Keras' own classes alone, so that any process can rebuild it."""
    from keras.models import Sequential
    from keras.src.models.functional import Functional

    if not isinstance(model, Functional | Sequential):
        return False
    return all(module.partition(".")[0] in ("keras", "builtins") for module in _modules(model.get_config()))


def _modules(config: Any) -> Iterator[str]:
    """Every module that a configuration names for a class; one that Keras could not place counts as the user's."""
    if isinstance(config, dict):
        # Names such as __keras_tensor__ mark values, not classes.
        if "class_name" in config and "config" in config and not str(config["class_name"]).startswith("__"):
            registered = ">" in str(config.get("registered_name"))  # "package>Name": the user's own
            yield "user" if registered else str(config.get("module") or "user")
        for value in config.values():
            yield from _modules(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _modules(value)


def _save(model: Any, path: Path, signature: Signature, contract: Contract) -> None:
    import h5py

    from exporters.onnx_to_keras import hdf5

    hdf5.save(model, path)
    with h5py.File(path, "r+") as file:
        file.attrs[metadata.KEY] = metadata.dumps(signature, contract)
