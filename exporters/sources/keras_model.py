"""Keras models: from a factory, a .keras file, weights with a factory, or an object in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from exporters.sources import factory
from exporters.sources.source import Source
from toolkit import metadata
from toolkit.contract import Contract
from toolkit.errors import BadInput, FactoryFailed
from toolkit.runtime.hdf5_runner import keras_call, keras_signature
from toolkit.runtime.savedmodel_runner import TensorFlowRunner, concrete_function, spec_of
from toolkit.signature import BATCH, Signature


class KerasRunner(TensorFlowRunner):
    """A Keras model as it was written. `build` is called on entry, after Keras is imported."""

    was_training = False  # Keras has no lasting training mode: it is an argument of every call

    def __init__(
        self, source: Source, build: Callable[[Any], tuple[Any, Any]], device: str, threads: int | None
    ) -> None:
        super().__init__(Path(source.path or source.name), device=device, threads=threads)
        self.source = source
        self._build = build

    def __enter__(self) -> Self:
        tf = self._enter_tensorflow()
        import keras

        self.runtime = f"keras {keras.__version__}"
        with tf.device(self._place):
            self.model, example = self._build(keras)
        if not isinstance(self.model, keras.Model):
            raise factory.wrong_type(self.source.name, self.model, "keras.Model")
        self.contract = Contract.from_json(self.source.facts.get("contract") or {})
        declared = self.source.declared_inputs()
        own = metadata.loads(metadata.of_archive(self.path)) if self.source.kind == "keras-file" else None
        if declared is None and own is not None:
            self.signature, self.contract = own
        elif declared is None and getattr(self.model, "inputs", None):
            self.signature = keras_signature(self.model)
        else:
            self.signature = declared or self._inputs_of(example)
        try:
            self.function = concrete_function(tf, keras_call(self._converted(tf), self.signature), self.signature)
        except BadInput:
            raise
        except Exception as error:
            raise FactoryFailed(
                f"the model raised {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}",
                where=self.source.name,
                hint="Do the inputs described with --input fit the model?",
            ) from error
        if not self.signature.outputs:
            self.signature = with_outputs(self.signature, self.function)
        self.signature = _as_computed(self.signature, self.function)
        return self

    def _converted(self, tf: Any) -> Any:
        """A model of the user's own class as a tf.function, so that its Python control flow becomes the graph's."""
        if type(self.model).__module__.startswith("keras."):
            return self.model
        return tf.function(lambda values, training: self.model(values, training=training))

    def _inputs_of(self, example: Any) -> Signature:
        if example is None:
            raise BadInput(
                "a subclassed model does not say what its inputs are",
                where=self.source.name,
                hint="Describe them: --input NAME:DTYPE[batch,...]; or let the factory return (model, example_inputs).",
            )
        return example_signature(example)


def _as_computed(signature: Signature, function: Any) -> Signature:
    """The signature with the sizes of outputs that the function has: some layers of Keras declare others."""
    outputs = []
    for spec in signature.outputs:
        sizes = function.structured_outputs[spec.name].shape
        found = list(sizes) if sizes.rank == len(spec.shape) else list(spec.shape)
        wrong = [isinstance(size, int) and isinstance(dim, int) for size, dim in zip(found, spec.shape, strict=True)]
        shape = (size if both else dim for size, dim, both in zip(found, spec.shape, wrong, strict=True))
        outputs.append(replace(spec, shape=tuple(shape)))
    return replace(signature, outputs=tuple(outputs))


def with_outputs(inputs: Signature, function: Any) -> Signature:
    """Complete a signature with the outputs that a concrete function returned, by their keys."""
    outputs = tuple(spec_of(name, spec) for name, spec in function.structured_outputs.items())
    return Signature(inputs.inputs, outputs, inputs.input_structure, None, inputs.limits)


def example_signature(example: Any) -> Signature:
    """A signature from example inputs; their first dimension is the batch, and varies."""
    named = example if isinstance(example, dict) else None
    values = list(example) if isinstance(example, tuple | list) else [example]
    items = named.items() if named else ((f"input_{i}" if len(values) > 1 else "x", v) for i, v in enumerate(values))
    specs = []
    for name, value in items:
        spec = spec_of(name, value)
        specs.append(replace(spec, shape=(BATCH, *spec.shape[1:]) if spec.shape else ()))
    structure: Any = {spec.name: spec.name for spec in specs} if named else None
    return Signature(tuple(specs), (), structure)


def open_factory(source: Source, device: str, threads: int | None) -> KerasRunner:
    assert source.factory is not None
    text = source.factory
    return KerasRunner(source, lambda _: factory.build(text, source.search), device, threads)


def open_file(source: Source, device: str, threads: int | None) -> KerasRunner:
    """A .keras file, in safe mode: it may name built-in layers and registered classes, and run no code of its own."""
    return KerasRunner(source, lambda keras: (load_file(keras, str(source.path)), None), device, threads)


def load_file(keras: Any, path: str) -> Any:
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise BadInput(
            f"Keras cannot open it ({str(error).strip().splitlines()[0][:200]})",
            where=path,
            hint="It is truncated or damaged, needs a class of its own (use a factory), or was written by Keras 2.",
        ) from error


def open_weights(source: Source, device: str, threads: int | None) -> KerasRunner:
    """A .weights.h5 file put into what the factory builds."""
    return KerasRunner(source, lambda _: _with_weights(source), device, threads)


def _with_weights(source: Source) -> tuple[Any, Any]:
    assert source.factory is not None
    model, example = factory.build(source.factory, source.search)
    try:
        model.load_weights(source.path)
    except Exception as error:
        raise BadInput(
            f"the weights do not fit the model of {source.factory} ({str(error).strip().splitlines()[0][:200]})",
            where=source.path,
        ) from error
    return model, example


def open_object(source: Source, device: str, threads: int | None, model: Any = None) -> KerasRunner:
    return KerasRunner(source, lambda _: (model, getattr(model, "example_inputs", None)), device, threads)
