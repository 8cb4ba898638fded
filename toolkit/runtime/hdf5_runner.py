"""Keras HDF5 files through plain `keras.models.load_model`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

from toolkit import metadata
from toolkit.causes import said
from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.runtime.savedmodel_runner import TensorFlowRunner, concrete_function, spec_of
from toolkit.signature import Signature, flatten, leaves, unflatten


class Hdf5Runner(TensorFlowRunner):
    """One .h5 file, called as one compiled TensorFlow function."""

    def __enter__(self) -> Self:
        tf = self._enter_tensorflow()
        import keras

        self.runtime = f"keras {keras.__version__}"
        try:
            with tf.device(self._place):
                self.model = keras.models.load_model(self.path, compile=False)
        except Exception as error:
            raise BadInput(
                f"Keras cannot open it ({said(error)})",
                where=str(self.path),
                hint="It is truncated or damaged, holds weights alone, or was written by Keras 2.",
            ) from error
        declared = metadata.loads(self._declared())
        self.signature, self.contract = declared or (keras_signature(self.model), Contract())
        self.function = concrete_function(tf, keras_call(self.model, self.signature), self.signature)
        return self

    def _declared(self) -> str | bytes | None:
        """What the file says of itself, in the place that its format has for it."""
        return _attribute(self.path)


def keras_call(model: Any, signature: Signature) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A Keras model as a function of tensors by name, in inference mode."""
    names = list(leaves(signature.output_structure))

    def call(feed: dict[str, Any]) -> dict[str, Any]:
        nested = unflatten(signature.input_structure, feed)
        if isinstance(nested, tuple):
            nested = nested[0] if len(nested) == 1 else list(nested)
        return named_outputs(model(nested, training=False), names)

    return call


def named_outputs(outputs: Any, names: list[str]) -> dict[str, Any]:
    """A model's nested outputs by name; without names, "output", "output_0" ... or a dict's own keys."""
    structure, flat = flatten(outputs, "output", is_leaf=lambda value: hasattr(value, "dtype"))
    paths = list(leaves(structure))
    if names and len(names) != len(paths):
        raise BadInput(f"the model returned {len(paths)} tensors, its signature declares {len(names)}")
    return {name: flat[path] for name, path in zip(names or paths, paths, strict=True)}


def keras_signature(model: Any) -> Signature:
    """The signature of a functional or sequential Keras model, by the names of its input and output tensors.

    A dict of outputs brings names of its own, in its own order, which is not that of `model.outputs`.
    """
    # A Sequential has no `output_names`; its one output bears the name of its last layer, as a functional model's does.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    struct = getattr(model, "_outputs_struct", None)
    named = struct if isinstance(struct, dict) and all(hasattr(each, "dtype") for each in struct.values()) else None
    outputs = named.items() if named else zip(_distinct(names), model.outputs, strict=True)
    return Signature(
        tuple(spec_of(tensor.name, tensor) for tensor in model.inputs),
        tuple(spec_of(name, tensor) for name, tensor in outputs),
    )


def _distinct(names: list[str]) -> list[str]:
    """A layer that returns several tensors gives all of them its name: the later ones get a number."""
    taken: dict[str, None] = {}
    for name in names:
        candidates = (name if count == 0 else f"{name}_{count}" for count in itertools.count())
        free = (item for item in candidates if item not in taken and (item == name or item not in names))
        taken[next(free)] = None
    return list(taken)


def _attribute(path: Any) -> str | None:
    import h5py

    with h5py.File(path, "r") as file:
        value = file.attrs.get(metadata.KEY)
    return value.decode() if isinstance(value, bytes) else value
