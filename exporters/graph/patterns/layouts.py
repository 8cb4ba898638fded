"""The sizes that Reshape and Expand give, and what a node takes out of a shape, asked of one place in a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.graph.sizes import shapes
from exporters.graph.sizes.extent import Extent, Extents, sizes
from exporters.graph.sizes.numbers import Numbers
from exporters.graph.values import constant, integer, ints

if TYPE_CHECKING:
    import onnx_ir as ir


def reshaped(node: ir.Node, given: Extents | None = None) -> Extents | None:
    """The sizes that a Reshape of a tensor of the sizes `given` gives; None where they are not known."""
    assert node.inputs[0] is not None
    given = given or sizes(node.inputs[0])
    copies = integer(node, "allowzero", 0) == 0
    return _all(shapes.reshaped(given, Numbers().of(node.inputs[1]), copies=copies)) or sizes(node.outputs[0])


def expanded(node: ir.Node, given: Extents | None = None) -> Extents | None:
    """The sizes that an Expand of a tensor of the sizes `given` gives; None where they are not known."""
    assert node.inputs[0] is not None
    given = given or sizes(node.inputs[0])
    return _all(shapes.expanded(given, Numbers().of(node.inputs[1]))) or sizes(node.outputs[0])


def _all(found: list[Extent | None] | None) -> Extents | None:
    known = [size for size in found or [] if size is not None]
    return tuple(known) if found is not None and len(known) == len(found) else None


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
