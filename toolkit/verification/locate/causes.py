"""Tell what differs between an operator of the file and the one of the source that stands in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.verification.locate import numbers
from toolkit.verification.locate.match import Matches
from toolkit.verification.locate.trace import Trace

if TYPE_CHECKING:
    import onnx_ir as ir

Array = np.ndarray[Any, Any]

_MOST_WORDS = 3
_ASKING = ("Shape", "Size")  # they read a tensor and compute nothing of it

# (the file's operator, the source's in its place): what it means where it has a name of its own.
KNOWN = {
    ("ReduceMean", "BatchNormalization"): (
        "the batch's own mean where the source has BatchNormalization with its running statistics (training mode)"
    ),
    ("Clip", "Relu"): "Clip where the source has Relu: large values are cut off (ReLU6)",
    ("Relu", "Clip"): "Relu where the source has Clip: large values are not cut off",
}


@dataclass(frozen=True)
class Cause:
    """What is said of the place; `counterpart` is the source's operator there.

    `mends` says that giving the file's operator the counterpart's attributes and weights may mend it.
    """

    words: str
    counterpart: ir.Node | None = None
    mends: bool = False


@dataclass(frozen=True)
class Place:
    """An operator of the file at which it parts from the source, with what is known of both runs."""

    file: Trace
    source: Trace
    node: ir.Node
    matches: Matches
    tolerance: float
    reached: frozenset[str]  # the source's values that the file computes, too
    strange: frozenset[str]  # the file's values that the source does not compute


def of(place: Place) -> Cause:
    """The likely cause at a place, in words that follow the operator's name."""
    expected = list(_candidates(place))
    same = next((node for node in expected if node.op_type == place.node.op_type), None)
    if same is None:
        return _other_operator(place, expected)
    differences = [*attributes(place.node, same), *weights(place, same)]
    if differences:
        return Cause("; ".join(differences[:_MOST_WORDS]), same, mends=True)
    return Cause(_inputs(place, same) or _results(place, same) or "", same)


def attributes(ours: ir.Node, theirs: ir.Node) -> Iterator[str]:
    """Every attribute that differs, with both values; what is not written counts as its default."""
    given, wanted = values(ours), values(theirs)
    for name in sorted(given.keys() | wanted.keys()):
        if not _same(given.get(name), wanted.get(name)):
            yield f"{name} {_text(given.get(name))} in the file, {_text(wanted.get(name))} in the source"


def values(node: ir.Node) -> dict[str, Any]:
    """An operator's attributes with ONNX's defaults filled in; subgraphs left out."""
    import onnx
    import onnx_ir as ir

    found: dict[str, Any] = {}
    try:
        schema = _schema(node)
        for name, formal in schema.attributes.items():
            if formal.default_value.type:
                found[name] = onnx.helper.get_attribute_value(formal.default_value)
    except onnx.defs.SchemaError:
        pass
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS, ir.AttributeType.TENSOR)
    found |= {name: attribute.value for name, attribute in node.attributes.items() if attribute.type not in kinds}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _schema(node: ir.Node) -> Any:
    """The newest definition of an operator; what a graph spelled out is ONNX's own operator under another domain."""
    import onnx

    from exporters.graph.operator_table import FUSED

    return onnx.defs.get_schema(node.op_type, domain="" if node.domain == FUSED else node.domain)


def weights(place: Place, theirs: ir.Node) -> Iterator[str]:
    """Every constant input that is not the source's, and in which way."""
    ours, names = place.node, formal_names(place.node)
    for index in range(max(len(ours.inputs), len(theirs.inputs))):
        given, wanted = _constant(place.file, ours, index), _constant(place.source, theirs, index)
        name = names.get(index, f"input {index}")
        if given is None and wanted is None:
            continue
        if given is None or wanted is None:
            lacks = index >= len(ours.inputs) or ours.inputs[index] is None
            extra = index >= len(theirs.inputs) or theirs.inputs[index] is None
            if lacks or extra:
                yield f"{name} is there only in the {'source' if lacks else 'file'}"
            continue
        words = numbers.difference(given, wanted) or None
        if words:
            twin = _twin(place.source, given, theirs)
            yield f"{name} is the source's '{twin}'" if twin else f"{name} {words}"


def formal_names(node: ir.Node) -> Mapping[int, str]:
    """The names of an operator's inputs by position, as ONNX calls them."""
    import onnx

    try:
        schema = _schema(node)
    except onnx.defs.SchemaError:
        return {}
    return {index: formal.name for index, formal in enumerate(schema.inputs)}


def _constant(trace: Trace, node: ir.Node, index: int) -> Array | None:
    if index >= len(node.inputs):
        return None
    value = node.inputs[index]
    return None if value is None else trace.constant(value)


