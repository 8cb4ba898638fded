"""The shapes that follow from what is known of the numbers that an operator is told.

ONNX's own inference follows numbers only where all of them are known, and not through all of the arithmetic. Asked
again for one node, with what is known by now, it says more; operators that take a shape as their input are worked out
here, where some of its numbers are known and others free.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from exporters.graph.sizes.numbers import Elements, Numbers
from exporters.graph.values import integer, ints

Sizes = list[int | None]
_MOST = 1 << 12  # elements of an input that a shape may depend on
_FACTORS = 16  # of a Resize: other floats tell no shape
_BODIES = {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}


class Inference:
    """Fills in the shapes of one node after the other."""

    def __init__(self, model: ir.Model, known: Numbers) -> None:
        self.known = known
        self.version = max(model.ir_version or 0, 4)
        self.opsets = {domain or "": number for domain, number in model.opset_imports.items()}
        self.imports = [onnx.helper.make_opsetid(domain, number) for domain, number in self.opsets.items()]

    def refine(self, node: ir.Node) -> None:
        """Fill in what can be told by now of the shapes of the results of `node`; nothing is taken back."""
        if node.op_type == "Constant" or all(_is_settled(value.shape) for value in node.outputs):
            return
        rule = RULES.get(node.op_type)
        found = rule(self.known, node) if rule is not None else None
        if found is not None:
            fill(node.outputs[0], found)
            if _is_settled(node.outputs[0].shape):
                return
        for value, sizes in self._asked(node):
            fill(value, sizes)

    def _asked(self, node: ir.Node) -> list[tuple[ir.Value, Sizes]]:
        """What ONNX infers for this node alone; nothing where it cannot."""
        given = {value.name or "": value for value in node.inputs if value is not None}
        if any(value.type is None for value in given.values()) or all(value.shape is None for value in given.values()):
            return []
        if any(attribute.type in _BODIES for attribute in node.attributes.values()):
            return []
        types = {name: _type(value) for name, value in given.items()}
        told = {name: _proto(value) for name, value in given.items()}
        data = {name: proto for name, proto in told.items() if proto is not None}
        try:
            schema = defs.get_schema(node.op_type, self.opsets.get("", 1), "")
            found = onnx.shape_inference.infer_node_outputs(
                schema, ir.to_proto(node), types, data, None, self.imports, self.version
            )
        except (defs.SchemaError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError):
            return []  # what is wrong with the node, the importer says with its name
        return [
            (value, [size.dim_value if size.HasField("dim_value") else None for size in kind.tensor_type.shape.dim])
            for value in node.outputs
            if (kind := found.get(value.name or "")) is not None and kind.tensor_type.HasField("shape")
        ]


def _type(value: ir.Value) -> onnx.TypeProto:
    assert value.type is not None
    proto: onnx.TypeProto = ir.serde.serialize_value(value).type
    return proto


def _proto(value: ir.Value) -> onnx.TensorProto | None:
    """The numbers of an input that a shape may depend on."""
    tensor = value.const_value
    if tensor is None or value.is_graph_input():
        return None
    few = tensor.size <= (_FACTORS if tensor.dtype.is_floating_point() else _MOST)
    return ir.to_proto(tensor) if few else None


def _is_settled(shape: ir.Shape | None) -> bool:
    """Whether there is nothing left to find out: each size is a number, or free by a name that somebody gave it."""
    if shape is None:
        return False
    return all(_is_known(size) for size in shape)


def _is_known(size: int | ir.SymbolicDim) -> bool:
    """Whether a size is a number or has a name that somebody gave it, rather than ONNX's inference."""
    return isinstance(size, int) or not (size.value is None or size.value.startswith("unk__"))


def fill(value: ir.Value, sizes: Sequence[int | ir.SymbolicDim | None]) -> None:
    """Add to the shape of `value` what `sizes` tell; a size that is known stays."""
    old = value.shape
    if old is None:
        value.shape = ir.Shape(sizes)
    elif len(old) == len(sizes):
        value.shape = ir.Shape([
            now if now is not None and not _is_known(was) else was for was, now in zip(old, sizes, strict=True)
        ])  # fmt: skip


def _numbered(elements: Any) -> Sizes:
    return [one if isinstance(one, int) else None for one in elements.flat]


def _shape_of(value: ir.Value | None) -> Sizes | None:
    if value is None or value.shape is None:
        return None
    return [size if isinstance(size, int) else None for size in value.shape]


def _reshape(known: Numbers, node: ir.Node) -> Sizes | None:
    target, given = known.of(node.inputs[1]) if len(node.inputs) > 1 else None, _shape_of(node.inputs[0])
    if target is None:
        return None
    copies = not integer(node, "allowzero", 0)
    sizes: Sizes = []
    for place, size in enumerate(_numbered(target)):
        if size == 0 and copies:
            sizes.append(given[place] if given is not None and place < len(given) else None)
        else:
            sizes.append(size if size != -1 else None)
    open_places = [place for place, size in enumerate(sizes) if size is None]
    if given is not None and None not in given and len(open_places) == 1:
        rest = math.prod(size for size in sizes if size is not None)
        whole = math.prod(size for size in given if size is not None)
        if rest and whole % rest == 0:
            sizes[open_places[0]] = whole // rest
    return sizes


def _expand(known: Numbers, node: ir.Node) -> Sizes | None:
    target, given = known.of(node.inputs[1]), _shape_of(node.inputs[0])
    if target is None or given is None:
        return None
    pairs = itertools.zip_longest(reversed(given), reversed(_numbered(target)), fillvalue=1)
    return [_broadcast(one, other) for one, other in pairs][::-1]


def _broadcast(one: int | None, other: int | None) -> int | None:
    if one == 1:
        return other
    if other == 1:
        return one
    return one if one is not None else other  # a free size beside a number above 1 is that number, or 1


def _filled(known: Numbers, node: ir.Node) -> Sizes | None:
    target = known.of(node.inputs[0])
    return None if target is None else _numbered(target)


def _pad(known: Numbers, node: ir.Node) -> Sizes | None:
    given = _shape_of(node.inputs[0])
    amounts: Elements | None = known.of(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = ints(node, "axes", 3)
    if given is None or amounts is None or axes is None:
        return None
    places = [axis % len(given) for axis in axes] or list(range(len(given)))
    if amounts.size != 2 * len(places):
        return None
    before, after = _numbered(amounts[: len(places)]), _numbered(amounts[len(places) :])
    sizes = list(given)
    for place, left, right in zip(places, before, after, strict=True):
        size = given[place]
        sizes[place] = None if size is None or left is None or right is None else size + left + right
    return sizes


def _resize(known: Numbers, node: ir.Node) -> Sizes | None:
    wanted = known.of(node.inputs[3]) if len(node.inputs) > 3 else None
    if wanted is None or "axes" in node.attributes or "keep_aspect_ratio_policy" in node.attributes:
        return None
    return _numbered(wanted)


RULES: dict[str, Callable[[Numbers, ir.Node], Sizes | None]] = {
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
}
