"""The shapes that follow from what is known of the numbers that an operator is told.

ONNX's own inference follows numbers only where all of them are known, and not through all of the arithmetic. Asked
again for one node, with what is known by now, it says more; operators that take a shape as their input are worked out
here, where some of its numbers are known and others free.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from exporters.graph.sizes import extent
from exporters.graph.sizes.extent import Extent
from exporters.graph.sizes.numbers import Elements, Numbers, extent_of, plain
from exporters.graph.values import integer, ints

Sizes = list[int | ir.SymbolicDim | None]
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
            (value, [_inferred(size) for size in kind.tensor_type.shape.dim])
            for value in node.outputs
            if (kind := found.get(value.name or "")) is not None and kind.tensor_type.HasField("shape")
        ]


def _inferred(size: onnx.TensorShapeProto.Dimension) -> int | ir.SymbolicDim | None:
    if size.HasField("dim_value"):
        return size.dim_value
    return ir.SymbolicDim(size.dim_param) if size.dim_param else None


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


def fill(value: ir.Value, sizes: Sizes) -> None:
    """Add to the shape of `value` what `sizes` tell; a size that is known stays."""
    old = value.shape
    if old is None:
        value.shape = ir.Shape(sizes)
    elif len(old) == len(sizes):
        value.shape = ir.Shape([
            now if now is not None and not _is_known(was) else was for was, now in zip(old, sizes, strict=True)
        ])  # fmt: skip


def _told(elements: Any) -> Sizes:
    """Sizes that are numbers, or have a name."""
    return [_size(element) for element in elements.flat]


def _size(element: Any) -> int | ir.SymbolicDim | None:
    if isinstance(element, Extent):
        return ir.SymbolicDim(element.name) if element.name is not None else None
    return element if isinstance(element, int) else None


def _reshape(known: Numbers, node: ir.Node) -> Sizes | None:
    if len(node.inputs) <= 1 or node.inputs[0] is None:
        return None
    found = reshaped(extent.sizes(node.inputs[0]), known.of(node.inputs[1]), copies=not integer(node, "allowzero", 0))
    return None if found is None else [_size(plain(size)) for size in found]


def reshaped(given: extent.Extents | None, target: Elements | None, *, copies: bool) -> list[Extent | None] | None:
    """The sizes that a Reshape gives to a tensor of the sizes `given`; None where nothing, or one of them is not known.

    With `copies`, 0 in `target` stands for the size that is there.
    """
    if target is None:
        return None
    found: list[Extent | None] = []
    for place, element in enumerate(target.flat):
        if element == 0 and copies:
            found.append(given[place] if given is not None and place < len(given) else None)
        else:
            found.append(None if element == -1 else extent_of(element))
    left = [place for place, size in enumerate(found) if size is None]
    if given is not None and len(left) == 1:
        others = extent.product(size for size in found if size is not None)
        found[left[0]] = extent.quotient(extent.product(given), others)
    return found


def _expand(known: Numbers, node: ir.Node) -> Sizes | None:
    given = extent.sizes(node.inputs[0]) if node.inputs[0] is not None else None
    found = expanded(given, known.of(node.inputs[1]))
    return None if found is None else [_size(plain(size)) for size in found]


def expanded(given: extent.Extents | None, target: Elements | None) -> list[Extent | None] | None:
    """The sizes that an Expand gives to a tensor of the sizes `given`; None where nothing, or one is not known."""
    if given is None or target is None:
        return None
    wanted = [extent_of(element) for element in target.flat]
    pairs = itertools.zip_longest(reversed(given), reversed(wanted), fillvalue=Extent())
    return [_broadcast(one, other) for one, other in pairs][::-1]


def _broadcast(one: Extent | None, other: Extent | None) -> Extent | None:
    """A free size beside a number above 1 is that number, or 1: the result has the number."""
    if one is None or other is None:
        known = one or other
        return known if known is not None and not known.symbols and not known.is_one else None
    if one == other or other.is_one:
        return one
    if one.is_one or not other.symbols:
        return other
    return one if not one.symbols else None


def _filled(known: Numbers, node: ir.Node) -> Sizes | None:
    target = known.of(node.inputs[0])
    return None if target is None else _told(target)


def _pad(known: Numbers, node: ir.Node) -> Sizes | None:
    given = node.inputs[0].shape if node.inputs[0] is not None else None
    amounts: Elements | None = known.of(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = ints(node, "axes", 3)
    if given is None or amounts is None or axes is None:
        return None
    places = [axis % len(given) for axis in axes] or list(range(len(given)))
    if amounts.size != 2 * len(places):
        return None
    sizes: Sizes = list(given)
    for place, left, right in zip(places, amounts[: len(places)], amounts[len(places) :], strict=True):
        size = given[place]
        if not (isinstance(left, int) and isinstance(right, int) and left == right == 0):
            numbers = isinstance(size, int) and isinstance(left, int) and isinstance(right, int)
            sizes[place] = size + left + right if numbers else None
    return sizes


def _resize(known: Numbers, node: ir.Node) -> Sizes | None:
    wanted = known.of(node.inputs[3]) if len(node.inputs) > 3 else None
    if wanted is None or "axes" in node.attributes or "keep_aspect_ratio_policy" in node.attributes:
        return None
    return _told(wanted)


RULES: dict[str, Callable[[Numbers, ir.Node], Sizes | None]] = {
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
}
