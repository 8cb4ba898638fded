"""What a trap is: a small graph at one of the places where converters are known to go wrong without a word.

Each has its expected values from onnx.reference, or in numbers where the reference itself does not follow the
specification. An axis whose size differs between the two sets of inputs is a symbol in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.importers.cases import Case

Feeds = dict[str, Any]
FLOATS = np.random.default_rng(0).normal(size=(1000,)).astype(np.float32) * 2


def f(*shape: int, start: int = 0) -> Any:
    """Random numbers, the same ones each time."""
    count = int(np.prod(shape))
    return FLOATS[start : start + count].reshape(shape).copy()


def u64(*values: int) -> Any:
    return np.array(values, np.uint64)


@dataclass(frozen=True)
class Trap:
    """One operator (or several nodes), fed once or at two batch sizes.

    `weights` are initializers; `wanted` replaces the reference's results, one list per feeding.
    """

    name: str
    operator: str | list[onnx.NodeProto]
    feeds: Feeds | list[Feeds]
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: Feeds = field(default_factory=dict)
    opset: int = 17
    outputs: tuple[str, ...] = ("y",)
    inputs: tuple[str, ...] | None = None  # the node's inputs, where they are not `feeds` and then `weights`
    wanted: list[Any] | None = None

    def case(self) -> Case:
        feeds = self.feeds if isinstance(self.feeds, list) else [self.feeds]
        model = self._model(feeds)
        wanted = self.wanted or [ReferenceEvaluator(model).run(None, feed) for feed in feeds]
        for i, value in enumerate(model.graph.output):
            array = np.asarray(wanted[0][i])
            sizes = [f"{value.name}{axis}" for axis in range(array.ndim)]
            value.CopyFrom(helper.make_tensor_value_info(value.name, _kind(array), sizes))
        data = [(list(feed.values()), list(results)) for feed, results in zip(feeds, wanted, strict=True)]
        return Case(self.name, model, data, 1e-5, 3e-6)

    def _model(self, feeds: list[Feeds]) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(name, _kind(feeds[0][name]), _shape(feeds, name)) for name in feeds[0]]
        nodes = self.operator
        if isinstance(nodes, str):
            names = self.inputs if self.inputs is not None else (*feeds[0], *self.weights)
            nodes = [helper.make_node(nodes, list(names), list(self.outputs), **self.attributes)]
        weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in self.weights.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs if name]
        graph = helper.make_graph(nodes, "trap", inputs, outputs, weights)
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _kind(array: Any) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype))


def _shape(feeds: list[Feeds], name: str) -> list[int | str]:
    shapes = [np.shape(feed[name]) for feed in feeds]
    return [
        sizes[0] if len(set(sizes)) == 1 else f"{name}{axis}" for axis, sizes in enumerate(zip(*shapes, strict=True))
    ]


def batches(*shape: int) -> list[Feeds]:
    """`x` of this shape with a batch of 2 and of 3."""
    return [{"x": f(2, *shape)}, {"x": f(3, *shape)}]


def node(*arguments: Any, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(*arguments, **attributes)


FAR = np.float32([0.1, 1, -300, 460, 1e6, -1e6, np.inf, -np.inf, np.nan])
HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
with np.errstate(over="ignore", invalid="ignore"):
    LARGE = HALVES.astype(np.float32) * np.float32(2.0**120)
NUMBERS = HALVES[~np.isnan(HALVES)]
IMAGE = np.arange(1, 51, dtype=np.float32).reshape(1, 2, 5, 5)
POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
KERNEL = {"w": FLOATS[:54].reshape(2, 3, 3, 3)}
I = np.array  # noqa: E741 - short, for the tables below
