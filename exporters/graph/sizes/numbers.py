"""What is known of the elements of small tensors before a model runs.

Elements are held in arrays of objects: a number (`int`, `bool`, or a NumPy float of the tensor's own type), an `Extent`
for a size that callers choose or a product of such sizes, or None where nothing is known. Who wants sizes in another
form, such as code that computes them, gives rules of its own for what makes and combines them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from exporters.graph.sizes import extent
from exporters.graph.sizes.extent import Extent, Free
from exporters.graph.values import CONSTANT, constant, integer, ints, permutation

Elements = np.ndarray[Any, Any]  # of objects
_MOST = 64  # elements: what is longer tells no shape
_TRACKED = {ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.FLOAT, ir.DataType.DOUBLE}
_DEEPEST = 24  # operators that are looked through at once; who asks node after node reads any number of them
_RANKED = 2  # the least dimensions of what can be transposed


def is_number(element: Any) -> bool:
    return isinstance(element, int | np.floating)


class Numbers:
    """The elements of values, read from the nodes that compute them, each once; `rules` tell how."""

    def __init__(self, rules: Mapping[str, Rule] | None = None) -> None:
        self._rules = RULES if rules is None else rules
        self._known: dict[ir.Value, Elements | None] = {}

    def of(self, value: ir.Value | None, depth: int = _DEEPEST) -> Elements | None:
        """What is known of the elements of `value`; None where that is nothing, or it lies too deep to look."""
        if value is None:
            return None
        if value not in self._known:
            node = value.producer()
            self._known[value] = _written(value) if node is None else self._computed(node, value, depth)
        return self._known[value]

    def _computed(self, node: ir.Node, value: ir.Value, depth: int) -> Elements | None:
        rule = self._rules.get(node.op_type) if node.domain in {"", "ai.onnx"} and len(node.outputs) == 1 else None
        if rule is None or value.dtype not in _TRACKED or depth == 0:
            return None
        for given in node.inputs:
            self.of(given, depth - 1)
        found = rule(self, node)
        return found if found is None or found.size <= _MOST else None


def _written(value: ir.Value) -> Elements | None:
    tensor = value.const_value
    if tensor is None or value.is_graph_input() or tensor.size > _MOST or value.dtype not in _TRACKED:
        return None
    if tensor.dtype.is_floating_point():
        if not value.meta.get(CONSTANT):
            return None  # trained: not even read
        array = tensor.numpy()
        return array_of([array.dtype.type(number) for number in array.reshape(-1)], array.shape)
    array = tensor.numpy()
    return array_of(array.reshape(-1).tolist(), array.shape)


def array_of(elements: list[Any], shape: tuple[int, ...]) -> Elements:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)


def _shape(_: Numbers, node: ir.Node) -> Elements | None:
    given = extent.sizes(node.inputs[0]) if node.inputs[0] is not None else None
    if given is None:
        return None
    sizes = [plain(size) for size in given]
    picked = sizes[integer(node, "start", 0) : integer(node, "end", len(sizes))]
    return array_of(picked, (len(picked),))


def plain(size: Extent | None) -> Any:
    """A size that is a number as that number."""
    return size.number if size is not None and not size.symbols else size


def extent_of(element: Any) -> Extent | None:
    """A size as a product; None for what is no size."""
    if isinstance(element, Extent):
        return element
    return Extent(element) if isinstance(element, int) and element >= 0 else None


def _gather(known: Numbers, node: ir.Node) -> Elements | None:
    data, places = known.of(node.inputs[0]), constant(node.inputs[1])
    if data is None or places is None or not data.ndim or places.size > _MOST:
        return None
    size = data.shape[integer(node, "axis", 0)]
    if places.size and not (-size <= places.min() and places.max() < size):
        return None  # a runtime's own error
    return _held(np.take(data, places, axis=integer(node, "axis", 0)))


def _held(found: Any) -> Elements:
    """Taking one element of an array of objects gives the element: back into an array of no dimensions."""
    return found if isinstance(found, np.ndarray) else array_of([found], ())


def _slice(known: Numbers, node: ir.Node) -> Elements | None:
    data = known.of(node.inputs[0])
    starts, ends, axes, steps = (ints(node, name, place) for place, name in enumerate(_BOUNDS, 1))
    if data is None or not starts or not ends or axes is None or steps is None or 0 in steps:
        return None
    picked: list[slice] = [slice(None)] * data.ndim
    for start, end, axis, step in zip(
        starts, ends, axes or range(len(starts)), steps or [1] * len(starts), strict=True
    ):
        size = data.shape[axis]
        # Python reads -1 as the last one where ONNX means "past the first", once the size was added to it.
        first = min(max(start + size if start < 0 else start, 0), size if step > 0 else size - 1)
        last = end + size if end < 0 else end
        last = min(max(last, 0 if step > 0 else -1), size)
        picked[axis] = slice(first, None if last < 0 else last, step)
    return _held(data[tuple(picked)])


_BOUNDS = ("starts", "ends", "axes", "steps")


def _concat(known: Numbers, node: ir.Node) -> Elements | None:
    parts = [known.of(value) for value in node.inputs]
    axis = integer(node, "axis", 0)
    if any(part is None or not part.ndim for part in parts):
        return None
    return np.concatenate([part for part in parts if part is not None], axis)


def _squeeze(known: Numbers, node: ir.Node) -> Elements | None:
    data, axes = known.of(node.inputs[0]), ints(node, "axes", 1)
    if data is None or axes is None or any(data.shape[axis] != 1 for axis in axes):
        return None
    return _held(np.squeeze(data, tuple(axes) if axes else None))


def _unsqueeze(known: Numbers, node: ir.Node) -> Elements | None:
    data, axes = known.of(node.inputs[0]), ints(node, "axes", 1)
    return None if data is None or not axes else np.expand_dims(data, tuple(axes))


def _reshape(known: Numbers, node: ir.Node) -> Elements | None:
    data, target = known.of(node.inputs[0]), ints(node, "shape", 1)
    if data is None or target is None or (0 in target and integer(node, "allowzero", 0)):
        return None
    if any(size == 0 and place >= data.ndim for place, size in enumerate(target)):
        return None
    sizes = [data.shape[place] if size == 0 else size for place, size in enumerate(target)]
    rest = math.prod(size for size in sizes if size != -1)
    fits = data.size % rest == 0 if -1 in sizes and rest else data.size == rest
    return data.reshape(sizes) if fits and sizes.count(-1) <= 1 else None


def _transpose(known: Numbers, node: ir.Node) -> Elements | None:
    data = known.of(node.inputs[0])
    if data is None or data.ndim < _RANKED:
        return data
    return data.transpose(permutation(node))


def _same(known: Numbers, node: ir.Node) -> Elements | None:
    return known.of(node.inputs[0])


def _cast(known: Numbers, node: ir.Node) -> Elements | None:
    data, dtype = known.of(node.inputs[0]), node.outputs[0].dtype
    if data is None or dtype is None:
        return None
    whole = dtype in {ir.DataType.INT64, ir.DataType.INT32}
    return each(lambda element: _converted(element, dtype, whole=whole), data)


def _converted(element: Any, dtype: ir.DataType, *, whole: bool) -> Any:
    if not is_number(element):
        return element if whole else None
    if isinstance(element, np.floating) and not np.isfinite(element):
        return None
    return int(element) if whole else bool(element) if dtype == ir.DataType.BOOL else dtype.numpy().type(element)


def each(function: Callable[..., Any], *arrays: Elements) -> Elements | None:
    try:
        together = np.broadcast_arrays(*arrays)
    except ValueError:
        return None
    shape = together[0].shape
    if math.prod(shape) > _MOST:
        return None
    with np.errstate(all="ignore"):
        return array_of([function(*elements) for elements in zip(*(one.flat for one in together), strict=True)], shape)


def _pairwise(function: Callable[[Any, Any], Any]) -> Callable[[Numbers, ir.Node], Elements | None]:
    def rule(known: Numbers, node: ir.Node) -> Elements | None:
        left, right = known.of(node.inputs[0]), known.of(node.inputs[1])
        return None if left is None or right is None else each(function, left, right)

    return rule


def _one_by_one(function: Callable[[Any], Any]) -> Callable[[Numbers, ir.Node], Elements | None]:
    def rule(known: Numbers, node: ir.Node) -> Elements | None:
        data = known.of(node.inputs[0])
        return None if data is None else each(lambda one: function(one) if is_number(one) else None, data)

    return rule


def _numbers(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(a, b) if is_number(a) and is_number(b) else None


def _sum(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b):
        return a + b
    one, other = extent_of(a), extent_of(b)
    if one is None or other is None:
        return None
    return Extent(1, (f"[{' + '.join(sorted((str(one), str(other))))}]",))


def _product(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b):
        return a * b
    one, other = extent_of(a), extent_of(b)
    return plain(one * other) if one is not None and other is not None and one.number and other.number else None


def _quotient(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b):
        if isinstance(a, int):
            return None if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return a / b
    one, other = extent_of(a), extent_of(b)
    if one is None or other is None:
        return None
    whole = extent.quotient(one, other)
    return Extent(1, (f"[{one} / {other}]",)) if whole is None and other.number > 0 else plain(whole)


def _remainder(known: Numbers, node: ir.Node) -> Elements | None:
    left, right = known.of(node.inputs[0]), known.of(node.inputs[1])
    if left is None or right is None or integer(node, "fmod", 0):
        return None
    return each(_numbers(lambda a, b: a % b if isinstance(a, int) and b else None), left, right)


def _equal(a: Any, b: Any) -> Any:
    """A size is never negative: what an exporter writes for "keep this size" is told apart from it."""
    if is_number(a) and is_number(b):
        return bool(a == b)
    if isinstance(a, Free) and a == b:
        return True
    below = [
        isinstance(one, Free) and not one.negative and is_number(other) and other < 0 for one, other in ((a, b), (b, a))
    ]
    return False if any(below) else None


def _where(known: Numbers, node: ir.Node) -> Elements | None:
    condition, chosen, other = (known.of(value) for value in node.inputs)
    if condition is None or chosen is None or other is None:
        return None
    return each(lambda c, a, b: (a if c else b) if is_number(c) else None, condition, chosen, other)


def _constant_of_shape(known: Numbers, node: ir.Node) -> Elements | None:
    sizes = known.of(node.inputs[0])
    if sizes is None or not all(is_number(size) for size in sizes.flat) or math.prod(sizes.flat) > _MOST:
        return None
    value = node.attributes["value"].as_tensor().numpy().reshape(-1)[0] if "value" in node.attributes else np.float32(0)
    element = value if value.dtype.kind == "f" else value.item()
    return array_of([element] * math.prod(sizes.flat), tuple(sizes.flat))


def _product_of_all(known: Numbers, node: ir.Node) -> Elements | None:
    data, axes = known.of(node.inputs[0]), ints(node, "axes", 1)
    if data is None or axes is None or not all(isinstance(size, int) for size in data.flat):
        return None
    keep = bool(integer(node, "keepdims", 1))
    if not axes and integer(node, "noop_with_empty_axes", 0):
        return data
    return _held(np.prod(data, axis=tuple(axes) or None, keepdims=keep))


Rule = Callable[[Numbers, ir.Node], Elements | None]
RULES: dict[str, Rule] = {
    "Add": _pairwise(_sum),
    "And": _pairwise(_numbers(lambda a, b: a and b)),
    "Cast": _cast,
    "Ceil": _one_by_one(np.ceil),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _pairwise(_quotient),
    "Equal": _pairwise(_equal),
    "Floor": _one_by_one(np.floor),
    "Gather": _gather,
    "Greater": _pairwise(_numbers(lambda a, b: bool(a > b))),
    "GreaterOrEqual": _pairwise(_numbers(lambda a, b: bool(a >= b))),
    "Identity": _same,
    "Less": _pairwise(_numbers(lambda a, b: bool(a < b))),
    "LessOrEqual": _pairwise(_numbers(lambda a, b: bool(a <= b))),
    "Mod": _remainder,
    "Mul": _pairwise(_product),
    "Neg": _one_by_one(operator.neg),
    "Not": _one_by_one(operator.not_),
    "Or": _pairwise(_numbers(lambda a, b: a or b)),
    "ReduceProd": _product_of_all,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Sqrt": _one_by_one(lambda one: np.sqrt(one) if isinstance(one, np.floating) else None),
    "Squeeze": _squeeze,
    "Sub": _pairwise(_numbers(operator.sub)),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
