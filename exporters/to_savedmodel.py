"""Write any opened model as a SavedModel: TensorFlow's own natively, everything else from its ONNX graph via Keras.

One signature, `serving_default`, whose inputs and outputs bear the source's names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporters.options import ExportOptions
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.runtime.hdf5_runner import keras_call
from toolkit.runtime.runner import Runner
from toolkit.runtime.savedmodel_runner import SERVING, TensorFlowRunner, concrete_function
from toolkit.signature import Signature

Strategy = Callable[[Any, Path, ExportOptions], None]


def strategies(model: Runner) -> dict[str, Strategy]:
    """The ways to write this model natively, best first."""
    return {"tf.saved_model.save": _native} if isinstance(model, TensorFlowRunner) else {}


def from_onnx(path: Path, target: Path, signature: Signature, contract: Contract, options: ExportOptions) -> None:
    """Rebuild an ONNX graph as a Keras model and save its one function."""
    from exporters import onnx_to_keras
    from exporters.to_torchscript import positional
    from toolkit.runtime.savedmodel_runner import import_tensorflow

    tf = import_tensorflow()
    model = onnx_to_keras.build(path, optimize=options.optimize, plain=False)
    flat = positional(signature)
    function = concrete_function(tf, keras_call(model, flat), flat)
    _save(function, _variables(model), target, flat, contract)


def _native(model: TensorFlowRunner, path: Path, _: ExportOptions) -> None:
    owner = getattr(model, "model", None) or getattr(model, "_model", None)
    _save(model.function, _variables(owner), path, model.signature, model.contract, owner)


def _variables(owner: Any) -> list[Any]:
    """The tf.Variables that a model holds: Keras wraps them, tf.Module and a loaded SavedModel do not."""
    variables = owner.variables if hasattr(owner, "variables") else []
    return [getattr(variable, "value", variable) if _is_keras(variable) else variable for variable in variables]


def _is_keras(variable: Any) -> bool:
    return type(variable).__module__.startswith("keras")


def _save(
    function: Any, variables: list[Any], path: Path, signature: Signature, contract: Contract, owner: Any = None
) -> None:
    import tensorflow as tf

    holder = tf.Module()
    # What a signature captures must be reachable from the object that is saved; nothing else of the model is.
    holder.captured = [*variables, *_resources(function), *_tables(owner)]
    tf.saved_model.save(holder, str(path), signatures={SERVING: function})
    extra = path / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / metadata.FILE).write_text(metadata.dumps(signature, contract), encoding="utf-8")


def _tables(owner: Any) -> list[Any]:
    """Lookup tables and vocabulary files of a model, however deep in it, which a function captures by their handles."""
    from tensorflow.python.trackable import asset, resource

    found, waiting, seen = [], [owner], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen or not hasattr(item, "_trackable_children"):
            continue
        seen.add(id(item))
        if isinstance(item, resource.TrackableResource | asset.Asset):
            found.append(item)
        else:
            waiting += item._trackable_children().values()  # noqa: SLF001 - how SavedModel itself finds them
    return found


def _resources(function: Any) -> list[Any]:
    """Variables that the function captures and its model does not list."""
    return list(function.graph.variables)
