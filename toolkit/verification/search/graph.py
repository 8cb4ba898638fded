"""A file's graph that can be driven: which sides of its branches were seen, and rows that reach the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx

from exporters.onnx_to_torch.builder import Builder
from toolkit.errors import Inconclusive
from toolkit.verification.locate import trace
from toolkit.verification.search import inline, margins
from toolkit.verification.search.margins import SIDES, Target, Values

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]
Inputs = Mapping[str, Tensor]

_MOST_ELEMENTS = 256  # of a node, that are looked at one by one
_MOST_ATTEMPTS = 3
_MOST_CONSTANTS = 64


@dataclass
class Sides:
    """Which elements of a target were seen above, below and at zero; and how often it was aimed at."""

    above: Any
    below: Any
    attempts: int = 0


@dataclass(frozen=True)
class Aim:
    """One side of a target that was never seen: of one element, or of any where `element` is None."""

    target: Target
    sign: float
    element: int | None


@dataclass
class Graph:
    """Both precisions of the file's graph as modules, with the margins of their branches."""

    model: ir.Model
    narrow: fx.GraphModule
    wide: fx.GraphModule
    names: Mapping[str, str]  # value -> fx node
    inputs: Sequence[str]
    seen: dict[Target, Sides] = field(default_factory=dict)
    tried: dict[Aim, int] = field(default_factory=dict)
    row_bytes: float = 1.0  # of all results of one row, in float32

    @staticmethod
    def read(path: Path) -> Graph:
        """Raises Inconclusive where the graph has no PyTorch form."""
        for inlined in (True, False):
            model = trace.read(path)
            if inlined and not inline.branches(model):
                continue
            try:
                builder = Builder(model, path.name)
                module = builder.build().eval()
            except Exception as error:
                if inlined:
                    continue
                raise Inconclusive(f"its graph cannot be rebuilt ({error})") from error
            names = {str(value.name): node.name for value, node in builder.values.items()}
            inputs = [str(value.name) for value in model.graph.inputs]
            return Graph(model, module, copy.deepcopy(module).double(), names, inputs)
        raise AssertionError("the second turn returns or raises")

    def arrays(self, given: Mapping[str, Array]) -> Inputs:
        """A batch's inputs by the graph's names, by position where the names are others."""
        known = all(name in given for name in self.inputs)
        values = [given[name] for name in self.inputs] if known else list(given.values())
        return {
            name: torch.from_numpy(np.array(array, order="C")) for name, array in zip(self.inputs, values, strict=True)
        }

    def margins(self, inputs: Inputs, *, wide: bool, size: int = 0) -> dict[Target, Tensor]:
        """The margins of every target on these inputs, with their gradients if the inputs want them.

        With the `size` of the batch, what its rows take in memory is noted.
        """
        module = self.wide if wide else self.narrow
        interpreter = fx.Interpreter(module, garbage_collect_values=False)
        interpreter.run(*(inputs[name] for name in self.inputs))
        nodes = {node.name: node for node in module.graph.nodes}
        arrays = {
            name: interpreter.env[nodes[place]]
            for name, place in self.names.items()
            if place in nodes and isinstance(interpreter.env.get(nodes[place]), Tensor)
        }

        if size:
            self.row_bytes = sum(t.nbytes for t in {id(t): t for t in arrays.values()}.values()) / size

        def calls(name: str, instead: Mapping[str, Tensor]) -> Tensor:
            """What makes a value, on other operands."""
            node = nodes[self.names[name]]
            others = {nodes[self.names[key]]: value for key, value in instead.items()}
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: others.get(n, interpreter.env[n]))
            result: Tensor = node.target(*args, **kwargs)
            return result

        return margins.of(self.model, Values(arrays, nodes, calls, {}))

    def look(self, inputs: Inputs, size: int) -> None:
        """Note which sides a batch shows."""
        with torch.no_grad():
            found = self.margins(inputs, wide=False, size=size)
        for target, margin in found.items():
            flat = by_sample(margin, size).numpy()
            above: Any
            below: Any
            above, below = np.any(flat > 0, axis=0), np.any(flat < 0, axis=0)
            if target.want != SIDES:
                above = below = np.any(flat == 0, axis=0)
            if len(above) > _MOST_ELEMENTS or target.order == margins.KNEE:
                above, below = above.any(keepdims=True), below.any(keepdims=True)
            known = self.seen.get(target)
            if known is None or known.above.shape != above.shape:
                self.seen[target] = Sides(above, below)
            else:
                self.seen[target] = Sides(known.above | above, known.below | below)

    def aims(self) -> list[Aim]:
        """Every side that was not seen, those of whole nodes before those of single elements."""
        found: list[tuple[tuple[int, int, int], Aim]] = []
        for target, sides in self.seen.items():
            for sign, flags in ((1.0, sides.above), (-1.0, sides.below)):
                if target.want != SIDES and sign < 0:
                    continue
                if not flags.any():
                    found.append(((0, target.order, 0), Aim(target, sign, None)))
                elif not flags.all():
                    found += [((1, target.order, int(i)), Aim(target, sign, int(i))) for i in np.flatnonzero(~flags)]
        # what stands further down depends on more: who reaches it has mostly reached what is above
        open_ones = [(self.tried.get(aim, 0), *order, -i, aim) for i, (order, aim) in enumerate(found)]
        return [item[-1] for item in sorted(open_ones, key=lambda item: item[:-1]) if item[0] < _MOST_ATTEMPTS]

    def constants(self) -> list[float]:
        """Small constants of the graph, those that conditions and limits read first."""
        first: list[float] = []
        others: list[float] = []
        for node in self.model.graph:
            place = first if node.op_type in _DECIDE else others
            for value in node.inputs:
                if value is not None and value.const_value is not None and value.const_value.size <= 8:
                    array = value.const_value.numpy()
                    if array.dtype.kind in "fi":
                        place += [float(item) for item in array.reshape(-1)]
        kept = [value for value in dict.fromkeys([*first, *others]) if np.isfinite(value) and abs(value) <= 1e9]
        return kept[:_MOST_CONSTANTS]


_DECIDE = frozenset({"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Clip", "Min", "Max", "Where", "Mod"})


def by_sample(margin: Tensor, size: int) -> Tensor:
    """A row for each sample of a batch; a margin of the whole batch is one row."""
    if margin.dim() and margin.shape[0] == size:
        return margin.reshape(size, -1)
    return margin.reshape(1, -1)
