"""Keras models, whatever they came from; from a factory, or an object in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from exporters.sources import examples, factory, keras_built
from exporters.sources.source import Kind, Source
from toolkit import metadata
from toolkit.causes import raised
from toolkit.contract import Contract
from toolkit.errors import BadInput, FactoryFailed
from toolkit.runtime.hdf5_runner import keras_call, keras_signature
from toolkit.runtime.savedmodel_runner import TensorFlowRunner, concrete_function, spec_of
from toolkit.signature import BATCH, Signature, leaves

KINDS = (Kind("keras-object", "tensorflow", "exporters.sources.keras_model:open_object", "a `keras.Model` object"),)


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
        keras = self._import_keras()
        tf = self._enter_tensorflow()
        self.runtime = f"keras {keras.__version__}"
        _forget_names()
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
        names = self._output_names()
        if not self.signature.outputs and names:  # inputs that were described do not say what outputs are called
            self.signature = replace(self.signature, output_structure=[*names])
        self.signature, self.function = self._called(tf, self.signature)
        if not self.signature.outputs:
            self.signature = with_outputs(self.signature, self.function)
        self.signature = _as_computed(self.signature, self.function)
        return self

    def _output_names(self) -> list[str]:
        """What a functional or sequential model calls its outputs; nothing for any other."""
        return list(keras_signature(self.model).output_names) if getattr(self.model, "inputs", None) else []

    def _import_keras(self) -> Any:
        import keras

        return keras

    def _called(self, tf: Any, inputs: Signature) -> tuple[Signature, Any]:
        """The model as one concrete function, in the first form of call that it takes; the first error if none."""
        errors = []
        for signature, call in self._forms(tf, inputs):
            try:
                return signature, concrete_function(tf, keras_call(call, signature), signature)
            except BadInput:
                raise
            except Exception as error:  # noqa: BLE001 - a user's model raises whatever it likes
                errors.append(error)
        raise FactoryFailed(
            f"the model raised {raised(errors[0])}",
            where=self.source.name,
            hint="Do the inputs fit the model, those of --input or those that its factory returned?",
        ) from errors[0]

    def _forms(self, tf: Any, inputs: Signature) -> Iterator[tuple[Signature, Any]]:
        """How the model may be called: as its class says by names; with one value, a list of them, or a dict of them.

        A model of the user's own class is called in a tf.function, so that its Python control flow becomes the graph's.
        """
        if type(self.model).__module__.startswith(("keras.", "tf_keras.")):
            yield inputs, self.model
            return
        model, named = self.model, {name: name for name in inputs.input_names}
        parameters = [name for name in inspect.signature(model.call).parameters if name not in ("training", "mask")]
        if len(parameters) > 1 and set(named) <= set(parameters):
            by_name = tf.function(lambda values, training: model(**values, **_training(model, training)))
            yield replace(inputs, input_structure=dict(named)), by_name
        yield inputs, tf.function(lambda values, training: model(values, training=training))
        if isinstance(inputs.input_structure, list):
            yield (
                replace(inputs, input_structure=dict(named)),
                tf.function(lambda values, training: model(values, training=training)),
            )

    def _inputs_of(self, example: Any) -> Signature:
        shapes = keras_built.shapes_of(self.model) if example is None else None
        if shapes is not None:
            example = keras_built.example(self._import_keras(), self.model, shapes)
            if example is not None:
                return _free(example_signature(example), keras_built.flat(shapes))
        if example is None:
            raise BadInput(
                "a subclassed model does not say what its inputs are",
                where=self.source.name,
                hint="Describe them: --input NAME:DTYPE[batch,...]; or let the factory return (model, example_inputs).",
            )
        return example_signature(example)


def _forget_names() -> None:
    """Let Keras number its layers from the start, as in a new process.

    A worker that stays warm may have built the same model before, and its outputs would have other names now.
    Keras' own `clear_session` also forgets what the user's module has set as it was imported, such as a dtype policy.
    """
    from keras.src.utils import naming

    naming.reset_uids()


def _training(model: Any, training: bool) -> dict[str, bool]:
    """Keras takes `training` away from models whose `call` does not want it only where it is passed by position."""
    return {"training": training} if "training" in inspect.signature(model.call).parameters else {}


def zeros(model: Any, signature: Signature) -> None:
    """Call a model once, so that it makes its weights."""
    import tensorflow as tf

    sizes = examples.sizes(signature, 0)
    values = {spec.name: tf.zeros(spec.with_sizes(sizes), spec.dtype) for spec in signature.inputs}
    errors = []
    positional = list(values.values())
    for given in (positional[0], values) if len(values) == 1 else (positional, values):
        try:
            model(given)
        except Exception as error:  # noqa: BLE001 - a user's model raises whatever it likes
            errors.append(error)
        else:
            return
    raise FactoryFailed(f"the model raised {raised(errors[0])}") from errors[0]


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
    found = function.structured_outputs
    names = list(leaves(inputs.output_structure)) or list(found)
    outputs = tuple(spec_of(name, found[name]) for name in names)
    return replace(inputs, outputs=outputs, output_structure=None)


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


def _free(signature: Signature, shapes: list[tuple[int | None, ...]]) -> Signature:
    """The signature of an example with the dimensions free that are so in the shapes that a model was built with."""
    specs = []
    for spec, shape in zip(signature.inputs, shapes, strict=True):
        sizes = zip(spec.shape, shape, strict=True)
        free = (f"{spec.name}_{axis}" if axis and known is None else size for axis, (size, known) in enumerate(sizes))
        specs.append(replace(spec, shape=tuple(free)))
    return replace(signature, inputs=tuple(specs))


def open_factory(source: Source, device: str, threads: int | None) -> KerasRunner:
    assert source.factory is not None
    text = source.factory
    return KerasRunner(source, lambda _: factory.build(text, source.search), device, threads)


def open_object(source: Source, device: str, threads: int | None, model: Any = None) -> KerasRunner:
    return KerasRunner(source, lambda _: (model, getattr(model, "example_inputs", None)), device, threads)
