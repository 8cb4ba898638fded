"""Low-level TensorFlow: a tf.Module from a factory, or an object in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from exporters.sources import factory
from exporters.sources.keras_model import example_signature, with_outputs
from exporters.sources.source import Kind, Source
from toolkit.causes import raised
from toolkit.contract import Contract
from toolkit.errors import BadInput, FactoryFailed
from toolkit.runtime.hdf5_runner import named_outputs
from toolkit.runtime.savedmodel_runner import TensorFlowRunner, concrete_function, spec_of
from toolkit.signature import Signature, leaves, unflatten

KINDS = (
    Kind("tensorflow-object", "tensorflow", "exporters.sources.tensorflow_module:open_object", "a `tf.Module` object"),
)


class TensorFlowModuleRunner(TensorFlowRunner):
    """A callable tf.Module. `build` is called on entry, after TensorFlow is imported."""

    was_training = False

    def __init__(
        self, source: Source, build: Callable[[Any], tuple[Any, Any]], device: str, threads: int | None
    ) -> None:
        super().__init__(Path(source.path or source.name), device=device, threads=threads)
        self.source = source
        self._build = build

    def __enter__(self) -> Self:
        tf = self._enter_tensorflow()
        with tf.device(self._place):
            self.model, example = self._build(tf)
        if not isinstance(self.model, tf.Module) or not callable(self.model):
            raise factory.wrong_type(self.source.name, self.model, "tf.Module that can be called")
        self.contract = Contract.from_json(self.source.facts.get("contract") or {})
        self.signature = self.source.declared_inputs() or self._own_inputs() or self._inputs_of(example)
        try:
            self.function = concrete_function(tf, module_call(tf, self.model, self.signature), self.signature)
        except BadInput:
            raise
        except Exception as error:
            raise FactoryFailed(
                f"the module raised {raised(error)}",
                where=self.source.name,
                hint="Do the inputs fit the module, those of --input or those that its factory returned?",
            ) from error
        if not self.signature.outputs:
            self.signature = with_outputs(self.signature, self.function)
        return self

    def _own_inputs(self) -> Signature | None:
        """The input_signature of the module's own tf.function, if it has one."""
        function: Any = type(self.model).__call__
        declared = getattr(function, "input_signature", None)
        if declared is None:
            return None
        parameters = list(inspect.signature(function.python_function).parameters.values())[1:]
        if any(each.kind is each.VAR_POSITIONAL for each in parameters):  # then the specs alone have names
            names = [spec.name or f"input_{index}" for index, spec in enumerate(declared)]
            specs = tuple(spec_of(name, spec) for name, spec in zip(names, declared, strict=True))
            return Signature(specs, (), names)
        names = [each.name for each in parameters]
        return Signature(tuple(spec_of(name, spec) for name, spec in zip(names, declared, strict=False)), ())

    def _inputs_of(self, example: Any) -> Signature:
        if example is None:
            raise BadInput(
                "the module's inputs are not known",
                where=self.source.name,
                hint="Describe them: --input NAME:DTYPE[batch,...]; or have the factory return (module, examples).",
            )
        found = example_signature(example)
        names = list(inspect.signature(self.model.__call__).parameters)
        if isinstance(example, dict) or len(names) < len(found.inputs):
            return found
        renamed = (replace(spec, name=name) for spec, name in zip(found.inputs, names, strict=False))
        return Signature(tuple(renamed), ())


def module_call(tf: Any, module: Any, signature: Signature) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A tf.Module as a function of tensors by name."""
    names = list(leaves(signature.output_structure))
    # A tf.function of its own, so that the module's Python control flow becomes the graph's.
    converted = tf.function(module)

    def call(feed: dict[str, Any]) -> dict[str, Any]:
        nested: Any = unflatten(signature.input_structure, feed)
        outputs = converted(*nested) if isinstance(nested, tuple | list) else converted(**nested)
        return named_outputs(outputs, names)

    return call


def open_factory(source: Source, device: str, threads: int | None) -> TensorFlowModuleRunner:
    assert source.factory is not None
    text = source.factory
    return TensorFlowModuleRunner(source, lambda _: factory.build(text, source.search), device, threads)


def open_object(source: Source, device: str, threads: int | None, model: Any = None) -> TensorFlowModuleRunner:
    return TensorFlowModuleRunner(source, lambda _: (model, getattr(model, "example_inputs", None)), device, threads)
