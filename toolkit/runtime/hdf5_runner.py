"""Keras HDF5 files through plain `keras.models.load_model`."""

from __future__ import annotations

from typing import Any, Self

from toolkit import metadata
from toolkit.contract import Contract
from toolkit.errors import BadInput
from toolkit.runtime.savedmodel_runner import TensorFlowRunner, spec_of
from toolkit.signature import Signature


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
                f"Keras cannot open it ({str(error).strip().splitlines()[0][:200]})",
                where=str(self.path),
                hint="It is truncated or damaged, holds weights alone, or was written by Keras 2.",
            ) from error
        declared = metadata.loads(_attribute(self.path))
        self.signature, self.contract = declared or (keras_signature(self.model), Contract())
        self.function = keras_function(tf, self.model, self.signature)
        return self


def keras_function(tf: Any, model: Any, signature: Signature) -> Any:
    """A Keras model as a function of tensors by name, compiled once for every size of its dynamic dimensions."""
    specs = {
        spec.name: tf.TensorSpec([None if isinstance(dim, str) else dim for dim in spec.shape], spec.dtype)
        for spec in signature.inputs
    }
    names = signature.output_names

    def call(values: dict[str, Any]) -> dict[str, Any]:
        ordered = [values[spec.name] for spec in signature.inputs]
        outputs = model(ordered[0] if len(ordered) == 1 else ordered, training=False)
        if isinstance(outputs, dict):
            return {name: outputs[name] for name in names}
        flat = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(names, flat, strict=True))

    compiled = tf.function(call, input_signature=[specs])
    return lambda **feed: compiled(feed)


def keras_signature(model: Any) -> Signature:
    """The signature of a functional or sequential Keras model, by the names of its input and output tensors."""
    return Signature(
        tuple(spec_of(tensor.name, tensor) for tensor in model.inputs),
        tuple(spec_of(name, tensor) for name, tensor in zip(model.output_names, model.outputs, strict=True)),
    )


def _attribute(path: Any) -> str | None:
    import h5py

    with h5py.File(path, "r") as file:
        value = file.attrs.get(metadata.KEY)
    return value.decode() if isinstance(value, bytes) else value
