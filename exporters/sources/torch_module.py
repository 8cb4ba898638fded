"""PyTorch modules: run eagerly, whatever they came from; from a factory, or an object in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from exporters.sources import examples, factory, multiples, plain_outputs
from exporters.sources.source import Kind, Source
from toolkit.causes import raised
from toolkit.contract import Contract
from toolkit.errors import BadInput, FactoryFailed
from toolkit.runtime.torchscript_runner import TorchRunner, arguments, spec_of, to_tensor
from toolkit.signature import BATCH, Dim, Signature, Structure, TensorSpec, flatten, leaves

KINDS = (Kind("torch-object", "torch", "exporters.sources.torch_module:open_object", "a `torch.nn.Module` object"),)

if TYPE_CHECKING:
    import numpy as np

_NUMPY = frozenset({"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"})


class TorchModuleRunner(TorchRunner):
    """An eager nn.Module. `build` is called on entry, after PyTorch is imported, and returns module and examples."""

    def __init__(
        self, source: Source, build: Callable[[Any], tuple[Any, Any]], device: str, threads: int | None
    ) -> None:
        super().__init__(device=device, threads=threads)
        self.source = source
        self.was_training = False
        self.own_inputs: Signature | None = None  # what a file says of itself
        self.contract = Contract()
        self._build = build

    def __enter__(self) -> Self:
        place = self._enter_torch()
        module, example = self._build(self._torch)
        if not isinstance(module, self._torch.nn.Module):
            raise factory.wrong_type(self.source.name, module, "torch.nn.Module")
        self.was_training = self.was_training or any(part.training for part in module.modules())
        self.module = self._evaluated(module.to(place))
        declared = self.source.declared_inputs() or self.own_inputs
        inputs = declared or self._inputs_of(example)
        if "contract" in self.source.facts:
            self.contract = Contract.from_json(self.source.facts["contract"])
        if inputs.outputs:
            self.signature = inputs
        elif declared or not self.given:
            self.signature = self._at_sizes(self._arranged(inputs))
        else:
            self.signature = self._as_given(inputs)
        return self

    def _at_sizes(self, inputs: Signature) -> Signature:
        """The signature of inputs of free sizes; where the model does not take all of them, those that it takes."""
        try:
            return self._with_outputs(inputs)
        except FactoryFailed:
            found = multiples.taken(inputs, self._takes)
            if found is None:
                raise
            self.notes.append(multiples.words(found))
            return self._with_outputs(found)

    def _takes(self, inputs: Signature) -> bool:
        try:
            for step in (0, 1):
                self._run(inputs, examples.sizes(inputs, step))
        except FactoryFailed:
            return False
        return True

    def _as_given(self, inputs: Signature) -> Signature:
        """The signature of example inputs; where the model takes them at no other size, their sizes stay."""
        try:
            return self._with_outputs(self._arranged(inputs))
        except FactoryFailed as error:
            fixed = replace(inputs, inputs=tuple(_fixed(spec, self.given.get(spec.name)) for spec in inputs.inputs))
            found = self._with_outputs(self._arranged(fixed))
            self.notes.append(f"the inputs keep the sizes of the example: {error.found}")
            return found

    def _evaluated(self, module: Any) -> Any:
        return module.eval()

    def _inputs_of(self, example: Any) -> Signature:
        """A signature from example inputs: the first dimension is the batch, and varies. One that is given stays.

        An input that is as long as the first one in it belongs to the batch; another length is a dimension of its own.
        """
        if example is None:
            raise BadInput(
                "the model's inputs are not known",
                where=self.source.name,
                hint="Describe them: --input NAME:DTYPE[batch,...]; or let the factory return (model, example_inputs).",
            )
        if isinstance(example, Signature):
            return example
        names = self._parameter_names()
        positional = list(example) if isinstance(example, tuple | list) else [example]
        flat: dict[str, Any] = {}
        structure: Structure
        if isinstance(example, dict):
            structure, flat = flatten(example, "input", is_leaf=self._is_tensor)
        else:
            parts: list[Structure] = []
            for index, value in enumerate(positional):
                name = names[index] if index < len(names) else f"input_{index}"
                part, found = flatten({name: value}, name, is_leaf=self._is_tensor)
                assert isinstance(part, dict)
                parts.append(part[name])
                flat |= found
            structure = parts
        self.given = {name: tensor.detach().cpu().numpy() for name, tensor in flat.items() if _has_arrays(tensor)}
        rows = next((tensor.shape[0] for tensor in flat.values() if tensor.ndim), 0)
        specs = tuple(
            replace(spec_of(name, tensor), shape=(BATCH, *tensor.shape[1:]))
            if tensor.ndim and tensor.shape[0] == rows
            else replace(spec_of(name, tensor), shape=tuple(tensor.shape))
            for name, tensor in flat.items()
        )
        return Signature(specs, (), structure)

    def _arranged(self, inputs: Signature) -> Signature:
        """Pass declared inputs by keyword where their names are parameters that do not come first in this order."""
        names = self._parameter_names()
        declared = list(inputs.input_names)
        if declared != names[: len(declared)] and set(declared) <= set(names):
            return replace(inputs, input_structure={name: name for name in declared})
        return inputs

    def _parameter_names(self) -> list[str]:
        if "ScriptModule" in type(self.module).__name__:
            return [argument.name for argument in self.module.forward.schema.arguments][1:]
        parameters = inspect.signature(self.module.forward).parameters.values()
        return [item.name for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]

    def _is_tensor(self, value: Any) -> bool:
        return isinstance(value, self._torch.Tensor)

    def _with_outputs(self, inputs: Signature) -> Signature:
        """Run at two sets of sizes: a dimension of an output that follows a symbol bears its name.

        One that depends on the values, such as a number of detections, varies between runs at the same sizes too, or
        is seen with nothing in it; it gets a name of its own.
        """
        chosen = [examples.sizes(inputs, step) for step in (0, 1)]
        if "ScriptModule" not in type(self.module).__name__:  # which can return nothing else
            plain_outputs.install(self.module, self._run(inputs, chosen[0]))
        structure, first = self._outputs_at(inputs, chosen[0])
        _, second = self._outputs_at(inputs, chosen[1], seed=1)
        specs = []
        for name in leaves(structure):
            shapes = zip(first[name].shape, second[name].shape, strict=True)
            dims = tuple(_dim(name, axis, pair, chosen) for axis, pair in enumerate(shapes))
            specs.append(replace(spec_of(name, first[name]), shape=dims))
        return replace(inputs, outputs=tuple(specs), output_structure=structure)

    def _outputs_at(self, inputs: Signature, sizes: dict[str, int], seed: int = 0) -> tuple[Structure, dict[str, Any]]:
        return flatten(self._run(inputs, sizes, seed), "output", is_leaf=self._is_tensor)

    def _run(self, inputs: Signature, sizes: dict[str, int], seed: int = 0) -> Any:
        values = {
            name: to_tensor(self._torch, array, self.ran_on)
            for name, array in examples.arrays(inputs, sizes, seed, self.given).items()
        }
        args, kwargs = arguments(inputs, values)
        try:
            with self._torch.inference_mode():
                return self.module(*args, **kwargs)
        except Exception as error:
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in values.items())
            raise FactoryFailed(
                f"the model raised {raised(error)}, given {shapes}",
                where=self.source.name,
                hint="Do the inputs fit the model, those of --input or those that its factory returned?",
            ) from error


def _has_arrays(tensor: Any) -> bool:
    """Whether NumPy has the tensor's dtype; bfloat16 and the like it has not."""
    return str(tensor.dtype).removeprefix("torch.") in _NUMPY


def _fixed(spec: TensorSpec, array: np.ndarray[Any, Any] | None) -> TensorSpec:
    return spec if array is None else replace(spec, shape=tuple(array.shape))


def _dim(name: str, axis: int, pair: tuple[int, int], chosen: list[dict[str, int]]) -> Dim:
    if pair[0] == pair[1] != 0:
        return pair[0]
    for symbol in chosen[0]:
        if pair == (chosen[0][symbol], chosen[1][symbol]):
            return symbol
    return f"{name}_{axis}"


def open_factory(source: Source, device: str, threads: int | None) -> TorchModuleRunner:
    assert source.factory is not None
    text = source.factory
    return TorchModuleRunner(source, lambda _: factory.build(text, source.search), device, threads)


def open_object(source: Source, device: str, threads: int | None, model: Any = None) -> TorchModuleRunner:
    """A module that lives in this process; a copy is exported, so that the caller's stays on its device and mode."""
    import copy

    example = getattr(model, "example_inputs", getattr(model, "example_input_array", None))
    return TorchModuleRunner(source, lambda _: (copy.deepcopy(model), example), device, threads)