def _twin(source: Trace, array: Array, node: ir.Node) -> str | None:
    """Another weight of the source that holds exactly these numbers: then two weights were exchanged."""
    own = {id(value) for value in node.inputs}
    for name, value in source.model.graph.initializers.items():
        if id(value) in own or array.size < numbers.DISTINCTIVE:
            continue
        other = source.constant(value)
        if other is not None and other.shape == array.shape and np.array_equal(other, array):
            return name
    return None


def _candidates(place: Place) -> Iterator[ir.Node]:
    """The source's operators that read what this one reads, those first whose results the file never computes."""
    known = _roots(place)
    later = []
    for node in place.source.model.graph:
        if node.op_type in _ASKING or not any(value is not None and str(value.name) in known for value in node.inputs):
            continue
        if any(str(value.name) in place.reached for value in node.outputs):
            later.append(node)
        else:
            yield node
    yield from (node for node in later if node.op_type == place.node.op_type)


def _roots(place: Place) -> set[str]:
    """The source's values that stand for the operator's inputs; through detours back to what has a counterpart."""
    found: set[str] = set()
    waiting, seen = [value for value in place.node.inputs if value is not None], set()
    while waiting:
        value = waiting.pop()
        name = str(value.name)
        if name in seen:
            continue
        seen.add(name)
        if place.matches.matched(name, place.tolerance):
            found.update(place.matches.equals[name])
        elif (producer := value.producer()) is not None:
            waiting += [each for each in producer.inputs if each is not None]
    return found


def _other_operator(place: Place, expected: list[ir.Node]) -> Cause:
    """The file's operator is of a kind that the source does not have here: exchanged, left out or added."""
    own = place.node.op_type
    if not expected:
        return Cause("the source has no such operator here")
    theirs = expected[0]
    if (own, theirs.op_type) in KNOWN:
        return Cause(KNOWN[own, theirs.op_type], theirs)
    users = [node for value in theirs.outputs for node in value.consumers() if node.op_type == own]
    if any(_moving(place.source, node) == _moving(place.file, place.node) for node in users):
        return Cause(f"the file leaves out the source's {theirs.op_type} before it", theirs)
    if any(node.op_type == theirs.op_type for value in place.node.outputs for node in value.consumers()):
        return Cause(f"the source has no {own} before its {theirs.op_type}", theirs)
    return Cause(f"the source has {theirs.op_type} in its place", theirs, mends=True)


def _moving(trace: Trace, node: ir.Node) -> int:
    """How many inputs depend on the model's."""
    return sum(value is not None and str(value.name) not in trace.fixed for value in node.inputs)


def _inputs(place: Place, theirs: ir.Node) -> str | None:
    """The same operator with the same weights: then what it reads is exchanged or in another order."""
    names = formal_names(place.node)
    for index, (ours, wanted) in enumerate(zip(place.node.inputs, theirs.inputs, strict=False)):
        if ours is None or wanted is None:
            continue
        given, right = place.file.arrays.get(str(ours.name)), place.source.arrays.get(str(wanted.name))
        if given is None or right is None or given.size != right.size:
            continue
        words = _flattened(place.source, given, right) or numbers.order(given, right)
        if words:
            return f"its input {names.get(index, index)} {words}"
        if not np.allclose(given.reshape(-1), right.reshape(-1), rtol=1e-5, atol=1e-8):
            return f"its input {names.get(index, index)} is another tensor than the source's"
    return None


def _flattened(source: Trace, given: Array, right: Array) -> str | None:
    """Where a tensor was flattened in another order of its axes than the source's."""
    flat = right.reshape(-1)
    for shaped in source.arrays.values():
        if shaped.size == flat.size and shaped.ndim > max(2, right.ndim) and np.array_equal(shaped.reshape(-1), flat):
            axes = numbers.transposition(given, shaped)
            if axes and axes != tuple(range(shaped.ndim)):
                return f"was flattened with its axes in the order {axes}, the source's is {tuple(range(shaped.ndim))}"
    return None


def _results(place: Place, theirs: ir.Node) -> str | None:
    """How the result relates to what the source computes there."""
    for ours, wanted in zip(place.node.outputs, theirs.outputs, strict=False):
        given, right = place.file.arrays.get(str(ours.name)), place.source.arrays.get(str(wanted.name))
        if given is not None and right is not None and given.size == right.size:
            words = numbers.difference(given, right)
            if words:
                return f"its result {words}"
    return None


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return bool(np.float32(ours) == np.float32(theirs))
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(ours == theirs)


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(list(value)) if isinstance(value, list | tuple) else str(value)
