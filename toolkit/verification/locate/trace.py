"""Run an ONNX graph in PyTorch and keep what every operator computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.causes import said
from toolkit.errors import Inconclusive

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]

LARGEST = 2**30  # bytes of intermediate results, above which a model is not traced
_LONGEST_SHAPE = 16
_WORDS = "OSUT"  # the kinds of their arrays


@dataclass(frozen=True)
class Trace:
    """A graph as the importer reads it, and the arrays that one run made, in float64: by the name of their value."""

    model: ir.Model
    arrays: Mapping[str, Array]

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The values that depend on no input: weights, and what is computed from them alone."""
        found = {str(name) for name in self.model.graph.initializers}
        for node in self.model.graph:
            if all(value is None or str(value.name) in found for value in inputs_of(node)):
                found.update(str(value.name) for value in node.outputs)
        return frozenset(found)

    @property
    def outputs(self) -> dict[str, Array]:
        return {str(value.name): self.arrays[str(value.name)] for value in self.model.graph.outputs}

    def constant(self, value: ir.Value) -> Array | None:
        """The numbers of a weight, or of what is computed from weights alone; None for what depends on an input."""
        if value.const_value is not None and value.is_initializer():
            return np.asarray(value.const_value.numpy())
        name = str(value.name)
        return self.arrays.get(name) if name in self.fixed else None


def inputs_of(node: ir.Node) -> list[ir.Value | None]:
    """What a node reads, with what its subgraphs take from outside."""
    read: list[ir.Value | None] = list(node.inputs)
    for attribute in node.attributes.values():
        if attribute.type.name == "GRAPH":
            inner = list(attribute.as_graph().all_nodes())
            made = {id(value) for each in inner for value in each.outputs}
            made |= {id(value) for value in attribute.as_graph().inputs}
            read += [value for each in inner for value in each.inputs if value is not None and id(value) not in made]
    return read


def read(path: Path) -> ir.Model:
    """The graph in the form in which both sides are compared."""
    from exporters.graph import read as reader

    return _prepared(reader.read(path), path)


@dataclass(frozen=True)
class Opened:
    """A graph in that form with what it is to be run on: in the place of words the numbers that it has for them."""

    model: ir.Model
    inputs: Mapping[str, Array]
    looked_up: Mapping[str, Array]

    def run(self, *, wide: bool = True) -> Trace:
        return run(self.model, {**self.inputs, **self.looked_up}, wide=wide)


def opened(path: Path, inputs: Mapping[str, Array]) -> Opened:
    """Raises UnsupportedOperator where PyTorch has no form of it, and Inconclusive where it takes other inputs."""
    from exporters.graph import read as reader
    from exporters.graph import words

    model = reader.read(path)
    given = dict(zip((str(value.name) for value in model.graph.inputs), _in_order(model, inputs), strict=True))
    looked_up: dict[str, Array] = {}
    if any(array.dtype.kind in _WORDS for array in given.values()):
        divided = words.divide(model)
        model, looked_up = divided.rest, divided.look_up(given)
    return Opened(_prepared(model, path), given, looked_up)


def _prepared(model: ir.Model, path: Path) -> ir.Model:
    from exporters.onnx_to_torch.builder import prepare
    from exporters.onnx_to_torch.operators import TORCH

    model = prepare(model)
    TORCH.require(model, path.name)
    return model


def run(model: ir.Model, inputs: Mapping[str, Array], *, wide: bool = True) -> Trace:
    """Run a prepared graph in float64, or in the dtypes that it declares.

    Raises Inconclusive where it cannot be run or its results are too large to be kept.
    """
    import torch
    from torch import fx

    from exporters.onnx_to_torch.builder import Builder

    builder = Builder(model, model.graph.name or "graph")
    try:
        module = builder.build().eval()
    except Exception as error:
        raise Inconclusive(f"its graph cannot be rebuilt ({said(error)})") from error
    module = module.double() if wide else module
    names = {node.name: str(value.name) for value, node in builder.values.items() if node.op != "get_attr"}
    arrays: dict[str, Array] = {}
    results = {str(value.name) for value in model.graph.outputs}

    class Recorder(fx.Interpreter):
        size = 0

        def run_node(self, node: fx.Node) -> Any:
            result = super().run_node(node)
            name = names.get(node.name)
            if name and isinstance(result, torch.Tensor) and (name in results or not _is_shape(result)):
                array = result.detach().to(torch.float64).numpy()
                arrays[name] = array.copy()
                self.size += array.nbytes
                if self.size > LARGEST:
                    raise Inconclusive(f"its intermediate results take more than {LARGEST >> 20} MiB")
            return result

    given = [_tensor(torch, array, wide=wide) for array in _in_order(model, inputs)]
    try:
        with torch.inference_mode():
            # The garbage collector of values stays on: what is kept is kept once, in `arrays`.
            Recorder(module).run(*given)
    except Inconclusive:
        raise
    except Exception as error:
        raise Inconclusive(f"its graph does not run in float64 ({said(error)})") from error
    return Trace(model, arrays)


def _in_order(model: ir.Model, inputs: Mapping[str, Array]) -> list[Array]:
    """The inputs as the graph takes them: by name, else by position."""
    names = [str(value.name) for value in model.graph.inputs]
    if all(name in inputs for name in names):
        return [inputs[name] for name in names]
    if len(names) != len(inputs):
        raise Inconclusive(f"its graph takes {len(names)} inputs, the source {len(inputs)}")
    return list(inputs.values())


def _is_shape(tensor: Any) -> bool:
    """Short vectors of integers are sizes and axes: they belong to the way a graph is written, not to what it does."""
    return not tensor.is_floating_point() and tensor.dim() <= 1 and tensor.numel() <= _LONGEST_SHAPE


def _tensor(torch: Any, array: Array, *, wide: bool) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.double() if wide and tensor.is_floating_point() else tensor
