"""A TorchScript module of nested inputs and outputs, wrapped into one of flat tensors, as ONNX's exporter wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.signature import Signature, Structure, leaves


def is_flat(module: Any, signature: Signature) -> bool:
    """Whether the tensors stand side by side already: positional inputs, and one output or a list of them.

    An argument that is left to its default would become an input too.
    """
    if len(module.forward.schema.arguments) - 1 != len(signature.inputs):
        return False
    flat_inputs = isinstance(signature.input_structure, list) and all(
        isinstance(item, str) for item in signature.input_structure
    )
    outputs = signature.output_structure
    flat_outputs = isinstance(outputs, str) or (isinstance(outputs, list) and all(isinstance(o, str) for o in outputs))
    return flat_inputs and flat_outputs


def flatten(module: Any, signature: Signature) -> Any:
    """A ScriptModule that takes the inputs one after the other and returns a tuple of all outputs."""
    import torch

    class Flat(torch.jit.ScriptModule):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

    wrapper: Any = Flat()
    wrapper.define(_code(signature))
    graph = wrapper.graph
    # Only inlined does a dict meet the reading of its keys, and then PyTorch does away with both: ONNX has no dicts.
    # What the exporter knows as one operator, such as interpolate, is made one before it is inlined too.
    for name in ("onnx_function_substitution", "inline", "peephole", "dce"):
        getattr(torch._C, f"_jit_pass_{name}")(graph)  # noqa: SLF001 - where PyTorch keeps its passes
    return wrapper


def _code(signature: Signature) -> str:
    """Its `forward`; every name in it is made here, so that none of the model's can break it."""
    given = {name: f"x{index}" for index, name in enumerate(leaves(signature.input_structure))}
    results = list(_paths(signature.output_structure, "y"))
    return (
        f"def forward(self, {', '.join(given.values())}):\n"
        f"    y = self.inner({_arguments(signature.input_structure, given)})\n"
        f"    return {', '.join(results)}{',' if len(results) == 1 else ''}\n"
    )


def _arguments(structure: Structure, given: dict[str, str]) -> str:
    if isinstance(structure, dict):
        return ", ".join(f"{key}={_expression(item, given)}" for key, item in structure.items())
    items = structure if isinstance(structure, list) else [structure]
    return ", ".join(_expression(item, given) for item in items)


def _expression(structure: Structure, given: dict[str, str]) -> str:
    match structure:
        case None:
            return "None"
        case str():
            return given[structure]
        case list():
            return f"({''.join(_expression(item, given) + ', ' for item in structure)})"
        case dict():
            return f"{{{', '.join(f'{key!r}: {_expression(item, given)}' for key, item in structure.items())}}}"


def _paths(structure: Structure, prefix: str) -> Iterator[str]:
    """How to reach every leaf of a result."""
    match structure:
        case str():
            yield prefix
        case list():
            for index, item in enumerate(structure):
                yield from _paths(item, f"{prefix}[{index}]")
        case dict():
            for key, item in structure.items():
                yield from _paths(item, f"{prefix}[{key!r}]")
