"""Random graphs whose axes all have one size, through the Keras importer: an axis taken for another goes by unnoticed.

A converter that tells layouts by sizes cannot be right on them. `python tests/importers/layouts.py COUNT [--planted]`
prints, as JSON, what is wrong with each graph that is not right by onnx.reference, and how many transposes all of them
hold.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parents[2]))

SIZE = 4
STEPS = 9
Shape = tuple[int, ...]


@dataclass
class Growing:
    """A graph that grows: `values` are the names of its tensors with their shapes, the newest last."""

    rng: np.random.Generator
    first: int = 0  # axes before this one stay where they are: a free batch is no channel, nor part of another axis
    values: list[tuple[str, Shape]] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def weight(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *shape: int) -> str:
        return self.weight((self.rng.normal(size=shape) * 0.5).astype(np.float32))

    def add(self, operator: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.values.append((name, shape))
        return name

    def pick(self, rank: int | None = None) -> tuple[str, Shape]:
        """A tensor, rather a new one than an old one; the newest of that rank, if one is asked for."""
        fitting = [value for value in self.values if rank is None or len(value[1]) == rank]
        return fitting[-1 - min(int(self.rng.exponential(1.2)), len(fitting) - 1)]

    def axis(self, shape: Shape) -> int:
        axis = int(self.rng.integers(self.first, len(shape)))
        return axis - len(shape) if self.rng.random() < 0.5 else axis


def conv(g: Growing) -> None:
    x, shape = g.pick(4)
    count = shape[1]
    group = int(g.rng.choice([1, 2, count])) if count % 2 == 0 else 1
    kernel = int(g.rng.choice([1, 3]))
    w = g.floats(count, count // group, kernel, kernel)
    pads = [kernel // 2] * 4
    g.add("Conv", [x, w, g.floats(count)], shape, group=group, pads=pads, kernel_shape=[kernel, kernel])


def transpose(g: Growing) -> None:
    x, shape = g.pick()
    perm = [*range(g.first), *(int(i) + g.first for i in g.rng.permutation(len(shape) - g.first))]
    g.add("Transpose", [x], tuple(shape[i] for i in perm), perm=perm)


def add_constant(g: Growing) -> None:
    """A constant of any lower rank, with ones anywhere."""
    x, shape = g.pick()
    rank = int(g.rng.integers(0, len(shape) + 1))
    other = [size if g.rng.random() < 0.6 else 1 for size in shape[len(shape) - rank :]]
    inputs = [x, g.floats(*other)]
    g.add(str(g.rng.choice(["Add", "Mul", "Sub", "Max"])), inputs[:: int(g.rng.choice([1, -1]))], shape)


def join(g: Growing) -> None:
    """Two tensors of any orders meet."""
    x, shape = g.pick()
    same = [name for name, other in g.values if other == shape]
    g.add(str(g.rng.choice(["Add", "Mul", "Sub"])), [x, str(g.rng.choice(same))], shape)


def concat_and_cut(g: Growing) -> None:
    x, shape = g.pick()
    axis = g.axis(shape)
    other = str(g.rng.choice([name for name, sizes in g.values if sizes == shape]))
    double = tuple(2 * size if i == axis % len(shape) else size for i, size in enumerate(shape))
    y = g.add("Concat", [x, other], double, axis=axis)
    start = int(g.rng.integers(0, shape[axis] + 1))
    bounds = [g.weight(np.array([value])) for value in (start, start + shape[axis], axis)]
    g.add("Slice", [y, *bounds], shape)


def reduce_axis(g: Growing) -> None:
    x, shape = g.pick()
    if len(shape) < 3:
        return
    axis, keep = g.axis(shape), int(g.rng.integers(2))
    kept = tuple(
        size if i != axis % len(shape) else 1 for i, size in enumerate(shape) if keep or i != axis % len(shape)
    )
    g.add(str(g.rng.choice(["ReduceMean", "ReduceMax"])), [x, g.weight(np.array([axis]))], kept, keepdims=keep)


def along_axis(g: Growing) -> None:
    x, shape = g.pick()
    operator = str(g.rng.choice(["Softmax", "LogSoftmax", "CumSum"]))
    if operator == "CumSum":
        g.add(operator, [x, g.weight(np.array(g.axis(shape)))], shape)
    else:
        g.add(operator, [x], shape, axis=g.axis(shape))


def gather(g: Growing) -> None:
    x, shape = g.pick()
    axis = g.axis(shape)
    g.add("Gather", [x, g.weight(g.rng.permutation(shape[axis]))], shape, axis=axis)


def pad(g: Growing) -> None:
    """Shifted along one axis: padded in front, cut off behind."""
    x, shape = g.pick()
    axis = g.axis(shape) % len(shape)
    amounts = [int(i == axis) for i in range(len(shape))] + [0] * len(shape)
    y = g.add("Pad", [x, g.weight(np.array(amounts))], tuple(n + amounts[i] for i, n in enumerate(shape)))
    g.add("Slice", [y, *(g.weight(np.array([value])) for value in (0, shape[axis], axis))], shape)


def merge_and_split(g: Growing) -> None:
    """Reshape two neighbouring axes into one, and some time later maybe back."""
    x, shape = g.pick()
    wide = [i for i, size in enumerate(shape) if size == SIZE * SIZE and i >= g.first]
    if wide:
        i = wide[0]
        target = (*shape[:i], SIZE, SIZE, *shape[i + 1 :])
    elif len(shape) >= 3 + g.first:
        i = int(g.rng.integers(g.first, len(shape) - 1))
        target = (*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :])
    else:
        return
    written = [-1 if axis == 0 else size for axis, size in enumerate(target)]
    g.add("Reshape", [x, g.weight(np.array(written))], target)


def matmul(g: Growing) -> None:
    x, shape = g.pick()
    g.add("MatMul", [x, g.floats(shape[-1], shape[-1])], shape)


def normalize(g: Growing) -> None:
    x, shape = g.pick(4)
    count = shape[1]
    given = [g.floats(count), g.floats(count), g.floats(count), g.weight(g.rng.random(count).astype(np.float32) + 0.5)]
    g.add("BatchNormalization", [x, *given], shape)


def pool(g: Growing) -> None:
    x, shape = g.pick(4)
    g.add(str(g.rng.choice(["MaxPool", "AveragePool"])), [x], shape, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def activate(g: Growing) -> None:
    x, shape = g.pick()
    g.add(str(g.rng.choice(["Relu", "Sigmoid", "Tanh"])), [x], shape)


def squeeze_in(g: Growing) -> None:
    x, shape = g.pick()
    if 1 in shape[g.first :]:
        axis = shape.index(1, g.first)
        g.add("Squeeze", [x, g.weight(np.array([axis]))], (*shape[:axis], *shape[axis + 1 :]))
    elif len(shape) < 4:
        axis = int(g.rng.integers(g.first, len(shape) + 1))
        g.add("Unsqueeze", [x, g.weight(np.array([axis]))], (*shape[:axis], 1, *shape[axis:]))


def shuffle(g: Growing) -> None:
    """Two axes split off a third one, exchanged, and merged again: as for channels, here along any axis."""
    x, shape = g.pick()
    wide = [i for i, size in enumerate(shape) if size % 2 == 0 and size > 2 and i >= g.first]
    if not wide:
        return
    i = int(g.rng.choice(wide))
    half = shape[i] // 2
    split, back = (*shape[:i], 2, half, *shape[i + 1 :]), (*shape[:i], half, 2, *shape[i + 1 :])
    free = -1 if g.first else None  # the batch, where it may be any
    y = g.add("Reshape", [x, g.weight(np.array([free or split[0], *split[1:]]))], split)
    perm = [*range(i), i + 1, i, *range(i + 2, len(split))]
    y = g.add("Transpose", [y], back, perm=perm)
    g.add("Reshape", [y, g.weight(np.array([free or shape[0], *shape[1:]]))], shape)


def pick_one(g: Growing) -> None:
    """One slice of an axis, which is gone then, or stays with one element, or with several of any order."""
    x, shape = g.pick()
    if len(shape) < 3:
        return
    axis = g.axis(shape)
    index = int(g.rng.integers(-shape[axis], shape[axis]))
    at = axis % len(shape)
    if g.rng.random() < 0.5:
        g.add("Gather", [x, g.weight(np.array(index))], (*shape[:at], *shape[at + 1 :]), axis=axis)
    else:
        g.add("Gather", [x, g.weight(np.array([index]))], (*shape[:at], 1, *shape[at + 1 :]), axis=axis)


def split_and_join(g: Growing) -> None:
    x, shape = g.pick()
    axis = g.axis(shape)
    if shape[axis] < 2:
        return
    at, first = axis % len(shape), int(g.rng.integers(1, shape[axis]))
    sizes = (first, shape[axis] - first)
    names = [f"s{len(g.nodes)}_{i}" for i in range(2)]
    g.nodes.append(helper.make_node("Split", [x, g.weight(np.array(sizes))], names, axis=axis))
    g.values += [(name, (*shape[:at], size, *shape[at + 1 :])) for name, size in zip(names, sizes, strict=True)]
    g.add("Concat", names[::-1], shape, axis=axis)


def move_ones(g: Growing) -> None:
    """A mean of some axes, whose ones are then put elsewhere by a Reshape."""
    x, shape = g.pick()
    if len(shape) < 3 or 1 in shape:
        return
    axis = g.axis(shape) % len(shape)
    kept = tuple(1 if i == axis else size for i, size in enumerate(shape))
    y = g.add("ReduceMean", [x, g.weight(np.array([axis]))], kept)
    left = [size for i, size in enumerate(kept) if i != axis]
    place = int(g.rng.integers(g.first, len(shape)))
    moved = (*left[:place], 1, *left[place:])
    g.add("Reshape", [y, g.weight(np.array([-1 if i == 0 else size for i, size in enumerate(moved)]))], moved)


def flatten(g: Growing) -> None:
    x, shape = g.pick(4)
    if len(shape) == 4 and np.prod(shape) <= SIZE**5:
        g.add("Flatten", [x], (shape[0], int(np.prod(shape[1:]))))


def multiply(g: Growing) -> None:
    """Two tensors of any orders, one transposed, as queries and keys are."""
    x, shape = g.pick()
    same = [name for name, other in g.values if other == shape]
    if len(shape) < 3:
        return
    perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    y = g.add("Transpose", [str(g.rng.choice(same))], tuple(shape[i] for i in perm), perm=perm)
    g.add("MatMul", [x, y], (*shape[:-1], shape[-2]))


OPERATORS: list[Callable[[Growing], None]] = [
    conv, conv, transpose, transpose, transpose, add_constant, add_constant, join, concat_and_cut, reduce_axis,
    along_axis, gather, pad, merge_and_split, matmul, normalize, pool, activate, squeeze_in,
    shuffle, shuffle, pick_one, split_and_join, move_ones, flatten, multiply,
]  # fmt: skip


def graph(seed: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model of two inputs of one shape, and what to feed it with; every other one's batch is free."""
    free = seed % 2 == 1
    g = Growing(np.random.default_rng(seed), int(free))
    shape = (SIZE,) * 4
    g.values = [("x", shape), ("y", shape)]
    while len(g.nodes) < STEPS:
        g.rng.choice(OPERATORS)(g)  # type: ignore[arg-type]
    used = {name for node in g.nodes for name in node.input}
    ends = [(name, sizes) for name, sizes in g.values[2:] if name not in used]
    declared: list[int | str] = ["batch" if free else SIZE, *shape[1:]]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, declared) for name in ("x", "y")]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_{i}" for i in range(len(sizes))])
        for name, sizes in ends
    ]
    made = helper.make_graph(g.nodes, f"layout_{seed}", inputs, outputs, g.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model, {name: g.rng.normal(size=shape).astype(np.float32) for name in ("x", "y")}


def difference(seed: int) -> tuple[str | None, int]:
    """What is wrong with the model of this seed, and how many transposes it holds."""
    from exporters import onnx_to_keras

    model, feeds = graph(seed)
    wanted = ReferenceEvaluator(model).run(None, feeds)
    rebuilt = onnx_to_keras.build(model)
    results = rebuilt(list(feeds.values()))
    results = results if isinstance(results, list | tuple) else [results]
    count = sum(type(operation).__name__ == "Transpose" for operation in rebuilt.operations)
    for output, actual, right in zip(model.graph.output, results, wanted, strict=True):
        if tuple(actual.shape) != right.shape:
            return f"{output.name}: shape {tuple(actual.shape)} instead of {right.shape}", count
        off = float(np.abs(np.asarray(actual) - right).max() / (np.abs(right).max() + 1e-6))
        if not off < 1e-4:
            return f"{output.name}: off by {off:.3g} of its largest value", count
    return None, count


def plant() -> None:
    """A mistake on purpose: an order forgets that axes were permuted, which no size can tell here."""
    from exporters.graph.layout import Order

    Order.transposed = lambda self, perm: self  # type: ignore[method-assign]


def main(arguments: list[str]) -> None:
    if "--planted" in arguments:
        plant()
    found = {seed: difference(seed) for seed in range(int(arguments[0]))}
    wrong = {seed: text for seed, (text, _) in found.items() if text is not None}
    json.dump({"wrong": wrong, "transposes": sum(number for _, number in found.values())}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
