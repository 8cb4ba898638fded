"""What a graph computes from shapes, as products of numbers and symbols.

`x.expand(batch, heads, 4, length, size)` is written as a dozen operators on small tensors of integers. Read so, each
element is a number times sizes that are known by name, or by the tensor and the axis that they are asked of.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import onnx_ir as ir

from exporters.graph.regroup import REST, Extent
from exporters.graph.values import COUNTING, constant, integer, ints, producer, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Extents = tuple[Extent, ...]

_DEEPEST = 24
_LONGEST = 16  # elements; what is longer is no shape
_AS_THEY_ARE = frozenset({"Cast", "CastLike", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_COPIED = Extent(0)  # ONNX's 0 in a Reshape: the size that is there
_ONE = Extent()


def sizes(x: ir.Value) -> Extents | None:
    """The sizes of `x`: numbers, or symbols, or else what stands for that axis of that very tensor."""
    if x.shape is None:
        return None
    names = [None if isinstance(size, int) else size.value or f"{id(x)}[{axis}]" for axis, size in enumerate(x.shape)]
    return tuple(
        Extent(size) if isinstance(size, int) else Extent(1, (str(name),))
        for size, name in zip(x.shape, names, strict=True)
    )


def contents(value: ir.Value | None) -> Extents | None:
    """The elements of a scalar or a list of integers; None where they are not computed from shapes and constants."""
    return Reading().of(value)


def reshaped(node: ir.Node, given: Extents | None = None) -> Extents | None:
    """The sizes that a Reshape of a tensor of the sizes `given` gives; None where they are not known."""
    assert node.inputs[0] is not None
    given, wanted = given or sizes(node.inputs[0]), contents(node.inputs[1])
    if given is None or wanted is None:
        return sizes(node.outputs[0])
    if integer(node, "allowzero", 0) == 0:
        if any(size == _COPIED for size in wanted[len(given) :]):
            return None
        wanted = tuple(given[axis] if size == _COPIED else size for axis, size in enumerate(wanted))
    if REST not in wanted:
        return wanted
    rest = _quotient(product(given), product(size for size in wanted if size != REST))
    return sizes(node.outputs[0]) if rest is None else tuple(rest if size == REST else size for size in wanted)


def expanded(node: ir.Node, given: Extents | None = None) -> Extents | None:
    """The sizes that an Expand of a tensor of the sizes `given` gives; None where they are not known."""
    assert node.inputs[0] is not None
    given, wanted = given or sizes(node.inputs[0]), contents(node.inputs[1])
    if given is None or wanted is None:
        return sizes(node.outputs[0])
    pairs = list(zip_longest(reversed(given), reversed(wanted), fillvalue=_ONE))
    if any(size != asked and not size.is_one and not asked.is_one for size, asked in pairs):
        return sizes(node.outputs[0])
    return tuple(asked if size.is_one else size for size, asked in reversed(pairs))


def product(extents: Iterable[Extent]) -> Extent:
    whole = _ONE
    for extent in extents:
        whole *= extent
    return whole


def _quotient(a: Extent, b: Extent) -> Extent | None:
    """`a / b` where that leaves no rest."""
    left = list(a.symbols)
    for symbol in b.symbols:
        if symbol not in left:
            return None
        left.remove(symbol)
    if b.number <= 0 or a.number < 0 or a.number % b.number:
        return None
    return Extent(a.number // b.number, tuple(left))


_PAIRS: dict[str, Callable[[Extent, Extent], Extent | None]] = {"Mul": lambda a, b: a * b, "Div": _quotient}


class Reading:
    """Lists of integers that were read so far, so that no node is read twice."""

    def __init__(self) -> None:
        self.known: dict[ir.Value, Extents | None] = {}

    def of(self, value: ir.Value | None, depth: int = _DEEPEST) -> Extents | None:
        if value is None or depth == 0 or (rank(value) or 0) > 1:
            return None
        if value not in self.known:
            found = self._read(value, depth)
            self.known[value] = found if found is None or len(found) <= _LONGEST else None
        return self.known[value]

    def _read(self, value: ir.Value, depth: int) -> Extents | None:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is not None and (tensor.size > _LONGEST or value.dtype not in COUNTING):
            return None  # not even looked at: it may be a weight in a file of its own
        array = constant(value)
        if array is not None:
            return tuple(Extent(int(number)) for number in array.reshape(-1))
        node = producer(value)
        if node is None:
            return None
        if node.op_type == "Shape" and node.inputs[0] is not None:
            found = sizes(node.inputs[0])
            return None if found is None else found[integer(node, "start", 0) : integer(node, "end", len(found))]
        if node.op_type == "Where":
            return self._chosen(node, depth - 1)
        return self._computed(node, [self.of(given, depth - 1) for given in node.inputs])

    def _computed(self, node: ir.Node, inputs: list[Extents | None]) -> Extents | None:
        first = inputs[0] if inputs else None
        if node.op_type in _AS_THEY_ARE or first is None:
            return first
        if node.op_type in _PAIRS and inputs[1] is not None:
            return _paired(_PAIRS[node.op_type], first, inputs[1])
        if node.op_type == "Concat":
            known = [part for part in inputs if part is not None]
            return tuple(element for part in known for element in part) if len(known) == len(inputs) else None
        if node.op_type in {"Gather", "Slice"}:
            return picked(node, first)
        return _filled(node, first) if node.op_type == "ConstantOfShape" else None

    def _chosen(self, node: ir.Node, depth: int) -> Extents | None:
        """`Where(Equal(a, b), yes, no)`, element by element; which ones are equal may be known already."""
        known, equal = constant(node.inputs[0]), producer(node.inputs[0], "Equal")
        if known is None and equal is None:
            return None
        read = [self.of(value, depth) for value in (*(equal.inputs if equal is not None else ()), *node.inputs[1:])]
        lists = [elements for elements in read if elements is not None]
        if len(lists) < len(read) or len({len(elements) for elements in lists}) != 1:
            return None
        yes, no = lists[-2:]
        tests = list(map(_are_equal, *lists[:2])) if known is None else [bool(test) for test in known.reshape(-1)]
        if None in tests or len(tests) != len(yes):
            return None
        return tuple(one if test else other for test, one, other in zip(tests, yes, no, strict=True))


def _are_equal(a: Extent, b: Extent) -> bool | None:
    """Whether two elements are equal; no size is negative, all else about symbols is unknown."""
    if a == b:
        return True
    if not a.symbols and not b.symbols:
        return False
    return False if a.number * b.number < 0 and (not a.symbols or not b.symbols) else None


def _paired(function: Callable[[Extent, Extent], Extent | None], a: Extents, b: Extents) -> Extents | None:
    if len(a) != len(b) and 1 not in {len(a), len(b)}:
        return None
    count = max(len(a), len(b))
    found = [function(a[i if len(a) > 1 else 0], b[i if len(b) > 1 else 0]) for i in range(count)]
    known = [extent for extent in found if extent is not None]
    return tuple(known) if len(known) == count else None


def picked(node: ir.Node, elements: Extents) -> Extents | None:
    """What a Gather or a Slice takes out of a list."""
    if node.op_type == "Gather":
        places = constant(node.inputs[1])
        if places is None or any(not -len(elements) <= place < len(elements) for place in places.reshape(-1)):
            return None
        return tuple(elements[place] for place in places.reshape(-1))
    starts, ends, steps = (ints(node, name, place) for place, name in ((1, "starts"), (2, "ends"), (4, "steps")))
    if starts is None or ends is None or steps is None or not len(starts) == len(ends) == 1 or len(steps) > 1:
        return None
    return elements[starts[0] : ends[0] : steps[0] if steps else 1]


def _filled(node: ir.Node, shape: Extents) -> Extents | None:
    """A list made by ConstantOfShape."""
    if len(shape) != 1 or shape[0].symbols or not 0 <= shape[0].number <= _LONGEST:
        return None
    number = node.attributes["value"].as_tensor().numpy().reshape(-1)[0] if "value" in node.attributes else 0
    return (Extent(int(number)),) * shape[0].number
