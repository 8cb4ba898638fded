"""Climb the difference of a file's graph and its source, both in float64, where both can be differentiated."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exporters import onnx_to_torch
from toolkit.errors import Inconclusive
from toolkit.runtime.onnx_runner import OnnxRunner
from toolkit.runtime.torchscript_runner import TorchRunner, arguments
from toolkit.signature import flatten
from toolkit.verification.search import ascent
from toolkit.verification.search.graph import Graph

Array = np.ndarray[Any, Any]

_LEAST = 1e-11  # relative: graphs that agree to this everywhere have nothing to climb


def rows(
    graph: Graph, source: Any, starts: Sequence[Mapping[str, Array]], deadline: float, seed: int
) -> list[dict[str, Array]]:
    """Where the rows to start from arrive. Raises Inconclusive where the source has no differentiable form."""
    call = _callable(source)
    batch = {
        name: np.concatenate([row[name] for row in starts]) if name in source.signature.batched else starts[0][name]
        for name in source.signature.input_names
    }
    size = len(starts)
    names = list(source.signature.input_names)

    def objective(inputs: ascent.Inputs) -> Tensor:
        ours = _tensors(graph.wide(*(inputs[name] for name in graph.inputs)))
        theirs = call({name: inputs[ours_name] for name, ours_name in zip(names, _order(graph, names), strict=True)})
        height: Any = torch.zeros(size, dtype=torch.float64)
        for a, b in zip(ours, theirs, strict=False):
            if a.shape == b.shape and a.is_floating_point() and a.dim() and a.shape[0] == size:
                apart = ((a - b) ** 2).reshape(size, -1).sum(1)
                whole = (b.detach() ** 2).reshape(size, -1).sum(1)
                height = height + apart / (whole + 1e-30)
        return torch.log(height + 1e-40) - 100.0  # never "arrived": the largest is wanted

    with torch.no_grad():
        given = {name: t.double() if t.is_floating_point() else t for name, t in graph.arrays(batch).items()}
        highest = float(objective(given).max())
    if highest + 100.0 < 2 * np.log(_LEAST):
        return []
    arrived = ascent.climb(objective, graph.arrays(batch), deadline, seed, newton=False)[0] if size else given
    found = []
    for index in range(size):
        row = {}
        for name, key in zip(names, _order(graph, names), strict=True):
            array = arrived[key].detach().numpy().astype(batch[name].dtype)
            row[name] = array[index : index + 1] if name in source.signature.batched else array
        found.append(row)
    return found


def _order(graph: Graph, names: Sequence[str]) -> list[str]:
    return list(names) if all(name in graph.inputs for name in names) else list(graph.inputs)


def _tensors(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [item for item in result if isinstance(item, Tensor)]


def _callable(source: Any) -> Any:
    """The source in float64, from tensors by name to the flat tensors of its outputs."""
    if isinstance(source, OnnxRunner):
        rebuilt = onnx_to_torch.build(source.path).eval().double()
        return lambda inputs: _tensors(rebuilt(*inputs.values()))
    if not isinstance(source, TorchRunner):
        raise Inconclusive("the source cannot be differentiated")
    module = copy.deepcopy(source.module).double()

    def call(inputs: Mapping[str, Tensor]) -> list[Tensor]:
        args, kwargs = arguments(source.signature, dict(inputs))
        _, flat = flatten(module(*args, **kwargs), "output", is_leaf=lambda value: isinstance(value, Tensor))
        return list(flat.values())

    return call
